//! Reads a pack's files, each once and whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;

use crate::model::problem::{Place, Problem};
use crate::packs::strays;
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

/// The folder, by name, of what the program itself holds.
pub const BUILT_IN: &str = "built in";

/// The files of a home, and those that the program itself holds.
pub(crate) struct Disk<'a> {
    pub(crate) home: &'a Path,
    /// By path, as `core/pack.yaml`.
    pub(crate) built_in: &'a [(&'a str, &'a str)],
}

impl Disk<'_> {
    /// The file at `path`; nothing where there is none.
    pub(crate) fn file(&self, path: &Path, problems: &mut Vec<Problem>) -> Option<File> {
        let place = Place::file(path.strip_prefix(self.home).unwrap_or(path));
        if let Ok(inside) = path.strip_prefix(BUILT_IN) {
            let (_, text) = self.built_in.iter().find(|(path, _)| Path::new(path) == inside)?;
            return Some(File { place, text: (*text).to_owned() });
        }
        let bytes = match read(path, &place) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                let other = path.with_extension("yml");
                if path.extension().is_some_and(|ending| ending == "yaml") && other.is_file() {
                    let place = Place::file(other.strip_prefix(self.home).unwrap_or(&other));
                    problems.push(strays::misnamed(place, path));
                }
                return None;
            }
            Err(problem) => {
                problems.push(problem);
                return None;
            }
        };
        text(bytes, place, problems)
    }

    /// The packs that the program itself holds, by name, each with its folder.
    pub(crate) fn built_in(&self) -> BTreeMap<String, PathBuf> {
        let names = self.built_in.iter().filter_map(|(path, _)| path.split('/').next());
        names.map(|name| (name.to_owned(), Path::new(BUILT_IN).join(name))).collect()
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

    pub(crate) fn entries(&self, folder: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
        if let Ok(inside) = folder.strip_prefix(BUILT_IN) {
            let paths = self.built_in.iter().map(|(path, _)| Path::new(path));
            let held = paths.filter(|path| path.parent() == Some(inside));
            return held.map(|path| Path::new(BUILT_IN).join(path)).collect();
        }
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

/// The bytes at `path`; nothing where there is nothing.
fn read(path: &Path, place: &Place) -> Result<Option<Vec<u8>>, Problem> {
    let gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    let size = match std::fs::metadata(path) {
        Ok(found) if found.is_file() => usize::try_from(found.len()).unwrap_or(usize::MAX),
        Ok(found) => {
            let what = if found.is_dir() { "a folder" } else { "no file" };
            let problem = Problem::error("no_file", place.clone(), format!("it is {what}"));
            return Err(problem.help("give it another name, or put a file in its place"));
        }
        Err(error) if gone(&error) && path.symlink_metadata().is_ok() => {
            let problem = Problem::error("no_file", place.clone(), "the link leads nowhere");
            return Err(problem.help("correct the link, or remove it"));
        }
        Err(error) if gone(&error) => return Ok(None),
        Err(error) => return Err(unreadable(place.clone(), &error)),
    };
    if size > FILE_LIMIT_BYTES {
        return Err(yaml::too_large(place, size));
    }
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if gone(&error) => Ok(None),
        Err(error) => Err(unreadable(place.clone(), &error)),
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
