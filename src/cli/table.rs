//! Columns, and how they share the width of a terminal.

use comfy_table::{Attribute, Cell, CellAlignment, Color, Table, presets};
use serde_json::Value;

use crate::cli::moment::Here;
use crate::cli::row::{self, brief};

/// One column of a table, or one field of a thing. In a table the most important come first.
#[derive(Clone, Copy)]
pub struct Column {
    title: &'static str,
    read: Read,
    right: bool,
    status: bool,
    optional: bool,
    least: Option<usize>,
}

/// What stands in a column.
#[derive(Clone, Copy)]
enum Read {
    Text(fn(&Value) -> String),
    /// The time at this path.
    Time(&'static str),
}

impl Column {
    /// A column of this title.
    pub const fn new(title: &'static str, value: fn(&Value) -> String) -> Self {
        Self {
            title,
            read: Read::Text(value),
            right: false,
            status: false,
            optional: false,
            least: None,
        }
    }

    /// A column of the times at `path`.
    #[must_use]
    pub const fn time(title: &'static str, path: &'static str) -> Self {
        Self { read: Read::Time(path), ..Self::new(title, |_| String::new()) }
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

    /// The same, left out where no row has anything in it.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The same, one line that a narrow terminal cuts to `least` characters at least: long texts.
    #[must_use]
    pub const fn cut(mut self, least: usize) -> Self {
        self.least = Some(least);
        self
    }

    /// Its title.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        self.title
    }

    /// What it says of `row`, whole.
    #[must_use]
    pub fn whole(&self, row: &Value, here: &Here) -> String {
        match self.read {
            Read::Text(value) => value(row),
            Read::Time(path) => match row::time(row, path) {
                Some(time) => here.whole(time),
                None => row::text(row, path),
            },
        }
    }

    /// The same in a table on a terminal.
    fn short(&self, row: &Value, here: &Here) -> String {
        let short = match self.read {
            Read::Time(path) => row::time(row, path).map(|time| here.short(time)),
            Read::Text(_) => None,
        };
        short.unwrap_or_else(|| self.whole(row, here))
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

/// Blanks between two columns.
const GAP: u16 = 2;

/// A table of these rows; it fits `width`, where there is one: then a terminal shows it.
#[must_use]
pub fn draw(
    columns: &[Column],
    rows: &[Value],
    here: &Here,
    colours: bool,
    width: Option<u16>,
) -> String {
    let text = |column: &Column, row: &Value| {
        let text = if width.is_some() { column.short(row, here) } else { column.whole(row, here) };
        let line = text.lines().next().unwrap_or_default();
        if column.least.is_some() { line.to_owned() } else { text }
    };
    let filled: Vec<(&Column, Vec<String>)> = columns
        .iter()
        .map(|column| (column, rows.iter().map(|row| text(column, row)).collect::<Vec<_>>()))
        .filter(|(column, texts)| !column.optional || texts.iter().any(|text| !text.is_empty()))
        .collect();
    let fitting = width.map(|width| fit(&filled, width.into()));
    let shown = fitting.as_ref().map_or(filled.len(), Vec::len);
    let filled = &filled[..shown];
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if colours {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(
        filled.iter().map(|(column, _)| {
            Cell::new(column.title.to_uppercase()).add_attribute(Attribute::Dim)
        }),
    );
    for number in 0..rows.len() {
        table.add_row(filled.iter().enumerate().map(|(place, (column, texts))| {
            let most = fitting.as_ref().filter(|_| column.least.is_some()).map(|wide| wide[place]);
            let text = &texts[number];
            column.cell(most.map_or_else(|| text.clone(), |most| brief(text, most)))
        }));
    }
    for (number, (column, _)) in filled.iter().enumerate() {
        if let Some(shown) = table.column_mut(number) {
            shown.set_padding((0, GAP));
            if column.right {
                shown.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table.trim_fmt()
}

/// How wide each column is in a terminal: texts are cut, and what does not fit even so is left out
/// from the end, so that every row stays one line and every id whole.
fn fit(filled: &[(&Column, Vec<String>)], width: usize) -> Vec<usize> {
    let wanted: Vec<usize> = filled
        .iter()
        .map(|(column, texts)| {
            let cells = texts.iter().map(|text| text.chars().count());
            cells.chain([column.title.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let mut widths: Vec<usize> = filled
        .iter()
        .zip(&wanted)
        .map(|((column, _), wanted)| column.least.map_or(*wanted, |least| least.min(*wanted)))
        .collect();
    let taken = |widths: &[usize]| {
        widths.iter().sum::<usize>() + usize::from(GAP) * widths.len().saturating_sub(1)
    };
    while widths.len() > 1 && taken(&widths) > width {
        widths.pop();
    }
    let mut rest = width.saturating_sub(taken(&widths));
    for (wide, wanted) in widths.iter_mut().zip(&wanted) {
        let more = rest.min(wanted - *wide);
        *wide += more;
        rest -= more;
    }
    widths
}

fn colour(word: &str) -> Option<Color> {
    match word {
        "succeeded" | "running" | "accepted" | "resolved" | "yes" => Some(Color::Green),
        "failed" | "timeout" | "abandoned" | "stopped" | "error" | "critical" | "expired" => {
            Some(Color::Red)
        }
        "canceled" | "canceling" | "waiting" | "paused" | "delayed" | "acknowledged"
        | "warning" => Some(Color::Yellow),
        "requested" | "scheduled" | "pending" | "open" | "starting" => Some(Color::Cyan),
        "disabled" | "no" => Some(Color::DarkGrey),
        _ => None,
    }
}
