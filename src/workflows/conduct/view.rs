//! A flow as StackStorm's API shows it: Orquesta's words and shapes.

use serde_json::{Map, Value, json};

use crate::workflows::conduct::flow::{Flow, Staged};
use crate::workflows::definition::Definition;

impl Flow {
    /// Status, output, errors, sequence, routes, contexts and staged tasks, as Orquesta's conductor
    /// serialises them.
    #[must_use]
    pub fn orquesta(&self, definition: &Definition) -> Value {
        let errors: Vec<Value> = self.faults.iter().map(super::flow::Fault::json).collect();
        let routes: Vec<&[std::sync::Arc<str>]> = self.routes().collect();
        let contexts: Vec<Value> = self.contexts.iter().map(|context| json!(context)).collect();
        let staged: Vec<Value> = self.staged.values().map(|staged| self.staged(staged)).collect();
        json!({
            "workflow_status": self.state().word(),
            "output": self.output,
            "errors": errors,
            "sequence": self.sequence(definition),
            "routes": routes,
            "contexts": contexts,
            "staged": staged,
        })
    }

    fn sequence(&self, definition: &Definition) -> Vec<Value> {
        let one = |entry: &super::flow::Entry| {
            let edges = definition.graph().find(&entry.name).map_or(&[][..], |node| &node.out);
            let followed = edges.iter().zip(&entry.next);
            let next: Map<String, Value> = followed
                .filter_map(|(edge, next)| next.map(|next| (edge.id.to_string(), json!(next))))
                .collect();
            json!({
                "id": entry.name,
                "route": entry.route,
                "status": entry.state.word(),
                "term": entry.term,
                "next": next,
            })
        };
        self.entries.iter().map(one).collect()
    }

    fn staged(&self, staged: &Staged) -> Value {
        let batch = staged.batch.and_then(|batch| self.batches.get(&batch));
        let items = batch.map(|batch| {
            batch
                .items
                .iter()
                .map(|item| json!({ "status": item.state.word() }))
                .collect::<Vec<_>>()
        });
        json!({
            "id": staged.name,
            "route": staged.route,
            "ready": staged.ready,
            "items": items,
            "run_on_fail": staged.run_on_fail.then_some(true),
        })
    }
}
