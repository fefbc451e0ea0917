//! Standard output and error: tables and colours for people, JSON for programs.
//!
//! Colours follow `NO_COLOR`, `CLICOLOR` and whether a terminal reads; they never carry meaning.

use std::io::{self, Write};
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use comfy_table::{Attribute, Cell, CellAlignment, Color, Table, presets};
use serde_json::Value;

use crate::cli::failure::Failure;
use crate::cli::row::brief;

/// Where answers and errors go.
pub struct Output {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    colours: bool,
    width: Option<u16>,
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
        }
    }

    /// Streams for tests: no colours, and tables of this width.
    #[must_use]
    pub fn plain(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, width: u16) -> Self {
        Self { out, err, colours: false, width: Some(width) }
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
        let table = self.table(columns, rows);
        self.line(&table)
    }

    fn table(&self, columns: &[Column], rows: &[Value]) -> String {
        let mut texts: Vec<Vec<String>> = rows
            .iter()
            .map(|row| columns.iter().map(|column| (column.value)(row)).collect())
            .collect();
        let shown = match self.width {
            Some(width) => fit(columns, &mut texts, width.into()),
            None => columns.len(),
        };
        let columns = &columns[..shown];
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if self.colours {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table.set_header(
            columns
                .iter()
                .map(|column| Cell::new(column.title.to_uppercase()).add_attribute(Attribute::Dim)),
        );
        for texts in texts {
            table.add_row(columns.iter().zip(texts).map(|(column, text)| column.cell(text)));
        }
        for (number, column) in columns.iter().enumerate() {
            if let Some(shown) = table.column_mut(number) {
                shown.set_padding((0, GAP));
                if column.right {
                    shown.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        table.trim_fmt()
    }

    /// One thing: JSON, or its fields one below the other.
    ///
    /// # Errors
    /// As `line`.
    pub fn one(&mut self, json: bool, fields: &[Column], row: &Value) -> Result<(), Failure> {
        if json {
            return self.json(row);
        }
        let wide = fields.iter().map(|field| field.title.chars().count()).max().unwrap_or(0);
        for field in fields {
            let text = (field.value)(row);
            if text.is_empty() {
                continue;
            }
            let mut lines = text.lines();
            let first = lines.next().unwrap_or_default();
            let title = field.title;
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

/// Blanks between two columns.
const GAP: u16 = 2;
/// The narrowest that the last column is cut to; below that it is left out.
const NARROWEST: usize = 12;

/// Makes rows fit: the last column is cut, and left out where too little of it would remain, so that
/// every row stays one line and every id whole. Gives how many columns are shown.
fn fit(columns: &[Column], rows: &mut [Vec<String>], width: usize) -> usize {
    let wide: Vec<usize> = (0..columns.len())
        .map(|number| {
            let cells = rows.iter().map(|row| row[number].chars().count());
            cells.chain([columns[number].title.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let mut shown = columns.len();
    while shown > 1 {
        let before: usize = wide[..shown - 1].iter().map(|wide| wide + usize::from(GAP)).sum();
        let rest = width.saturating_sub(before);
        if rest >= wide[shown - 1] {
            break;
        }
        if rest >= NARROWEST {
            for row in rows.iter_mut() {
                row[shown - 1] = brief(&row[shown - 1], rest);
            }
            break;
        }
        shown -= 1;
    }
    shown
}

/// One column of a table, or one field of a thing.
#[derive(Clone, Copy)]
pub struct Column {
    title: &'static str,
    value: fn(&Value) -> String,
    right: bool,
    status: bool,
}

impl Column {
    /// A column of this title.
    pub const fn new(title: &'static str, value: fn(&Value) -> String) -> Self {
        Self { title, value, right: false, status: false }
    }

    /// The same, aligned to the right: numbers.
    #[must_use]
    pub const fn right(mut self) -> Self {
        self.right = true;
        self
    }

    /// The same, coloured by what it says: a status.
    #[must_use]
    pub const fn status(mut self) -> Self {
        self.status = true;
        self
    }

    fn cell(&self, text: String) -> Cell {
        let colour = self.status.then(|| colour(&text)).flatten();
        let cell = Cell::new(text);
        match colour {
            Some(colour) => cell.fg(colour),
            None => cell,
        }
    }
}

fn colour(word: &str) -> Option<Color> {
    match word {
        "succeeded" | "running" | "accepted" | "yes" => Some(Color::Green),
        "failed" | "timeout" | "abandoned" | "stopped" | "error" => Some(Color::Red),
        "canceled" | "canceling" | "waiting" | "paused" | "delayed" | "warning" => {
            Some(Color::Yellow)
        }
        "requested" | "scheduled" | "pending" | "starting" => Some(Color::Cyan),
        "disabled" | "no" => Some(Color::DarkGrey),
        _ => None,
    }
}
