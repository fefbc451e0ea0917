//! What is wrong with something people wrote, and where: one shape for every file of a home.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A place in a file. Lines and columns count from 1; a column counts characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The file, as seen from the home folder.
    pub file: Arc<PathBuf>,
    /// The line, from 1; nothing where only the file is known.
    pub line: Option<u32>,
    /// The column, from 1.
    pub column: Option<u32>,
}

impl Place {
    /// The whole file, no line known.
    pub fn file(file: impl Into<PathBuf>) -> Self {
        Self { file: Arc::new(file.into()), line: None, column: None }
    }

    /// The place at `line` and `column` of this place's file.
    #[must_use]
    pub fn at(&self, line: u32, column: u32) -> Self {
        Self { file: Arc::clone(&self.file), line: Some(line), column: Some(column) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        Ok(())
    }
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It loads and works, but probably not as meant.
    Warning,
    /// The pack, rule or sensor that holds it is not loaded.
    Error,
}

/// One thing that is wrong, said for the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// A stable word for machines, such as `unknown_action`.
    pub code: String,
    /// Where.
    pub place: Place,
    /// What is wrong: a lower-case fragment with the thing in backticks.
    pub message: String,
    /// The next step, where there is one.
    pub help: Option<String>,
}

impl Problem {
    /// An error called `code` at `place`.
    pub fn error(code: &str, place: Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code: code.to_owned(),
            place,
            message: message.into(),
            help: None,
        }
    }

    /// A warning called `code` at `place`.
    pub fn warning(code: &str, place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message) }
    }

    /// The same problem with the next step beside it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        if let Some(help) = &self.help {
            write!(f, " (help: {help})")?;
        }
        Ok(())
    }
}

/// How similar two names must be for one to have been meant for the other.
const SIMILAR: f64 = 0.8;

/// The most similar of `names`, where one is similar enough to be what was meant.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(wanted, name), name))
        .filter(|(similar, _)| *similar > SIMILAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}
