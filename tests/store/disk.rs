//! A disk that forgets: what was not synced may be lost, kept or torn when the power goes, and any call
//! may fail when it is told to.

use std::io;
use std::sync::{Arc, Mutex};

use ifso::store::redb::Place;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redb::StorageBackend;

/// The unit that a disk writes whole.
const SECTOR_BYTES: usize = 512;

/// A disk with one store on it. Clones are the same disk.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Mutex<Inner>>);

// redb writes a backend's words for its log at every opening: all bytes of it would take a while.
impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("simulated disk")
    }
}

struct Inner {
    seed: u64,
    random: StdRng,
    files: Vec<Content>,
    aside: Option<usize>,
    /// The file that has the store's name: as the system knows it, and as the disk does.
    named: Option<usize>,
    named_on_disk: Option<usize>,
    calls: u64,
    changes: u64,
    syncs: u64,
    /// The power goes at this change.
    cut: Option<u64>,
    off: bool,
    fault: Option<Fault>,
    /// Says that it has synced, and has not.
    lies: bool,
}

/// Calls that fail: `count` of them from the call `from` on, counted from 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) from: u64,
    pub(crate) count: u64,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Whatever needs room fails.
    Full,
    /// Whatever touches the disk fails.
    Broken,
}

#[derive(Default)]
struct Content {
    disk: Vec<u8>,
    cache: Vec<u8>,
    /// In the cache only, oldest first.
    dirty: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Len(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Look,
    Grow,
    Sync,
    Name,
}

impl Disk {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            seed,
            random: StdRng::seed_from_u64(seed),
            files: Vec::new(),
            aside: None,
            named: None,
            named_on_disk: None,
            calls: 0,
            changes: 0,
            syncs: 0,
            cut: None,
            off: false,
            fault: None,
            lies: false,
        })))
    }

    /// A disk that does not do what it says: whoever trusts it loses.
    pub(crate) fn lying(seed: u64) -> Self {
        let disk = Self::new(seed);
        disk.0.lock().unwrap().lies = true;
        disk
    }

    pub(crate) fn seed(&self) -> u64 {
        self.0.lock().unwrap().seed
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.0.lock().unwrap().syncs
    }

    /// The power goes at the `changes`-th change from now.
    pub(crate) fn cut_after(&self, changes: u64) {
        let mut inner = self.0.lock().unwrap();
        inner.cut = Some(inner.changes + changes);
    }

    pub(crate) fn fail(&self, fault: Fault) {
        self.0.lock().unwrap().fault = Some(fault);
    }

    pub(crate) fn is_off(&self) -> bool {
        self.0.lock().unwrap().off
    }

    pub(crate) fn calls(&self) -> u64 {
        self.0.lock().unwrap().calls
    }

    /// The store as it is on the disk.
    pub(crate) fn image(&self) -> Option<Vec<u8>> {
        let inner = self.0.lock().unwrap();
        inner.named_on_disk.map(|file| inner.files[file].disk.clone())
    }

    /// Somebody puts another image in the store's place, or none.
    pub(crate) fn replace(&self, image: Option<Vec<u8>>) {
        let mut inner = self.0.lock().unwrap();
        let named = image.map(|disk| {
            let (cache, dirty) = (disk.clone(), Vec::new());
            inner.files.push(Content { disk, cache, dirty });
            inner.files.len() - 1
        });
        (inner.named, inner.named_on_disk) = (named, named);
    }

    /// The power goes now, if it is not gone, and comes back: of what was not synced, anything may be
    /// there.
    pub(crate) fn reboot(&self) {
        let mut inner = self.0.lock().unwrap();
        let Inner { random, files, .. } = &mut *inner;
        for file in files {
            file.lose(random);
            file.cache.clone_from(&file.disk);
        }
        if inner.named != inner.named_on_disk {
            if inner.random.random() {
                inner.named_on_disk = inner.named;
            } else {
                inner.named = inner.named_on_disk;
            }
        }
        inner.off = false;
        inner.cut = None;
    }
}

impl Inner {
    /// Counts a call, and says why it fails where it does.
    fn call(&mut self, call: Call) -> io::Result<()> {
        if self.off {
            return Err(io::Error::other("the power is off"));
        }
        self.calls += 1;
        if let Some(Fault { from, count, kind }) = self.fault
            && (from..from + count).contains(&self.calls)
        {
            match kind {
                Kind::Full if call == Call::Grow => return Err(io::ErrorKind::StorageFull.into()),
                Kind::Broken => return Err(io::Error::other("the disk is broken")),
                Kind::Full => {}
            }
        }
        if call != Call::Look {
            self.changes += 1;
            self.off = self.cut == Some(self.changes);
        }
        Ok(())
    }

