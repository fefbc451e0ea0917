//! Which values of an execution nobody may see.

use serde_json::{Map, Value};

use crate::model::parameter::Parameters;
use crate::vault::redact::STRUCK;

/// The parameters as anybody may see them.
pub(super) fn mask(parameters: &Parameters, given: &Map<String, Value>) -> Value {
    let shown = given.iter().map(|(name, value)| {
        let value = if is_secret(parameters, name) { STRUCK.into() } else { value.clone() };
        (name.clone(), value)
    });
    Value::Object(shown.collect())
}

/// The texts among the secret parameters.
pub(super) fn values(parameters: &Parameters, given: &Map<String, Value>) -> Vec<String> {
    let secret = given.iter().filter(|(name, _)| is_secret(parameters, name));
    secret.filter_map(|(_, value)| value.as_str().map(str::to_owned)).collect()
}

fn is_secret(parameters: &Parameters, name: &str) -> bool {
    parameters.iter().any(|(known, parameter)| known == name && parameter.secret)
}
