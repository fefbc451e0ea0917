//! Which values of an execution nobody may see: the secret parts of its parameters and of its pack's
//! configuration.

use serde_json::{Map, Value};

use crate::model::parameter::Parameters;
use crate::packs::secrets;

/// The parameters as anybody may see them.
pub(super) fn mask(parameters: &Parameters, given: &Map<String, Value>) -> Value {
    secrets::mask(&Value::Object(given.clone()), &secrets::of(parameters))
}

/// The texts among the secret parameters, given or by default.
pub(super) fn values(parameters: &Parameters, given: &Map<String, Value>) -> Vec<String> {
    let mut all = given.clone();
    for (name, parameter) in parameters {
        if let Some(default) = &parameter.default {
            all.entry(name.clone()).or_insert_with(|| default.clone());
        }
    }
    secrets::texts(&Value::Object(all), &secrets::of(parameters))
}
