//! Tables fit the terminal that they are shown on.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use ifso::cli::output::{Column, Output};
use ifso::cli::row::text;
use serde_json::{Value, json};

/// What was written, for the test to read.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const COLUMNS: &[Column] = &[
    Column::new("id", |row| text(row, "id")),
    Column::new("action", |row| text(row, "action")),
    Column::new("status", |row| text(row, "status")).status(),
    Column::new("took", |row| text(row, "took")).right(),
    Column::new("about", |row| text(row, "about")),
];

fn rows() -> Vec<Value> {
    let row = json!({
        "id": "exe_01m7yzzvttet3v2hna7y5zkhc5", "action": "examples.disk_usage",
        "status": "succeeded", "took": "0.06 s",
        "about": "How full a file system is, as JSON; asked every twenty seconds",
    });
    vec![row.clone(), row]
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [60, 80, 100, 120] {
        let paper = Paper::default();
        let mut output = Output::plain(Box::new(paper.clone()), Box::new(Paper::default()), width);
        output.list(false, COLUMNS, &rows()).unwrap();
        let written = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        let widest = written.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= usize::from(width), "{widest} > {width}:\n{written}");
        if width == 80 {
            insta::assert_snapshot!("table_80", written);
        }
    }
}
