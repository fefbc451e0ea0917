//! Master keys: where they come from, and how they are kept. They are never in the store, and never in
//! a backup.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use rand::RngExt;
use zeroize::{Zeroize, Zeroizing};

use crate::store::table::hex;
use crate::vault::Error;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;
/// Bytes of a key's name, as sealed records carry it.
pub(super) const NAME_BYTES: usize = 8;
/// Opens a record, named by its table and key; nothing where it cannot.
pub type Opener = Box<dyn Fn(&str, &[u8], &[u8]) -> Option<Vec<u8>> + Send + Sync>;

/// Keys that are known at one time: the present one, and those that are on their way out.
const RING_LIMIT: usize = 16;

/// One master key. `Debug` shows its name only.
#[derive(Clone)]
pub(super) struct Master {
    pub(super) id: [u8; NAME_BYTES],
    key: Zeroizing<[u8; KEY_BYTES]>,
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Master {
    fn of(key: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        // The name tells nothing of the key: it is a hash of it, and the key is random.
        let mut text = Zeroizing::new(b"ifso master key\0".to_vec());
        text.extend_from_slice(key.as_slice());
        let hash = digest::digest(&digest::SHA256, &text);
        let mut id = [0; NAME_BYTES];
        id.copy_from_slice(&hash.as_ref()[..NAME_BYTES]);
        Self { id, key }
    }

    fn fresh() -> Self {
        Self::of(Zeroizing::new(rand::rng().random()))
    }

    /// Its name for people.
    pub(super) fn name(&self) -> String {
        name(&self.id)
    }

    pub(super) fn key(&self) -> &[u8; KEY_BYTES] {
        &self.key
    }
}

/// The name for people of the key with this id.
pub(super) fn name(id: &[u8]) -> String {
    format!("mk_{}", hex(id))
}

/// The keys that are known, the present one first.
#[derive(Debug, Clone)]
pub(super) struct Ring {
    keys: Vec<Master>,
}

impl Ring {
    /// The key with which records are sealed.
    pub(super) fn current(&self) -> &Master {
        &self.keys[0]
    }

    /// The key of this name.
    pub(super) fn find(&self, id: &[u8]) -> Option<&Master> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// The names, that of the present key first.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.keys.iter().map(Master::name)
    }

    fn read(text: &str, place: &str) -> Result<Self, Error> {
        let no_key = |what: String| Error::NoKey { place: place.to_owned(), what };
        let lines = text.lines().map(str::trim);
        let mut keys: Vec<Master> = Vec::new();
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let key = read(line).ok_or_else(|| {
                no_key(format!("a line of {} characters is no key", line.chars().count()))
            })?;
            let key = Master::of(key);
            if keys.iter().all(|known| known.id != key.id) {
                keys.push(key);
            }
        }
        if keys.is_empty() {
            return Err(no_key("it is empty".to_owned()));
        }
        if keys.len() > RING_LIMIT {
            return Err(no_key(format!("it has more than {RING_LIMIT} keys")));
        }
        Ok(Self { keys })
    }

    fn write(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.keys.len() * (2 * KEY_BYTES + 1)));
        for key in &self.keys {
            let mut line = hex(key.key());
            text.push_str(&line);
            text.push('\n');
            line.zeroize();
        }
        text
    }
}

/// 64 hexadecimal digits.
fn read(line: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let digits = line.as_bytes();
    if digits.len() != 2 * KEY_BYTES {
        return None;
    }
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(key)
}

/// A text that nobody may see. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Zeroizing<String>);

impl Text {
    /// The same text, hidden.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where the master key comes from. Each may hold several keys, one a line, the present one first: the
/// others open what was sealed before, until it is sealed anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file of ours: made at the first start, and written anew when the key is changed.
    File(PathBuf),
    /// A credential that systemd hands over as a file.
    Credential(PathBuf),
    /// An environment variable: its name and what it holds.
    Variable(String, Text),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file `{}`", path.display()),
            Self::Credential(path) => write!(f, "credential `{}`", path.display()),
            Self::Variable(name, _) => write!(f, "variable `{name}`"),
        }
    }
}

impl Source {
    /// The keys; a file of ours is made where there is none.
    pub(super) fn ring(&self) -> Result<Ring, Error> {
        if let Some(ring) = self.known()? {
            return Ok(ring);
        }
        let ring = Ring { keys: vec![Master::fresh()] };
        if let Self::File(path) = self {
            write(path, &ring)?;
        }
        Ok(ring)
    }

