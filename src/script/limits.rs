//! What a script may use: operations, depth, sizes, wall time. Every script has such limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rhai::Engine;

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

/// A rule's closure, asked about one event. The sizes times depth times variables stay below
/// 32 MiB whatever a script does (`tests/rules/limits.rs` measures the worst one known).
pub const DECIDING: Limits = Limits {
    operations: 20_000,
    call_levels: 16,
    expression_depth: 32,
    string_bytes: 64 * 1024,
    array_items: 1_000,
    map_items: 500,
    variables: 64,
    functions: 1_000,
    wall: Duration::from_millis(50),
};

/// The top level of a file that registers things: loops that make many rules need more steps.
pub const LOADING: Limits =
    Limits { operations: 50_000, wall: Duration::from_millis(500), ..DECIDING };

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
