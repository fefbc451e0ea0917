//! The house rules that no lint knows: who imports whom, how long a file may be, what it may be called.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a source file at most, its tests at the foot not counted.
const FILE_WALL: usize = 600;
/// Names that say nothing about what is in a file.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "misc", "manager", "data", "info", "base",
    "core",
];

/// One row of the table *Who may import whom*, for each room that it names.
struct Room {
    name: String,
    imports: BTreeSet<String>,
    to_come: bool,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file under a folder, in the order of their names.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The rooms in the order of the table; `everything above` stands for all rows before.
fn rooms(architecture: &str) -> Vec<Room> {
    let mut rooms: Vec<Room> = Vec::new();
    let rows = architecture
        .lines()
        .skip_while(|line| *line != "## Who may import whom")
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [names, imports] = cells[..] else { panic!("a row has two cells: {row}") };
        let above: BTreeSet<String> = rooms.iter().map(|room| room.name.clone()).collect();
        let imports = match imports {
            "—" => BTreeSet::new(),
            "everything above" => above,
            list => list.split(", ").map(str::to_owned).collect(),
        };
        for name in names.split(", ") {
            let to_come = name.ends_with(" (to come)");
            let name = name.trim_end_matches(" (to come)").to_owned();
            rooms.push(Room { name, imports: imports.clone(), to_come });
        }
    }
    assert!(rooms.len() > 10, "ARCHITECTURE.md has lost its table `Who may import whom`");
    rooms
}

fn table() -> Vec<Room> {
    rooms(&read(&root().join("ARCHITECTURE.md")))
}

/// The rooms that a source text imports, each with its line, from 1. Comments do not count.
fn imports(source: &str) -> Vec<(usize, String)> {
    let code: String = source.lines().map(|line| line.split("//").next().unwrap_or(line)).fold(
        String::new(),
        |mut code, line| {
            code.push_str(line);
            code.push('\n');
            code
        },
    );
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let line = code[..at].matches('\n').count() + 1;
        let path = &code[at + "crate::".len()..];
        let named: Vec<&str> = match path.strip_prefix('{') {
            Some(group) => top_level(group),
            None => vec![path],
        };
        for name in named {
            let word: String = name
                .trim_start()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if !word.is_empty() {
                found.push((line, word));
            }
        }
    }
    found
}

/// The parts of a `use` group, which begins after its brace: `a::b, c::{d, e}}` has two.
fn top_level(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts
}

/// The room in which a file stands: the first part of its path under `src`.
fn room_of(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn product_lines(source: &str) -> usize {
    source.split("\n#[cfg(test)]\nmod ").next().unwrap_or(source).lines().count()
}

#[test]
fn a_group_of_imports_is_taken_apart() {
    let source = "use crate::store::{Batch, Key};\n// crate::api\nuse crate::{\n    model::{id, time},\n    tasks,\n};\n";
    let found: Vec<String> = imports(source).into_iter().map(|(_, room)| room).collect();
    assert_eq!(found, ["store", "model", "tasks"]);
}

#[test]
fn the_table_runs_downhill() {
    let mut above = BTreeSet::new();
    let mut row = BTreeSet::new();
    let mut last: Option<BTreeSet<String>> = None;
    for room in table() {
        if last.as_ref() != Some(&room.imports) {
            above.append(&mut row);
            last = Some(room.imports.clone());
        }
        let uphill: Vec<_> = room.imports.difference(&above).collect();
        assert!(uphill.is_empty(), "`{}` may import {uphill:?}, not above it", room.name);
        row.insert(room.name);
    }
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let allowed: BTreeMap<String, BTreeSet<String>> =
        table().into_iter().map(|room| (room.name, room.imports)).collect();
    let mut wrong = Vec::new();
    for file in rust_files(&root().join("src")) {
        let room = room_of(&file);
        if room == "main" || room == "lib" {
            continue;
        }
        let may = allowed.get(&room).unwrap_or_else(|| {
            panic!("room `{room}` is not in ARCHITECTURE.md, table `Who may import whom`")
        });
        for (line, import) in imports(&read(&file)) {
            if import != room && !may.contains(&import) {
                wrong.push(format!("{}:{line}: `{room}` imports `{import}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that ARCHITECTURE.md does not allow:\n{}", wrong.join("\n"));
}

#[test]
fn lib_names_the_rooms_in_the_order_of_the_table() {
    let library = read(&root().join("src/lib.rs"));
    let modules: Vec<&str> = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    let rooms: Vec<String> =
        table().into_iter().filter(|room| !room.to_come).map(|room| room.name).collect();
    assert_eq!(modules, rooms);
}

#[test]
fn files_stay_below_the_wall_and_have_names() {
    let mut wrong = Vec::new();
    for file in rust_files(&root().join("src")) {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let lines = product_lines(&read(&file));
        if name != "tests" && lines > FILE_WALL {
            wrong.push(format!("{}: {lines} lines; look for the second noun", file.display()));
        }
        if EMPTY_NAMES.contains(&name.as_str()) {
            wrong.push(format!("{}: `{name}` says nothing about it", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_papers_are_short() {
    for (paper, limit) in [("README.md", 120), ("ARCHITECTURE.md", 300)] {
        let lines = read(&root().join(paper)).lines().count();
        assert!(lines <= limit, "{paper} has {lines} lines, {limit} are allowed");
    }
}

#[test]
fn nothing_is_left_to_do_in_a_comment() {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let files = [rust_files(&root().join("src")), rust_files(&root().join("tests"))].concat();
    for file in files {
        for (number, line) in read(&file).lines().enumerate() {
            let left = words.iter().find(|word| line.contains(**word));
            assert!(left.is_none(), "{}:{}: do it, or open an issue", file.display(), number + 1);
        }
    }
}
