//! Tables fit the terminal that they are shown on.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use ifso::cli::moment::Here;
use ifso::cli::output::Output;
use ifso::cli::row::text;
use ifso::cli::table::Column;
use jiff::tz::TimeZone;
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
    Column::time("started", "started"),
    Column::new("about", |row| text(row, "about")).cut(12),
    Column::new("took", |row| text(row, "took")).right(),
    Column::new("nothing", |row| text(row, "nothing")).optional(),
];

fn rows() -> Vec<Value> {
    let row = json!({
        "id": "exe_01m7yzzvttet3v2hna7y5zkhc5", "action": "examples.disk_usage",
        "status": "succeeded", "took": "0.06 s", "started": "2026-03-01T09:00:00.123Z",
        "about": "How full a file system is, as JSON; asked every twenty seconds",
    });
    vec![row.clone(), row]
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [60, 80, 90, 120] {
        let paper = Paper::default();
        let here = Here::new("2026-03-01T10:00:00Z".parse().unwrap(), TimeZone::UTC);
        let (out, err) = (Box::new(paper.clone()), Box::new(Paper::default()));
        let mut output = Output::plain(out, err, width, here);
        output.list(false, COLUMNS, &rows()).unwrap();
        let written = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        let widest = written.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= usize::from(width), "{widest} > {width}:\n{written}");
        if width >= 80 {
            insta::assert_snapshot!(format!("table_{width}"), written);
        }
    }
}