    /// Names of the keys that are there; none where a file of ours is not there yet. Nothing is made.
    ///
    /// # Errors
    /// As `Vault::open`.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        Ok(self.known()?.map(|ring| ring.names().collect()).unwrap_or_default())
    }

    /// What opens records of a store that nobody serves.
    ///
    /// # Errors
    /// As `Vault::open`.
    pub fn opener(&self) -> Result<Opener, Error> {
        let ring = self.known()?;
        Ok(Box::new(move |table: &str, key: &[u8], content: &[u8]| {
            super::seal::open(ring.as_ref()?, (table, key), content).ok()
        }))
    }

    fn known(&self) -> Result<Option<Ring>, Error> {
        let place = self.to_string();
        match self {
            Self::Variable(_, text) => Ring::read(&text.0, &place).map(Some),
            Self::Credential(path) => match fs::read_to_string(path).map(Zeroizing::new) {
                Ok(text) => Ring::read(&text, &place).map(Some),
                Err(error) => Err(failed(path, &error)),
            },
            Self::File(path) => {
                let mode = match fs::metadata(path) {
                    Ok(about) => about.permissions().mode() & 0o777,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(failed(path, &error)),
                };
                if mode & 0o077 != 0 {
                    return Err(Error::Open { path: path.display().to_string(), mode });
                }
                let text = fs::read_to_string(path).map(Zeroizing::new);
                let text = text.map_err(|error| failed(path, &error))?;
                Ring::read(&text, &place).map(Some)
            }
        }
    }

    /// The same keys with a fresh one before them, written down.
    pub(super) fn grown(&self, ring: &Ring) -> Result<Ring, Error> {
        let Self::File(path) = self else {
            return Err(Error::Given { place: self.to_string() });
        };
        let mut keys = vec![Master::fresh()];
        keys.extend(ring.keys.iter().cloned());
        keys.truncate(RING_LIMIT);
        let ring = Ring { keys };
        write(path, &ring)?;
        Ok(ring)
    }

    /// The present key alone, written down; the others go into files beside, since older backups need
    /// them. Nothing where the keys are not ours to write.
    pub(super) fn shrunk(&self, ring: &Ring) -> Result<Option<Ring>, Error> {
        let Self::File(path) = self else { return Ok(None) };
        for key in &ring.keys[1..] {
            write(&aside(path, &key.name()), &Ring { keys: vec![key.clone()] })?;
        }
        let ring = Ring { keys: vec![ring.current().clone()] };
        write(path, &ring)?;
        Ok(Some(ring))
    }
}

/// Where an earlier key is kept: `master.key.mk_…`.
fn aside(path: &Path, name: &str) -> PathBuf {
    path.with_added_extension(name)
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::File { path: path.display().to_string(), what: error.to_string() }
}

/// Made aside, synced, renamed: the file is whole, whenever the power goes.
fn write(path: &Path, ring: &Ring) -> Result<(), Error> {
    let new = path.with_added_extension("new");
    let attempt = || -> io::Result<()> {
        if let Err(error) = fs::remove_file(&new)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(ring.write().as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    attempt().map_err(|error| failed(path, &error))
}

#[cfg(test)]
pub(super) fn ring(seeds: &[u8]) -> Ring {
    let key = |seed: &u8| Master::of(Zeroizing::new([*seed; KEY_BYTES]));
    Ring { keys: seeds.iter().map(key).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_for_its_owner_alone_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let source = Source::File(folder.path().join("master.key"));
        assert!(source.names().unwrap().is_empty());
        let first = source.ring().unwrap().current().name();
        assert_eq!(source.ring().unwrap().current().name(), first);
        let mode = fs::metadata(folder.path().join("master.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let source = Source::File(path.clone());
        source.ring().unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = source.ring().unwrap_err();
        assert!(matches!(error, Error::Open { mode: 0o640, .. }), "{error}");
        assert!(error.help().unwrap().starts_with("`chmod 600"));
    }

    #[test]
    fn what_is_no_key_is_named_without_showing_it() {
        for text in ["", "# nothing", "abc", &"g".repeat(64), &"1".repeat(63)] {
            let source = Source::Variable("KEY".to_owned(), Text::new(text.to_owned()));
            let said = source.ring().unwrap_err().to_string();
            assert!(said.starts_with("variable `KEY` holds no master key"), "{said}");
            assert!(text.len() < 4 || !said.contains(text), "{said}");
            assert!(!format!("{source:?}").contains(&"g".repeat(8)));
        }
    }

    #[test]
    fn a_grown_ring_has_both_keys_until_it_is_shrunk() {
        let folder = tempfile::tempdir().unwrap();
        let source = Source::File(folder.path().join("master.key"));
        let old = source.ring().unwrap();
        let both = source.grown(&old).unwrap();
        let names: Vec<String> = both.names().collect();
        assert_eq!(names[1..], [old.current().name()]);
        assert_eq!(source.names().unwrap(), names);
        source.shrunk(&both).unwrap();
        assert_eq!(source.names().unwrap(), names[..1]);
        let aside = folder.path().join(format!("master.key.{}", names[1]));
        assert_eq!(Source::File(aside).names().unwrap(), names[1..]);
    }
}