    fn now_off(&self) -> io::Result<()> {
        if self.off { Err(io::Error::other("the power goes off")) } else { Ok(()) }
    }

    fn sync(&mut self, file: usize) -> io::Result<()> {
        self.syncs += 1;
        let called = self.call(Call::Sync);
        let Inner { random, files, .. } = self;
        if called.is_err() && !self.off {
            // Linux: what could not be written is clean from now on, in the cache and nowhere else.
            files[file].lose(random);
        }
        called?;
        self.now_off()?;
        if self.lies {
            return Ok(());
        }
        let file = &mut self.files[file];
        for change in std::mem::take(&mut file.dirty) {
            change.apply(&mut file.disk);
        }
        Ok(())
    }

    fn change(&mut self, file: usize, change: Change) -> io::Result<()> {
        self.call(Call::Grow)?;
        change.apply(&mut self.files[file].cache);
        self.files[file].dirty.push(change);
        self.now_off()
    }
}

impl Content {
    /// Brings some of what is dirty to the disk, in pieces, and forgets that the rest is not there.
    fn lose(&mut self, random: &mut StdRng) {
        let mood = random.random_range(0..4);
        for change in std::mem::take(&mut self.dirty) {
            let fate = if mood < 2 { random.random_range(0..3) } else { mood - 2 };
            match (fate, change) {
                (0, _) => {}
                (1, change) => change.apply(&mut self.disk),
                (_, Change::Write(offset, bytes)) => {
                    for (number, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                        if random.random() {
                            let at = offset + number * SECTOR_BYTES;
                            Change::Write(at, sector.to_vec()).apply(&mut self.disk);
                        }
                    }
                }
                (_, change @ Change::Len(_)) => {
                    if random.random() {
                        change.apply(&mut self.disk);
                    }
                }
            }
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Len(len) => bytes.resize(*len, 0),
            // What lies beyond the end is cut: its growth did not come to the disk.
            Self::Write(offset, data) if *offset < bytes.len() => {
                let len = data.len().min(bytes.len() - offset);
                bytes[*offset..offset + len].copy_from_slice(&data[..len]);
            }
            Self::Write(..) => {}
        }
    }
}

impl Place for Disk {
    type Backend = OpenFile;

    fn name(&self) -> String {
        "simulated disk".to_owned()
    }

    fn find(&self) -> io::Result<Option<OpenFile>> {
        let mut inner = self.0.lock().unwrap();
        inner.call(Call::Look)?;
        Ok(inner.named.map(|file| OpenFile { disk: self.clone(), file }))
    }

    fn aside(&self) -> io::Result<OpenFile> {
        let mut inner = self.0.lock().unwrap();
        inner.call(Call::Grow)?;
        inner.files.push(Content::default());
        let file = inner.files.len() - 1;
        inner.aside = Some(file);
        Ok(OpenFile { disk: self.clone(), file })
    }

    fn settle(&self) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        let file = inner.aside.unwrap();
        inner.sync(file)?;
        inner.call(Call::Name)?;
        inner.named = Some(file);
        inner.now_off()?;
        inner.call(Call::Name)?;
        inner.now_off()?;
        inner.named_on_disk = inner.named;
        Ok(())
    }

    fn forget(&self) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        inner.call(Call::Look)?;
        let Some(named) = inner.named else { return Ok(()) };
        let Content { disk, cache, dirty } = &mut inner.files[named];
        cache.clone_from(disk);
        for change in dirty {
            change.apply(cache);
        }
        Ok(())
    }

    fn probe(&self) -> io::Result<()> {
        self.0.lock().unwrap().call(Call::Grow)
    }
}

/// An open file on the disk.
#[derive(Debug)]
pub(crate) struct OpenFile {
    disk: Disk,
    file: usize,
}

fn small(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl StorageBackend for OpenFile {
    fn len(&self) -> io::Result<u64> {
        let mut inner = self.disk.0.lock().unwrap();
        inner.call(Call::Look)?;
        Ok(inner.files[self.file].cache.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut inner = self.disk.0.lock().unwrap();
        inner.call(Call::Look)?;
        let cache = &inner.files[self.file].cache;
        let range = small(offset)..small(offset) + out.len();
        let there = cache.get(range).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(there);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.0.lock().unwrap().change(self.file, Change::Len(small(len)))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.0.lock().unwrap().sync(self.file)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let change = Change::Write(small(offset), data.to_vec());
        self.disk.0.lock().unwrap().change(self.file, change)
    }
}
