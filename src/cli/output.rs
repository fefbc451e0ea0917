//! Standard output and error: tables and colours for people, JSON for programs.
//!
//! Colours follow `NO_COLOR`, `CLICOLOR` and whether a terminal reads; they never carry meaning.

use std::io::{self, Write};
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use comfy_table::Table;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::cli::failure::Failure;
use crate::cli::moment::Here;
use crate::cli::row;
use crate::cli::table::{self, Column};
use crate::clock;

/// Where answers and errors go.
pub struct Output {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    colours: bool,
    width: Option<u16>,
    here: Here,
}

/// The style of headings.
const BOLD: Style = Style::new().bold();
/// The style of what is less important.
const DIM: Style = Style::new().dimmed();
const RED: Style = AnsiColor::Red.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default().bold();

impl Output {
    /// The process' own streams.
    #[must_use]
    pub fn standard() -> Self {
        let colours = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
        Self {
            out: Box::new(anstream::stdout()),
            err: Box::new(anstream::stderr()),
            colours,
            width: Table::new().width(),
            here: Here::new(clock::system().now(), TimeZone::system()),
        }
    }

    /// Streams for tests: no colours, and tables of this width, read by somebody.
    #[must_use]
    pub fn plain(
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
        width: u16,
        here: Here,
    ) -> Self {
        Self { out, err, colours: false, width: Some(width), here }
    }

    /// The reader's time.
    #[must_use]
    pub fn here(&self) -> &Here {
        &self.here
    }

    /// The time at `path` as a line shows it: short on a terminal.
    #[must_use]
    pub fn time(&self, row: &Value, path: &str) -> String {
        match row::time(row, path) {
            None => row::text(row, path),
            Some(time) if self.width.is_some() => self.here.short(time),
            Some(time) => self.here.whole(time),
        }
    }

    /// Columns and rows of the terminal, where one shows the answer and does what escapes say.
    #[must_use]
    pub fn screen(&self) -> Option<(usize, usize)> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        let known = self.colours && self.width.is_some() && size.ws_row > 0 && size.ws_col > 0;
        known.then(|| (usize::from(size.ws_col), usize::from(size.ws_row)))
    }

    /// How wide the answer may be, where somebody reads it.
    #[must_use]
    pub fn width(&self) -> Option<usize> {
        self.width.map(usize::from)
    }

    /// Whether colours are shown.
    #[must_use]
    pub fn has_colours(&self) -> bool {
        self.colours
    }

    /// One line of the answer.
    ///
    /// # Errors
    /// Where nobody reads any more.
    pub fn line(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.out, "{line}").and_then(|()| self.out.flush()).map_err(gone)
    }

    /// Text of the answer, as it is.
    ///
    /// # Errors
    /// As `line`.
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).map_err(gone)
    }

    /// Text beside the answer, as it is.
    ///
    /// # Errors
    /// As `line`.
    pub fn beside(&mut self, text: &str) -> Result<(), Failure> {
        self.err.write_all(text.as_bytes()).and_then(|()| self.err.flush()).map_err(gone)
    }

    /// One line beside the answer, for people.
    ///
    /// # Errors
    /// As `line`.
    pub fn note(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.err, "{DIM}{line}{DIM:#}").map_err(gone)
    }

    /// One line that people must not miss.
    ///
    /// # Errors
    /// As `line`.
    pub fn notice(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.err, "{BOLD}{line}{BOLD:#}").map_err(gone)
    }

    /// JSON, indented.
    ///
    /// # Errors
    /// As `line`.
    pub fn json(&mut self, value: &Value) -> Result<(), Failure> {
        self.line(&format!("{value:#}"))
    }

    /// A list: one JSON array, or a table of these columns.
    ///
    /// # Errors
    /// As `line`.
    pub fn list(&mut self, json: bool, columns: &[Column], rows: &[Value]) -> Result<(), Failure> {
        if json {
            return self.json(&Value::Array(rows.to_vec()));
        }
        if rows.is_empty() {
            return self.note("nothing to show");
        }
        let table = table::draw(columns, rows, &self.here, self.colours, self.width);
        self.line(&table)
    }

    /// One thing: JSON, or its fields one below the other.
    ///
    /// # Errors
    /// As `line`.
    pub fn one(&mut self, json: bool, fields: &[Column], row: &Value) -> Result<(), Failure> {
        if json {
            return self.json(row);
        }
        let wide = fields.iter().map(|field| field.title().chars().count()).max().unwrap_or(0);
        for field in fields {
            let text = field.whole(row, &self.here);
            if text.is_empty() {
                continue;
            }
            let mut lines = text.lines();
            let first = lines.next().unwrap_or_default();
            let title = field.title();
            writeln!(self.out, "{DIM}{title:>wide$}{DIM:#}  {first}").map_err(gone)?;
            for line in lines {
                writeln!(self.out, "{:>wide$}  {line}", "").map_err(gone)?;
            }
        }
        self.out.flush().map_err(gone)
    }

    /// Says why it did not work; gives the exit code.
    pub fn failure(&mut self, failure: &Failure) -> ExitCode {
        if failure.message.is_empty() {
            return failure.exit();
        }
        let mut said = writeln!(self.err, "{RED}error{RED:#}: {}", failure.message);
        if let (Ok(()), Some(help)) = (&said, &failure.help) {
            said = writeln!(self.err, "{CYAN}help{CYAN:#}: {help}");
        }
        // Nobody reads errors any more: the code still says it.
        drop(said);
        failure.exit()
    }
}

/// A reader that left (`| head`) is no error worth a word.
fn gone(_: io::Error) -> Failure {
    Failure::new("")
}
