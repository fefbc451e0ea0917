//! What a flow gives when it is over.

use std::sync::Arc;

use serde_json::Map;

use crate::workflows::Context;
use crate::workflows::conduct::parts::Entry;
use crate::workflows::conduct::state::State;
use crate::workflows::conduct::steps::Steps;
use crate::workflows::conduct::trail::lay_over;

impl Steps<'_> {
    /// Works out what the flow gives, once it is over.
    pub fn render_output(&mut self) {
        let status = self.flow.head.status;
        let has_output = self.flow.output.is_some() || self.definition.output.is_empty();
        if !status.is_done() || has_output {
            return;
        }
        let mut context = self.terminal_context();
        let mut output = Map::new();
        let mut broken = false;
        for (name, source) in &self.definition.output {
            match self.eyes(&context, 0).value(source) {
                Ok(value) => {
                    context.insert(name.as_str().into(), Arc::new(value.clone()));
                    output.insert(name.clone(), value);
                }
                Err(message) => {
                    broken = true;
                    self.fault(message);
                }
            }
        }
        if !output.is_empty() {
            self.flow.set_output(Some(output));
        }
        if broken && matches!(status, State::Succeeded | State::Failed) {
            self.fail();
        }
    }

    /// What is known where the flow ended: the contexts of its last tasks, later ones winning.
    pub fn terminal_context(&mut self) -> Context {
        let mut context = Context::new();
        let last = |at: u32, entry: &Entry| {
            // Orquesta asks only whether a task ended last; a task that led nowhere counts here in
            // any case, so that the output does not depend on who was first.
            let led = entry.next.contains(&Some(true)) || !self.flow.is_latest(at);
            entry.term || (entry.state.is_done() && !led)
        };
        let ways: Vec<u32> = (0..)
            .zip(&self.flow.entries)
            .filter(|(at, entry)| last(*at, entry))
            .map(|(_, entry)| entry.way)
            .collect();
        for (at, way) in ways.into_iter().enumerate() {
            if at == 0 {
                context = Context::clone(&self.flow.context(way));
            } else {
                let published = self.flow.published(way);
                lay_over(&mut context, &published);
            }
        }
        context
    }
}
