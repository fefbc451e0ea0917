//! What an attempt works with once its templates are rendered: the defaults of its parameters and the
//! configuration of its pack.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::executions::Room;
use crate::model::execution::Execution;
use crate::model::key::KeyValue;
use crate::model::parameter::Parameters;
use crate::packs::parameters::ParameterError;
use crate::packs::{self, render};
use crate::store::{self, table};

/// Templates rendered.
pub(super) struct Rendered {
    /// What may be given, with its defaults.
    pub(super) accepts: Parameters,
    /// The pack's configuration.
    pub(super) config: Arc<Value>,
    /// Texts of secret keys that went into them: nobody is to read these in an output.
    pub(super) opened: Vec<String>,
}

/// Renders; the inner error says which template cannot be, in one line for people.
pub(super) async fn render(
    room: &Room,
    execution: &Execution,
    config: Arc<Value>,
) -> Result<Result<Rendered, String>, store::Error> {
    let accepts = room.accepts(&execution.action);
    let defaults: Value = accepts.iter().filter_map(|(_, one)| one.default.clone()).collect();
    if !render::is_template(&defaults) && !render::is_template(&config) {
        return Ok(Ok(Rendered { accepts, config, opened: Vec::new() }));
    }
    let (mut keys, mut opened) = (BTreeMap::new(), Vec::new());
    for wanted in render::keys(&defaults).into_iter().chain(render::keys(&config)) {
        if let Some(value) = value(room, &execution.user, &wanted).await? {
            if value.secret {
                opened.extend(packs::secrets::leaves(&value.value));
            }
            keys.insert(wanted, value.value);
        }
    }
    Ok(rendered(execution, (accepts, &config), &keys)
        .map(|made| Rendered { opened, ..made })
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))
}

fn rendered(
    execution: &Execution,
    (accepts, config): (Parameters, &Value),
    keys: &BTreeMap<String, Value>,
) -> Result<Rendered, Vec<ParameterError>> {
    let config = render::config(config, keys)?;
    let action = json!({
        "user": execution.user,
        "pack": execution.action.reference.pack(),
        "action_execution_id": execution.id,
    });
    let line = matches!(execution.action.runner.as_str(), "shell" | "ssh").then_some("cmd");
    let context = render::Context { config: &config, action: &action, keys, line };
    let accepts = render::defaults(&accepts, &execution.given, context)?;
    Ok(Rendered { accepts, config: Arc::new(config), opened: Vec::new() })
}

/// The row of `system.name` or `user.name`, the user being `user`.
pub(super) async fn value(
    room: &Room,
    user: &str,
    wanted: &str,
) -> Result<Option<KeyValue>, store::Error> {
    let Some((scope, name)) = wanted.split_once('.') else { return Ok(None) };
    let scope = match scope {
        "user" => format!("st2kv.user:{user}"),
        scope => format!("st2kv.{scope}"),
    };
    let key = [scope.as_bytes(), &[0], name.as_bytes()].concat();
    let held = table::get::<KeyValue>(&room.parts.store, key).await?;
    let alive = held.filter(|held| held.row.expires.is_none_or(|end| end > room.parts.clock.now()));
    Ok(alive.map(|held| held.row))
}
