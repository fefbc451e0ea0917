//! A look at every page and every record of a store that nobody serves. It changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use ::redb::{ReadOnlyTable, ReadTransaction, ReadableTable};
use serde::Serialize;

use crate::store::redb::Settings;
use crate::store::redb::file::{about, definition, guarded, refused, start, tables, view};
use crate::store::redb::overlay::Overlay;
use crate::store::redb::place::{OnDisk, Place};
use crate::store::table::hex;
use crate::store::{Error, record, tables as rows};

/// What the doctor found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The file.
    pub path: String,
    /// Its size.
    pub file_bytes: u64,
    /// Its format.
    pub format: u32,
    /// Its newest commit.
    pub revision: u64,
    /// Whether the one who had it last closed it; if not, the next start repairs it, which is normal.
    pub closed: bool,
    /// Whether all its pages are what was written.
    pub pages_sound: bool,
    /// What it holds, by table.
    pub tables: Vec<Table>,
    /// Records that are not what was written, that are no row of their table, or whose index does not
    /// lead to them; in words, at most 1,000.
    pub damaged: Vec<String>,
}

/// One table in the doctor's report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Records in it.
    pub records: u64,
    /// Bytes of their keys and contents.
    pub bytes: u64,
    /// How many of them are damaged.
    pub damaged: u64,
    /// How many of them are sealed and stayed closed: their master key is not here.
    pub closed: u64,
}

/// Opens what is sealed, as the content of a record of a table under a key; nothing where it cannot.
pub type Opener<'a> = &'a dyn Fn(&str, &[u8], &[u8]) -> Option<Vec<u8>>;

/// Names of damaged records in one report.
const NAMED_LIMIT: usize = 1000;

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.pages_sound && self.damaged.is_empty()
    }
}

/// Looks at the whole store in the file `path`. What `opener` does not open is looked at from outside.
///
/// # Errors
/// `InUse` where a process serves it; `Broken`, `TooNew` where it cannot be opened at all; `Io`.
pub fn doctor(path: &Path, opener: Opener<'_>) -> Result<Report, Error> {
    let name = path.display().to_string();
    guarded(&name, || {
        let file_bytes = path.metadata().map_err(|error| refused(&name, error))?.len();
        let place = OnDisk::take(path)?;
        let found = place.find().map_err(|error| refused(&name, error))?;
        let found = found.ok_or_else(|| refused(&name, std::io::Error::other("it went away")))?;
        let overlay = Overlay::over(found).map_err(|error| refused(&name, error))?;
        let (mut database, unclean) = start(&name, overlay, &Settings::default())?;
        let (format, revision) = about(&name, &view(&name, &database)?)?;
        let pages_sound = database.check_integrity().map_err(|error| refused(&name, error))?;
        let transaction = view(&name, &database)?;
        let mut look = Look { name: &name, transaction, opener, damaged: Vec::new() };
        let mut found = Vec::new();
        let mut led = BTreeMap::new();
        for table in tables(&name, &look.transaction)? {
            found.push(look.table(table, &mut led)?);
        }
        look.strays(&found, &led);
        Ok(Report {
            path: name.clone(),
            file_bytes,
            format,
            revision,
            closed: !unclean,
            pages_sound,
            tables: found,
            damaged: look.damaged,
        })
    })
}

struct Look<'n> {
    name: &'n str,
    transaction: ReadTransaction,
    opener: Opener<'n>,
    damaged: Vec<String>,
}

/// Index entries that lead to a row, by the table of the index.
type Led = BTreeMap<&'static str, u64>;

impl Look<'_> {
    fn table(&mut self, name: &'static str, led: &mut Led) -> Result<Table, Error> {
        let failed = |error: ::redb::StorageError| refused(self.name, error);
        let mut table = Table { name, records: 0, bytes: 0, damaged: 0, closed: 0 };
        let records = self.open(name)?;
        for found in records.iter().map_err(failed)? {
            let (key, value) = found.map_err(failed)?;
            let (key, value) = (key.value(), value.value());
            table.records += 1;
            table.bytes += (key.len() + value.len()) as u64;
            match self.record(name, key, value, led) {
                Err(damaged @ Error::Damaged { .. }) => {
                    table.damaged += 1;
                    self.name_it(damaged.to_string());
                }
                other => table.closed += u64::from(!other?),
            }
        }
        Ok(table)
    }

    /// Whether it could be looked into.
    fn record(
        &self,
        table: &'static str,
        key: &[u8],
        value: &[u8],
        led: &mut Led,
    ) -> Result<bool, Error> {
        let (_, content) = record::look(table, key, value)?;
        let opened = if rows::is_plain(content) {
            None
        } else if let Some(opened) = (self.opener)(table, key, content) {
            Some(opened)
        } else {
            return Ok(false);
        };
        for entry in rows::entries(table, key, opened.as_deref().unwrap_or(content))? {
            let index = self.open(entry.table)?;
            let there = index.get(entry.bytes.as_slice());
            if there.map_err(|error| refused(self.name, error))?.is_none() {
                let what = format!("its entry {} in the index is missing", hex(&entry.bytes));
                return Err(Error::Damaged { table, key: hex(key), what });
            }
            *led.entry(entry.table).or_default() += 1;
        }
        Ok(true)
    }

    /// Index entries that lead nowhere; a damaged row's own are among them.
    fn strays(&mut self, found: &[Table], led: &Led) {
        for table in found.iter().filter(|table| table.name.ends_with("_index")) {
            // Entries of what stayed closed lead somewhere, and nobody can say where.
            let rows = table.name.trim_end_matches("_index");
            if found.iter().any(|table| table.name == rows && table.closed > 0) {
                continue;
            }
            let strays = table.records.saturating_sub(led.get(table.name).copied().unwrap_or(0));
            if strays > 0 {
                let name = table.name;
                self.name_it(format!("{strays} entries of table `{name}` lead to no sound row"));
            }
        }
    }

    fn open(&self, table: &str) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>, Error> {
        let open = self.transaction.open_table(definition(table));
        open.map_err(|error| refused(self.name, error))
    }

    fn name_it(&mut self, damaged: String) {
        if self.damaged.len() < NAMED_LIMIT {
            self.damaged.push(damaged);
        }
    }
}
