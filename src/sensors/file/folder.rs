//! A folder as the system shows it: which files match, and their prints. Symbolic links are not
//! followed; only regular files count.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use globset::GlobMatcher;

use crate::sensors::file::tracker::Print;

/// Files of one folder at most.
const FILES_LIMIT: usize = 100_000;

/// Which files of which folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) root: PathBuf,
    pub(crate) glob: GlobMatcher,
    pub(crate) recursive: bool,
    /// Whether names that begin with a dot count.
    pub(crate) hidden: bool,
}

impl Folder {
    /// Whether `path` is one of those that are meant.
    pub(crate) fn has(&self, path: &Path) -> bool {
        let Ok(inside) = path.strip_prefix(&self.root) else { return false };
        let mut parts = inside.components().peekable();
        let deep = parts.clone().count();
        let dotted = parts.any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."));
        (1..=if self.recursive { usize::MAX } else { 1 }).contains(&deep)
            && (self.hidden || !dotted)
            && self.glob.is_match(inside)
    }

    /// Every file that is meant, with its print.
    ///
    /// Blocking: reads the folder.
    pub(crate) fn scan(&self) -> io::Result<Vec<(PathBuf, Print)>> {
        let mut found = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                // A folder inside may go at any time.
                Err(_) if folder != self.root => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                let entry = entry?;
                let path = entry.path();
                if entry.file_type()?.is_dir() {
                    if self.recursive {
                        folders.push(path);
                    }
                } else if self.has(&path)
                    && let Some(print) = look(&path)
                {
                    found.push((path, print));
                }
                if found.len() > FILES_LIMIT {
                    let what = format!("it holds more than {FILES_LIMIT} files; narrow `glob`");
                    return Err(io::Error::other(what));
                }
            }
        }
        Ok(found)
    }
}

/// The print of the regular file at `path`, where there is one.
///
/// Blocking: asks the system.
pub(crate) fn look(path: &Path) -> Option<Print> {
    let metadata = fs::symlink_metadata(path).ok()?;
    metadata.is_file().then(|| print(&metadata))
}

fn print(metadata: &Metadata) -> Print {
    let nanos =
        |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
    Print {
        size: metadata.len(),
        modified: nanos(metadata.mtime(), metadata.mtime_nsec()),
        touched: nanos(metadata.ctime(), metadata.ctime_nsec()),
        inode: metadata.ino(),
    }
}
