//! Which values of an execution nobody may see: the secret parts of its parameters and of its pack's
//! configuration.

use serde_json::{Map, Value};

use crate::model::execution::Execution;
use crate::model::parameter::Parameters;
use crate::packs::catalog::Catalog;
use crate::packs::secrets;

/// The parameters as anybody may see them.
pub(super) fn mask(parameters: &Parameters, given: &Map<String, Value>) -> Value {
    secrets::mask(&Value::Object(given.clone()), &secrets::of(parameters))
}

/// Every text that must not appear in what the execution prints and gives.
pub(super) fn texts(execution: &Execution, catalog: &Catalog) -> Vec<String> {
    let action = &execution.action;
    let given = Value::Object(execution.given.clone());
    let mut texts = Vec::new();
    for value in secrets::values(&given, &secrets::of(&action.parameters)) {
        leaves(value, &mut texts);
    }
    let pack = action.reference.pack();
    if let (Some(config), Some(known)) = (catalog.configs.get(pack), catalog.packs.get(pack)) {
        for value in secrets::values(config, &secrets::find(&known.config_schema)) {
            leaves(value, &mut texts);
        }
    }
    texts
}

/// The texts and numbers inside a secret; what is true or false gives nothing away.
fn leaves(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => texts.push(number.to_string()),
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, texts)),
        Value::Object(fields) => fields.values().for_each(|field| leaves(field, texts)),
    }
}
