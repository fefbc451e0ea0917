//! The folder of one attempt: that it exists says that the attempt began, its exit record how it ended.
//! It outlives supervisor and engine, until the engine has stored the outcome.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::protocol::{AttemptId, Exit, Limits};
use super::spool::Spool;
use crate::model::time::Time;

/// The folder of one attempt.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    path: PathBuf,
}

/// What is known of an attempt that ended.
#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    exit: Exit,
    limit: u64,
    stdout: Written,
    stderr: Written,
}

/// One stream in the record: short ones whole, longer ones beside it.
#[derive(Serialize, Deserialize)]
struct Written {
    total: u64,
    inline: Option<String>,
}

/// An attempt that ended, with its output.
pub(super) struct Ended {
    pub(super) exit: Exit,
    pub(super) stdout: Spool,
    pub(super) stderr: Spool,
}

impl Entry {
    /// The folder of `id` in `spool`.
    pub(super) fn new(spool: &Path, id: AttemptId) -> Self {
        Self { path: spool.join(id.to_string()) }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The attempt's own folder, where it starts and may write.
    pub(super) fn own(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// Where the supervisor keeps a stream that is long.
    pub(super) fn stream(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Whether the attempt began.
    pub(super) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Whether it has ended, as far as its folder knows.
    pub(super) fn has_ended(&self) -> bool {
        self.record().exists()
    }

    /// When it last changed; the beginning of time where nobody can tell.
    pub(super) fn changed(&self) -> Time {
        let changed = fs::metadata(&self.path).and_then(|meta| meta.modified()).ok();
        let since = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Time::default().plus(since.unwrap_or_default())
    }

    fn record(&self) -> PathBuf {
        self.path.join("exit.json")
    }

    /// Makes it, before anything is started.
    pub(super) fn create(&self) -> io::Result<()> {
        fs::create_dir(&self.path)?;
        fs::create_dir(self.own())
    }

    /// Removes it with all that it holds. A file that an action made unreadable is no obstacle for its
    /// owner; a folder without rights is opened first.
    pub(super) fn remove(&self) {
        remove(&self.path);
    }

    /// Keeps how it ended, whole or not at all, and removes what the attempt wrote.
    pub(super) fn close(
        &self,
        exit: &Exit,
        stdout: &Spool,
        stderr: &Spool,
        limits: &Limits,
    ) -> io::Result<()> {
        remove(&self.own());
        let record = Record {
            version: 1,
            exit: exit.clone(),
            limit: limits.output_bytes,
            stdout: Written::of(stdout),
            stderr: Written::of(stderr),
        };
        let aside = self.path.join("exit.json.new");
        fs::write(&aside, serde_json::to_vec(&record)?)?;
        fs::rename(aside, self.record())
    }

    /// How it ended; nothing where it did not, or where its record cannot be read.
    pub(super) fn ended(&self) -> Option<Ended> {
        let bytes = fs::read(self.record()).ok()?;
        let record: Record = serde_json::from_slice(&bytes)
            .inspect_err(|error| tracing::warn!(path = %self.path.display(), %error, "An exit record cannot be read"))
            .ok()?;
        let open = |name: &str, written: Written| {
            let inline = written.inline.map(String::into_bytes);
            Spool::reopen(&self.stream(name), record.limit, written.total, inline)
        };
        let stdout = open("stdout", record.stdout);
        let stderr = open("stderr", record.stderr);
        Some(Ended { exit: record.exit, stdout, stderr })
    }
}

impl Written {
    fn of(spool: &Spool) -> Self {
        let inline = spool.inline().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        // Bytes that are no text grow when they are made text: the total counts what is kept here.
        let total = inline.as_ref().map_or_else(|| spool.total(), |text| text.len() as u64);
        Self { total, inline }
    }
}

/// Removes a folder, also one whose owner took the rights away.
fn remove(path: &Path) {
    let gone = |result: &io::Result<()>| match result {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    // Nearly always empty, or one level deep.
    if gone(&fs::remove_dir(path)) || gone(&fs::remove_dir_all(path)) {
        return;
    }
    open_up(path);
    let last = fs::remove_dir_all(path);
    if !gone(&last) {
        tracing::warn!(path = %path.display(), ?last, "The folder of an attempt cannot be removed");
    }
}

fn open_up(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if fs::set_permissions(path, fs::Permissions::from_mode(0o700)).is_err() {
        return;
    }
    let Ok(entries) = fs::read_dir(path) else { return };
    let folders =
        entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.for_each(|entry| open_up(&entry.path()));
}
