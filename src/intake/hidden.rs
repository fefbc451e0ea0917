//! What intake keeps and nobody may read who has the store's file alone: events with secret fields are
//! sealed, and decisions are kept with the secrets struck out, since the executions have them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::model::event::Event;
use crate::model::reference::Reference;
use crate::model::rule::{Decision, Effect};
use crate::packs::catalog::Catalog;
use crate::packs::secrets;
use crate::vault::redact::Redactor;

/// What is secret in what comes in, and in what rules make of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hidden {
    /// Triggers whose payload has secret fields.
    triggers: BTreeSet<Reference>,
    /// Knows the secret keys that rules may read; nothing where there are none.
    keys: Option<Arc<Redactor>>,
}

impl Hidden {
    /// The same for another catalog.
    #[must_use]
    pub(crate) fn with_triggers(self, catalog: &Catalog) -> Self {
        let nothing = Value::Object(Map::new());
        let hidden = |schema: &Value| secrets::find(schema) != nothing;
        let named = catalog.triggers.iter().filter(|(_, one)| hidden(&one.payload_schema));
        Self { triggers: named.map(|(name, _)| name.clone()).collect(), ..self }
    }

    /// The same for other secret keys.
    pub(crate) fn know<'v>(&mut self, values: impl Iterator<Item = &'v Value>) {
        let texts: Vec<String> = values.flat_map(secrets::leaves).collect();
        self.keys = (!texts.is_empty()).then(|| Arc::new(Redactor::new(&texts)));
    }

    /// Whether any of these has a secret field.
    pub(crate) fn is_in(&self, events: &[Event]) -> bool {
        !self.triggers.is_empty()
            && events.iter().any(|event| self.triggers.contains(&event.trigger))
    }

    /// Whether a rule may remember a secret field.
    pub(crate) fn is_heard(&self, catalog: &Catalog, rule: &Reference) -> bool {
        let hears = |trigger: &Reference| {
            let rule = catalog.rules.get(rule);
            rule.is_some_and(|rule| rule.on().iter().any(|pattern| pattern.fits(trigger)))
        };
        self.triggers.iter().any(hears)
    }

    /// Whether an execution with these parameters holds a secret.
    pub(crate) fn is_given(
        &self,
        catalog: &Catalog,
        action: &Reference,
        given: &Map<String, Value>,
    ) -> bool {
        let named = catalog.accepts.get(action).is_some_and(|one| secrets::held(one, given));
        named
            || self.keys.as_ref().is_some_and(|keys| {
                let all = Value::Object(given.clone());
                keys.value(&all) != all
            })
    }

    /// Strikes secrets out of what was decided, for the history.
    pub(crate) fn strike(&self, catalog: &Catalog, decisions: &mut [Decision]) {
        for effect in decisions.iter_mut().flat_map(|decision| &mut decision.effects) {
            match effect {
                Effect::Run { action, parameters, .. } => {
                    let Some(accepts) = catalog.accepts.get(action) else { continue };
                    if !self.is_given(catalog, action, parameters) {
                        continue;
                    }
                    let all = Value::Object(std::mem::take(parameters));
                    let masked = self.struck(&secrets::mask(&all, &secrets::of(accepts)));
                    if let Value::Object(masked) = masked {
                        *parameters = masked;
                    }
                }
                Effect::Emit { data: value, .. } | Effect::Set { value, .. } => {
                    *value = self.struck(value);
                }
                Effect::Notify { text, .. } | Effect::Log { text } => {
                    if let Some(keys) = &self.keys {
                        *text = keys.text(text);
                    }
                }
                Effect::Incident(_) | Effect::Resolve { .. } | Effect::Steer { .. } => {}
            }
        }
    }

    fn struck(&self, value: &Value) -> Value {
        self.keys.as_ref().map_or_else(|| value.clone(), |keys| keys.value(value))
    }
}
