//! A copy of a store while it serves, and the way back. A backup is a store's file like any other,
//! written row by row: what is copied is checked.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use ::redb::{Database, ReadTransaction, ReadableTable, ReadableTableMetadata};
use serde::Serialize;

use crate::store::redb::file::{
    about, broken, builder, definition, guarded, refused, start, tables, view, write_empty,
};
use crate::store::redb::overlay::Overlay;
use crate::store::redb::place::{OnDisk, Place, backend, private, sync_folder_of};
use crate::store::redb::{Redb, Settings};
use crate::store::{Error, record};

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// The commit at which the copy stands.
    pub revision: u64,
    /// Records.
    pub records: u64,
    /// Bytes of keys and contents.
    pub bytes: u64,
    /// Bytes of the file that was written.
    pub file_bytes: u64,
    /// Damaged records, in words: they were left out.
    pub damaged: Vec<String>,
}

impl Redb {
    /// Copies the store as it stands at one commit into a new file, while it serves.
    ///
    /// Cancel-safe: a copy whose caller is gone is finished all the same.
    ///
    /// # Errors
    /// `Exists` where the file is there already; `Full`, `Io` where one of the two cannot be used. A
    /// damaged record is no error: it is left out and named.
    pub async fn backup(&self, to: &Path) -> Result<Copied, Error> {
        let database = self.database().await?;
        let (name, to) = (self.name.clone(), to.to_owned());
        let copied = tokio::task::spawn_blocking(move || {
            guarded(&name, || {
                let transaction = view(&name, &database)?;
                drop(database);
                write(&name, &transaction, &to)
            })
        });
        copied.await.unwrap_or(Err(Error::Closed))
    }
}

/// Writes aside, then takes the name: whoever finds a backup finds a whole one.
fn write(name: &str, from: &ReadTransaction, to: &Path) -> Result<Copied, Error> {
    let to_name = to.display().to_string();
    if to.exists() {
        return Err(Error::Exists { path: to_name });
    }
    let aside = to.with_added_extension("tmp");
    let made = (|| {
        let failed = |error: io::Error| refused(&to_name, error);
        let file = private(&aside);
        let target = builder(&Settings::default())
            .create_file(file.map_err(failed)?)
            .map_err(|error| refused(&to_name, error))?;
        let mut copied = copy(name, from, &to_name, &target)?;
        drop(target);
        let written = File::open(&aside).map_err(failed)?;
        written.sync_all().map_err(failed)?;
        copied.file_bytes = written.metadata().map_err(failed)?.len();
        fs::rename(&aside, to).map_err(failed)?;
        sync_folder_of(to).map_err(failed)?;
        Ok(copied)
    })();
    if made.is_err()
        && let Err(error) = fs::remove_file(&aside)
    {
        tracing::warn!(%error, file = %aside.display(), "an unfinished backup was left behind");
    }
    made
}

/// Copies every sound record in one transaction.
fn copy(name: &str, from: &ReadTransaction, to_name: &str, to: &Database) -> Result<Copied, Error> {
    let read = |error: ::redb::StorageError| refused(name, error);
    let mut copied = Copied { revision: about(name, from)?.1, ..Copied::default() };
    write_empty(to_name, to, copied.revision)?;
    let transaction = to.begin_write().map_err(|error| refused(to_name, error))?;
    for table in tables(name, from)? {
        let source = from.open_table(definition(table)).map_err(|error| refused(name, error))?;
        let mut target =
            transaction.open_table(definition(table)).map_err(|error| refused(to_name, error))?;
        for found in source.iter().map_err(read)? {
            let (key, value) = found.map_err(read)?;
            let (key, value) = (key.value(), value.value());
            if let Err(damaged) = record::look(table, key, value) {
                copied.damaged.push(damaged.to_string());
                continue;
            }
            target.insert(key, value).map_err(|error| refused(to_name, error))?;
            copied.records += 1;
            copied.bytes += (key.len() + value.len()) as u64;
        }
    }
    transaction.commit().map_err(|error| refused(to_name, error))?;
    Ok(copied)
}

/// Makes the store `to` from the backup `from`, which stays as it is. Every record is checked before
/// the store takes its place.
///
/// # Errors
/// `Exists` where `to` holds records; `InUse` where a process has it; `Broken`, `TooNew`, `Damaged`
/// where the backup is not whole; `Full`, `Io`.
pub fn restore(from: &Path, to: &Path) -> Result<Copied, Error> {
    let from_name = from.display().to_string();
    guarded(&from_name, || {
        let failed = |error: io::Error| refused(&from_name, error);
        let file = File::open(from).and_then(backend).map_err(failed)?;
        let settings = Settings::default();
        let overlay = Overlay::over(file).map_err(failed)?;
        let (mut source, _) = start(&from_name, overlay, &settings)?;
        if !source.check_integrity().map_err(|error| refused(&from_name, error))? {
            return Err(broken(&from_name, "its pages are not what was written"));
        }
        let place = OnDisk::take(to)?;
        refuse_over_records(&place, &settings)?;

        let transaction = view(&from_name, &source)?;
        let to_name = place.name();
        let aside = place.aside().map_err(|error| refused(&to_name, error))?;
        let target = builder(&settings)
            .create_with_backend(aside)
            .map_err(|error| refused(&to_name, error))?;
        let mut copied = copy(&from_name, &transaction, &to_name, &target)?;
        if let Some(damaged) = copied.damaged.first() {
            return Err(broken(&from_name, damaged));
        }
        drop(target);
        place.settle().map_err(|error| refused(&to_name, error))?;
        copied.file_bytes = to.metadata().map_err(|error| refused(&to_name, error))?.len();
        Ok(copied)
    })
}

fn refuse_over_records(place: &OnDisk, settings: &Settings) -> Result<(), Error> {
    let name = place.name();
    let Some(found) = place.find().map_err(|error| refused(&name, error))? else { return Ok(()) };
    let overlay = Overlay::over(found).map_err(|error| refused(&name, error))?;
    let exists = || Error::Exists { path: name.clone() };
    // What cannot be opened may still be worth something to somebody: it is not overwritten either.
    let (there, _) = start(&name, overlay, settings).map_err(|_| exists())?;
    let transaction = view(&name, &there)?;
    for table in tables(&name, &transaction).map_err(|_| exists())? {
        let table =
            transaction.open_table(definition(table)).map_err(|error| refused(&name, error))?;
        if !table.is_empty().map_err(|error| refused(&name, error))? {
            return Err(exists());
        }
    }
    Ok(())
}
