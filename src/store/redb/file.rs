//! The file's form: making one, opening one, and saying in Ifso's words what redb says.

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, StorageBackend, TableDefinition,
    TableHandle, WriteTransaction,
};
use crc_fast::crc32_iscsi;

use crate::store::Error;
use crate::store::redb::Settings;
use crate::store::redb::overlay::Overlay;
use crate::store::redb::place::Place;
use crate::store::tables::TABLES;

/// The format that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// What the file says about itself.
const ABOUT: TableDefinition<&str, &[u8]> = TableDefinition::new("ifso");
const FORMAT_ROW: &str = "format";
const REVISION_ROW: &str = "revision";

/// A table of records.
pub(super) fn definition(table: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(table)
}

/// A file that was opened.
pub(super) struct Opened {
    pub(super) database: Database,
    /// The newest commit in it.
    pub(super) revision: u64,
    /// Whether whoever had it last did not close it.
    pub(super) unclean: bool,
}

/// Opens the store at `place`; makes it where there is none.
pub(super) fn open<P: Place>(place: &P, settings: &Settings) -> Result<Opened, Error> {
    let name = place.name();
    guarded(&name, || {
        if place.find().map_err(|error| refused(&name, error))?.is_none() {
            create(place, settings)?;
        }
        Ok(())
    })?;
    reopen(place, settings)
}

/// Opens the store at `place`, which must be there.
pub(super) fn reopen<P: Place>(place: &P, settings: &Settings) -> Result<Opened, Error> {
    let name = place.name();
    let find = || {
        let found = place.find().map_err(|error| refused(&name, error))?;
        found.ok_or_else(|| broken(&name, "it is gone"))
    };
    guarded(&name, || {
        look(&name, find()?, settings)?;
        let (database, unclean) = start(&name, find()?, settings)?;
        let (_, revision) = about(&name, &view(&name, &database)?)?;
        complete(&name, &database)?;
        Ok(Opened { database, revision, unclean })
    })
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic on this thread becomes an error: the panic hook need not tell of it then.
#[must_use]
pub fn is_guarded() -> bool {
    GUARDED.get()
}

/// Runs what may make redb panic, which it does on some damaged files.
pub(super) fn guarded<T>(name: &str, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let before = GUARDED.replace(true);
    let worked = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    worked.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
        Err(broken(name, &format!("the engine gave up on it: {said}")))
    })
}

/// Makes a whole, empty store aside and puts it into its place: a kill at any moment leaves either
/// none or a whole one.
fn create<P: Place>(place: &P, settings: &Settings) -> Result<(), Error> {
    let name = place.name();
    let aside = place.aside().map_err(|error| refused(&name, error))?;
    let database =
        builder(settings).create_with_backend(aside).map_err(|error| refused(&name, error))?;
    write_empty(&name, &database, 0)?;
    drop(database);
    place.settle().map_err(|error| refused(&name, error))
}

/// Writes what every store has: its format, its revision and its tables.
pub(super) fn write_empty(name: &str, database: &Database, revision: u64) -> Result<(), Error> {
    let transaction = database.begin_write().map_err(|error| refused(name, error))?;
    {
        let mut about = transaction.open_table(ABOUT).map_err(|error| refused(name, error))?;
        about
            .insert(FORMAT_ROW, signed(FORMAT_ROW, &FORMAT.to_be_bytes()).as_slice())
            .map_err(|error| refused(name, error))?;
    }
    for (table, _) in TABLES {
        transaction.open_table(definition(table)).map_err(|error| refused(name, error))?;
    }
    set_revision(&transaction, revision).map_err(|error| refused(name, error))?;
    transaction.commit().map_err(|error| refused(name, error))
}

/// Keeps the newest revision, so that none is ever given twice.
pub(super) fn set_revision(
    transaction: &WriteTransaction,
    revision: u64,
) -> Result<(), ::redb::Error> {
    let mut about = transaction.open_table(ABOUT)?;
    about.insert(REVISION_ROW, signed(REVISION_ROW, &revision.to_be_bytes()).as_slice())?;
    Ok(())
}

/// Looks at a file without changing it: a newer format stays as it is, and damage in the structure of a
/// closed file is found before anything is built upon it. After an unclean stop redb walks all
/// checksums by itself. Of a large file only the format is looked at; `ifso doctor` looks at it whole.
fn look<B: StorageBackend>(name: &str, found: B, settings: &Settings) -> Result<(), Error> {
    let len = found.len().map_err(|error| refused(name, error))?;
    if len == 0 {
        return Err(broken(name, "it is empty"));
    }
    let overlay = Overlay::over(found).map_err(|error| refused(name, error))?;
    let large = len > settings.check_limit_bytes;
    let (mut database, unclean) = if large {
        let mut builder = builder(settings);
        builder.set_repair_callback(::redb::RepairSession::abort);
        match builder.create_with_backend(overlay) {
            Err(::redb::DatabaseError::RepairAborted) => return Ok(()),
            opened => (opened.map_err(|error| unopened(name, error))?, false),
        }
    } else {
        start(name, overlay, settings)?
    };
    about(name, &view(name, &database)?)?;
    if unclean || large || database.check_integrity().map_err(|error| refused(name, error))? {
        return Ok(());
    }
    Err(broken(name, "its pages are not what was written"))
}

