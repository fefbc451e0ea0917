//! Where a store's bytes are: a file and what stands beside it, or whatever a test puts in its place.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ::redb::StorageBackend;
use ::redb::backends::FileBackend;
use rustix::fs::{Advice, fadvise};

use crate::store::Error;

/// A place for one store. The store is made aside and put into its place when it is whole, so that
/// whoever finds a store finds a whole one.
pub trait Place: Send + 'static {
    /// How bytes are read and written there.
    type Backend: StorageBackend;

    /// Its name for people.
    fn name(&self) -> String;

    /// The store's bytes; nothing where none was made yet.
    ///
    /// # Errors
    /// What the system says.
    fn find(&self) -> io::Result<Option<Self::Backend>>;

    /// An empty spot aside. What an earlier try left there is thrown away.
    ///
    /// # Errors
    /// What the system says.
    fn aside(&self) -> io::Result<Self::Backend>;

    /// Makes what was written aside the store, for good.
    ///
    /// # Errors
    /// What the system says.
    fn settle(&self) -> io::Result<()>;

    /// Forgets what the system keeps in its cache, so that the next look is at the disk itself.
    ///
    /// # Errors
    /// What the system says.
    fn forget(&self) -> io::Result<()> {
        Ok(())
    }

    /// Tries whether there is room to go on writing.
    ///
    /// # Errors
    /// What the system says when there is none.
    fn probe(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Room that must be there before a store that ran out of it is opened again: a commit's worth.
const PROBE_BYTES: usize = 1 << 20;

/// A file: `store.redb`, made as `store.tmp`, locked by `store.lock`.
pub(super) struct OnDisk {
    path: PathBuf,
    // Held for as long as the place is.
    _lock: File,
}

impl OnDisk {
    /// Takes the place for this process.
    pub(super) fn take(path: &Path) -> Result<Self, Error> {
        let lock = lock(path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }
}

impl Place for OnDisk {
    type Backend = FileBackend;

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn find(&self) -> io::Result<Option<FileBackend>> {
        match OpenOptions::new().read(true).write(true).open(&self.path) {
            Ok(file) => backend(file).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn aside(&self) -> io::Result<FileBackend> {
        let aside = self.path.with_extension("tmp");
        backend(private(&aside)?)
    }

    fn settle(&self) -> io::Result<()> {
        let aside = self.path.with_extension("tmp");
        File::open(&aside)?.sync_all()?;
        fs::rename(&aside, &self.path)?;
        sync_folder_of(&self.path)
    }

    fn forget(&self) -> io::Result<()> {
        Ok(fadvise(File::open(&self.path)?, 0, None, Advice::DontNeed)?)
    }

    fn probe(&self) -> io::Result<()> {
        let path = self.path.with_extension("probe");
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&vec![0; PROBE_BYTES])?;
            file.sync_all()
        });
        let removed = fs::remove_file(&path);
        written.and(removed)
    }
}

/// An empty file for its owner alone: stores hold secrets. Whatever was there is thrown away.
pub(super) fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // An earlier try may have left it with other rights.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

pub(super) fn backend(file: File) -> io::Result<FileBackend> {
    FileBackend::new(file).map_err(io::Error::other)
}

/// Makes the names in a file's folder as durable as the file.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// One process has a store. The lock is the kernel's and ends with the process, however that ends;
/// the words in the file are for people.
fn lock(path: &Path) -> Result<File, Error> {
    let name = || path.display().to_string();
    let failed = |error: io::Error| Error::Io { path: name(), what: error.to_string() };
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(path.with_extension("lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut words = String::new();
            file.read_to_string(&mut words).map_err(failed)?;
            let pid = words.split_whitespace().nth(1);
            let owner = pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
            return Err(Error::InUse { path: name(), owner });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let words = format!("pid {} boot {}\n", std::process::id(), boot.trim());
    // A full disk must not keep a store from being opened: the words may be missing, the lock is there.
    if let Err(error) = file.set_len(0).and_then(|()| file.rewind()) {
        return Err(failed(error));
    }
    if let Err(error) = file.write_all(words.as_bytes()) {
        tracing::warn!(%error, file = name(), "the lock file does not name this process");
    }
    Ok(file)
}
