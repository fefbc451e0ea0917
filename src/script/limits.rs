//! What a script may use: operations, depth, sizes, wall time. Every script has such limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rhai::Engine;
use serde_json::Value;

/// The limits of one script. Each has an effect of its own: operations bound the work, sizes and
/// depth bound the memory, wall time bounds what operations do not count.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Steps of the interpreter.
    pub operations: u64,
    /// Functions inside functions.
    pub call_levels: usize,
    /// Nested expressions, at the top of a file and inside a function.
    pub expression_depth: usize,
    /// Bytes in a string, all strings of a nested value together.
    pub string_bytes: usize,
    /// Items in an array, all nested arrays together.
    pub array_items: usize,
    /// Entries in a map, all nested maps together.
    pub map_items: usize,
    /// Variables that one function has at a time.
    pub variables: usize,
    /// Functions and closures in a file.
    pub functions: usize,
    /// Wall time.
    pub wall: Duration,
}

/// A rule's closure, asked about one event. What a script can hold at a time is bounded by its sizes
/// times variables times depth: 16 MiB of texts, or 8 MiB of lists.
pub const DECIDING: Limits = Limits {
    operations: 20_000,
    call_levels: 16,
    expression_depth: 32,
    string_bytes: 32 * 1024,
    array_items: 1_000,
    map_items: 500,
    variables: 32,
    functions: 1_000,
    wall: Duration::from_millis(50),
};

/// The top level of a file that registers things: loops that make many rules need more steps.
pub const LOADING: Limits =
    Limits { operations: 50_000, variables: 256, wall: Duration::from_millis(500), ..DECIDING };

/// Bytes of stack for whoever evaluates under `LOADING`. Closures that capture closures make a chain
/// as long as the operations allow, and Rust takes it down recursively: 50,000 operations need 2 MiB
/// there, and 20,000 need 512 KiB, which every thread has.
pub const LOADING_STACK_BYTES: usize = 32 * 1024 * 1024;

impl Limits {
    pub(super) fn apply(&self, engine: &mut Engine) {
        engine
            .set_max_operations(self.operations)
            .set_max_call_levels(self.call_levels)
            .set_max_expr_depths(self.expression_depth, self.expression_depth)
            .set_max_string_size(self.string_bytes)
            .set_max_array_size(self.array_items)
            .set_max_map_size(self.map_items)
            .set_max_variables(self.variables)
            .set_max_functions(self.functions);
    }
}

/// How large a value is, everything inside it counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of all texts.
    pub string_bytes: usize,
    /// Items of all lists.
    pub array_items: usize,
    /// Entries of all maps.
    pub map_items: usize,
}

/// The largest input for which limits are widened; a script on a larger one may fail.
const INPUT_LIMIT: Sizes =
    Sizes { string_bytes: 1024 * 1024, array_items: 20_000, map_items: 20_000 };

impl Sizes {
    /// The sizes of a JSON value.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        let mut sizes = Self::default();
        sizes.add(value);
        sizes
    }

    /// Whether limits are widened for all of it.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.string_bytes <= INPUT_LIMIT.string_bytes
            && self.array_items <= INPUT_LIMIT.array_items
            && self.map_items <= INPUT_LIMIT.map_items
    }

    fn add(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.string_bytes += text.len(),
            Value::Array(items) => {
                self.array_items += items.len();
                for item in items {
                    self.add(item);
                }
            }
            Value::Object(entries) => {
                self.map_items += entries.len();
                for value in entries.values() {
                    self.add(value);
                }
            }
            _ => {}
        }
    }
}

/// Widens an engine's sizes, so that a script can work on an input of these sizes as it is, and build
/// as much beside it as ever.
pub fn admit(engine: &mut Engine, limits: &Limits, input: Sizes) {
    let Sizes { string_bytes, array_items, map_items } = input;
    let most = INPUT_LIMIT;
    engine
        .set_max_string_size(limits.string_bytes + string_bytes.min(most.string_bytes))
        .set_max_array_size(limits.array_items + array_items.min(most.array_items))
        .set_max_map_size(limits.map_items + map_items.min(most.map_items));
}

/// Operations between two looks at the clock: a look costs as much as an operation.
const LOOK_EVERY: u64 = 16;

/// The moment at which an engine's scripts have to end. One engine runs one script at a time.
#[derive(Debug, Clone)]
pub struct Deadline {
    wall: Duration,
    origin: Instant,
    end_nanos: Arc<AtomicU64>,
}

impl Deadline {
    pub(super) fn watch(engine: &mut Engine, wall: Duration) -> Self {
        let deadline =
            Self { wall, origin: Instant::now(), end_nanos: Arc::new(AtomicU64::new(u64::MAX)) };
        let watched = deadline.clone();
        engine.on_progress(move |operations| {
            let look = operations.is_multiple_of(LOOK_EVERY);
            (look && watched.is_over()).then(|| "time".into())
        });
        deadline
    }

    /// A script begins now.
    pub fn start(&self) {
        let end = self.origin.elapsed() + self.wall;
        self.end_nanos.store(nanos(end), Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        nanos(self.origin.elapsed()) > self.end_nanos.load(Ordering::Relaxed)
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
