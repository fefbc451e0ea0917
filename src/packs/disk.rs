//! Reads a pack's files, each once and whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;

use crate::model::problem::{Place, Problem};
use crate::packs::yaml::{self, FILE_LIMIT_BYTES, Node};

/// Files in one folder at most: a folder with more is not a pack's.
const FOLDER_LIMIT: usize = 20_000;

/// One file as it was when it was read.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// The file, as seen from the home.
    pub(crate) place: Place,
    /// Its text.
    pub(crate) text: String,
}

impl File {
    /// Its name without folder and ending.
    pub(crate) fn stem(&self) -> &str {
        self.place.file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
    }

    /// Its text as YAML.
    pub(crate) fn yaml(&self, problems: &mut Vec<Problem>) -> Option<Node> {
        yaml::parse(&self.text, &self.place).map_err(|problem| problems.push(problem)).ok()
    }
}

/// The files of a home.
pub(crate) struct Disk<'a> {
    pub(crate) home: &'a Path,
}

impl Disk<'_> {
    /// The file at `path`; nothing where there is none.
    pub(crate) fn file(&self, path: &Path, problems: &mut Vec<Problem>) -> Option<File> {
        let place = Place::file(path.strip_prefix(self.home).unwrap_or(path));
        let size = match std::fs::metadata(path) {
            Ok(found) if found.is_file() => usize::try_from(found.len()).unwrap_or(usize::MAX),
            Ok(_) => return None,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => {
                problems.push(unreadable(place, &error));
                return None;
            }
        };
        if size > FILE_LIMIT_BYTES {
            problems.push(yaml::too_large(&place, size));
            return None;
        }
        match std::fs::read(path) {
            Ok(bytes) => text(bytes, place, problems),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                problems.push(unreadable(place, &error));
                None
            }
        }
    }

    /// The files of `folder` that end in one of `endings`, by name. What editors leave behind
    /// (`.x.swp`, `x~`, `#x#`) is passed over.
    pub(crate) fn files(
        &self,
        folder: &Path,
        endings: &[&str],
        problems: &mut Vec<Problem>,
    ) -> Vec<File> {
        let wanted = |path: &PathBuf| {
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(".");
            endings.contains(&ending) && !name.starts_with(['.', '#'])
        };
        let paths = self.entries(folder, problems);
        paths
            .iter()
            .filter(|path| wanted(path))
            .filter_map(|path| self.file(path, problems))
            .collect()
    }

    /// The folders in `folder`, by name, hidden ones left out.
    pub(crate) fn folders(&self, folder: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
        let hidden = |path: &PathBuf| {
            path.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with('.'))
        };
        let mut entries = self.entries(folder, problems);
        entries.retain(|path| !hidden(path) && path.is_dir());
        entries
    }

    fn entries(&self, folder: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
        let place = || Place::file(folder.strip_prefix(self.home).unwrap_or(folder));
        let mut paths = Vec::new();
        match std::fs::read_dir(folder) {
            Ok(entries) => {
                paths.extend(entries.flatten().take(FOLDER_LIMIT).map(|entry| entry.path()));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => problems.push(unreadable(place(), &error)),
        }
        if paths.len() == FOLDER_LIMIT {
            let message = format!("the folder has {FOLDER_LIMIT} files or more");
            problems.push(Problem::error("too_many_files", place(), message));
        }
        paths.sort();
        paths
    }
}

fn text(bytes: Vec<u8>, place: Place, problems: &mut Vec<Problem>) -> Option<File> {
    if let Ok(text) = String::from_utf8(bytes) {
        return Some(File { place, text });
    }
    let message = "the file is not text in UTF-8";
    problems.push(Problem::error("not_utf8", place, message).help("save it as UTF-8"));
    None
}

fn unreadable(place: Place, error: &std::io::Error) -> Problem {
    Problem::error("unreadable", place, format!("cannot be read: {error}"))
        .help("give the user that runs Ifso the right to read it")
}

/// A short name for exactly these contents, in this order.
pub(crate) fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Arc<str> {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    // 64 bits are enough to tell versions of one thing apart.
    let mut short = [0; 8];
    short.copy_from_slice(&context.finish().as_ref()[..8]);
    format!("{:016x}", u64::from_be_bytes(short)).into()
}
