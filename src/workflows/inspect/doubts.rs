//! What runs, but hardly as it was meant: Orquesta says nothing of it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::workflows::inspect::outline::Outline;
use crate::workflows::inspect::paths::Paths;
use crate::workflows::inspect::report::Fault;

/// Tasks that no way from the start leads to. Nothing where there is no start at all, which
/// `inspect` reports.
#[must_use]
pub fn doubts(definition: &Value) -> Vec<Fault> {
    let outline = Outline::read(definition);
    let mut waiting = outline.starts();
    if waiting.is_empty() {
        return Vec::new();
    }
    let mut reached: BTreeSet<&str> = waiting.iter().copied().collect();
    while let Some(name) = waiting.pop() {
        let next = outline.after(name).iter().filter(|next| reached.insert(next));
        waiting.extend(next.copied().collect::<Vec<_>>());
    }
    let lost = outline.tasks.keys().filter(|name| !reached.contains(*name));
    let fault = |name: &&str| {
        let paths = Paths::task(name);
        Fault::new(format!("The task \"{name}\" never runs."), &paths.spec, &paths.schema)
            .help("only tasks in a circle lead to it: add a task before the circle, or remove it")
    };
    lost.map(fault).collect()
}