/// Opens existing bytes, and says whether they had to be repaired.
pub(super) fn start<B: StorageBackend>(
    name: &str,
    found: B,
    settings: &Settings,
) -> Result<(Database, bool), Error> {
    let unclean = Arc::new(AtomicBool::new(false));
    let seen = unclean.clone();
    let mut builder = builder(settings);
    builder.set_repair_callback(move |_| seen.store(true, Ordering::Relaxed));
    let database = builder.create_with_backend(found).map_err(|error| unopened(name, error))?;
    Ok((database, unclean.load(Ordering::Relaxed)))
}

pub(super) fn builder(settings: &Settings) -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(settings.cache_bytes);
    builder
}

/// One state of an open file.
pub(super) fn view(name: &str, database: &Database) -> Result<ReadTransaction, Error> {
    database.begin_read().map_err(|error| refused(name, error))
}

/// The format and the newest revision of an open file.
pub(super) fn about(name: &str, transaction: &ReadTransaction) -> Result<(u32, u64), Error> {
    let about = transaction.open_table(ABOUT).map_err(|error| match error {
        ::redb::TableError::TableDoesNotExist(_) => broken(name, "it is not a store of Ifso"),
        error => refused(name, error),
    })?;
    let read = |row: &'static str| -> Result<Vec<u8>, Error> {
        let value = about.get(row).map_err(|error| refused(name, error))?;
        let value = value.ok_or_else(|| broken(name, &format!("its {row} is missing")))?;
        unsigned(row, value.value())
            .map(<[u8]>::to_vec)
            .ok_or_else(|| broken(name, &format!("its {row} is damaged")))
    };
    let wrong = |row: &str| broken(name, &format!("its {row} has another length"));
    let format = read(FORMAT_ROW)?.try_into().map_err(|_| wrong(FORMAT_ROW))?;
    let format = u32::from_be_bytes(format);
    if format > FORMAT {
        return Err(Error::TooNew { path: name.to_owned(), found: format, known: FORMAT });
    }
    let revision = read(REVISION_ROW)?.try_into().map_err(|_| wrong(REVISION_ROW))?;
    Ok((format, u64::from_be_bytes(revision)))
}

/// The tables in an open file. One that only a newer Ifso knows is refused: a backup would lose it.
pub(super) fn tables(
    name: &str,
    transaction: &ReadTransaction,
) -> Result<Vec<&'static str>, Error> {
    let mut tables = Vec::new();
    for table in transaction.list_tables().map_err(|error| refused(name, error))? {
        match TABLES.iter().find(|(known, _)| *known == table.name()) {
            Some((known, _)) => tables.push(*known),
            None if table.name() == ABOUT.name() => {}
            None => {
                let table = table.name();
                let what = format!("it has a table `{table}` that this Ifso does not know");
                return Err(broken(name, &what));
            }
        }
    }
    Ok(tables)
}

/// Makes the tables that an older Ifso did not know.
fn complete(name: &str, database: &Database) -> Result<(), Error> {
    if tables(name, &view(name, database)?)?.len() == TABLES.len() {
        return Ok(());
    }
    let transaction = database.begin_write().map_err(|error| refused(name, error))?;
    for (table, _) in TABLES {
        transaction.open_table(definition(table)).map_err(|error| refused(name, error))?;
    }
    transaction.commit().map_err(|error| refused(name, error))
}

fn signed(row: &str, content: &[u8]) -> Vec<u8> {
    let sum = crc32_iscsi(&[row.as_bytes(), content].concat());
    [content, &sum.to_be_bytes()].concat()
}

fn unsigned<'a>(row: &str, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (content, _) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    (signed(row, content) == bytes).then_some(content)
}

pub(super) fn broken(name: &str, what: &str) -> Error {
    Error::Broken { path: name.to_owned(), what: what.to_owned() }
}

/// Why redb did not do what it was asked, in our words.
pub(super) fn refused(name: &str, error: impl Into<::redb::Error>) -> Error {
    let path = name.to_owned();
    match error.into() {
        ::redb::Error::Io(error) if is_full(&error) => Error::Full { path },
        ::redb::Error::Corrupted(what) => Error::Broken { path, what },
        ::redb::Error::DatabaseAlreadyOpen => Error::InUse { path, owner: String::new() },
        error @ ::redb::Error::UpgradeRequired(_) => {
            Error::Broken { path, what: error.to_string() }
        }
        error => Error::Io { path, what: error.to_string() },
    }
}

/// The same for opening, where bytes that make no sense are damage and not a failing disk.
fn unopened(name: &str, error: ::redb::DatabaseError) -> Error {
    match error {
        ::redb::DatabaseError::Storage(::redb::StorageError::Io(error))
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            broken(name, &error.to_string())
        }
        error => refused(name, error),
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge)
}
