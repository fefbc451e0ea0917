//! The simplest expressions, until the languages are here: `ctx(x)`, `ctx().x`, `result()`, `item(x)`,
//! `succeeded()`, `failed()`, `completed()`.

use serde_json::Value;

use crate::workflows::expression::Scope;

/// An expression that cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("YaqlEvaluationException: Unable to evaluate expression '{expression}'. {why}")]
pub struct Error {
    expression: String,
    why: String,
}

/// Evaluates every expression in `value`.
///
/// # Errors
/// The first that cannot be evaluated.
pub fn evaluate(value: &Value, scope: &Scope<'_>) -> Result<Value, Error> {
    Ok(match value {
        Value::String(text) => text_of(text, scope)?,
        Value::Array(list) => {
            list.iter().map(|one| evaluate(one, scope)).collect::<Result<_, _>>()?
        }
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, one)| Ok((key.clone(), evaluate(one, scope)?)))
                .collect::<Result<_, _>>()?,
        ),
        other => other.clone(),
    })
}

/// Whether an expression holds.
///
/// # Errors
/// Where it cannot be evaluated.
pub fn truthy(text: &str, scope: &Scope<'_>) -> Result<bool, Error> {
    Ok(match text_of(text, scope)? {
        Value::Null => false,
        Value::Bool(truth) => truth,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Number(n) => n.as_f64() != Some(0.0),
    })
}

fn text_of(text: &str, scope: &Scope<'_>) -> Result<Value, Error> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find("<%") {
        let Some(close) = rest[open..].find("%>").map(|at| at + open) else { break };
        let inner = rest[open + 2..close].trim();
        let value = one(inner, scope)
            .map_err(|why| Error { expression: rest[open..close + 2].to_owned(), why })?;
        if open == 0 && out.is_empty() && close + 2 == rest.len() && rest.len() == text.len() {
            return Ok(value);
        }
        out.push_str(&rest[..open]);
        match value {
            Value::String(text) => out.push_str(&text),
            other => out.push_str(&other.to_string()),
        }
        rest = &rest[close + 2..];
    }
    out.push_str(rest);
    Ok(Value::String(out))
}

fn one(inner: &str, scope: &Scope<'_>) -> Result<Value, String> {
    let parts: Vec<&str> = inner.split(" and ").map(str::trim).collect();
    if parts.len() > 1 {
        for part in parts {
            if one(part, scope)? != Value::Bool(true) {
                return Ok(Value::Bool(false));
            }
        }
        return Ok(Value::Bool(true));
    }
    for op in [" = ", " > ", " < "] {
        if let Some((a, b)) = inner.split_once(op) {
            let (a, b) = (one(a.trim(), scope)?, one(b.trim(), scope)?);
            return Ok(Value::Bool(match op {
                " = " => a == b,
                " > " => a.as_f64() > b.as_f64(),
                _ => a.as_f64() < b.as_f64(),
            }));
        }
    }
    if let Some((a, b)) = inner.split_once(" + ") {
        let (a, b) = (one(a.trim(), scope)?, one(b.trim(), scope)?);
        if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64()) {
            return Ok(Value::from(a + b));
        }
    }
    if let Ok(value) = serde_json::from_str(inner) {
        return Ok(value);
    }
    let seen = scope
        .task
        .ok_or("ExpressionEvaluationException: The current task is not set in the context.");
    let (head, path) = inner.split_once(')').ok_or_else(|| format!("`{inner}` is not known"))?;
    let (function, argument) = head.split_once('(').unwrap_or((head, ""));
    let argument = argument.trim_matches(['"', '\'', ' ']);
    let mut value = match function {
        "succeeded" => Value::Bool(seen?.status == "succeeded"),
        "failed" => Value::Bool(seen?.status == "failed"),
        "completed" => Value::Bool(
            ["succeeded", "failed", "canceled", "timeout", "abandoned"].contains(&seen?.status),
        ),
        "result" => seen?.result.clone(),
        "item" if argument.is_empty() => scope.item.cloned().unwrap_or_default(),
        "item" => scope.item.and_then(|item| item.get(argument)).cloned().ok_or(format!(
            "ExpressionEvaluationException: Item does not have key \"{argument}\"."
        ))?,
        "ctx" if argument.starts_with("__") => {
            return Err(format!(
                "VariableInaccessibleError: The variable \"{argument}\" is for internal use and inaccessible."
            ));
        }
        "ctx" if argument.is_empty() => Value::Object(
            scope.context.iter().map(|(k, v)| (k.to_string(), v.as_ref().clone())).collect(),
        ),
        "ctx" => {
            scope.context.get(argument).map(|value| value.as_ref().clone()).ok_or(format!(
                "VariableUndefinedError: The variable \"{argument}\" is undefined."
            ))?
        }
        "task_status" => {
            scope.world.task_status(argument, None).map_or("null".into(), Value::String)
        }
        other => return Err(format!("`{other}` is not known")),
    };
    for key in path.split('.').filter(|key| !key.is_empty()) {
        value = value.get(key).cloned().ok_or(format!(
            "NoFunctionRegisteredException: Unknown function \"#property#{key}\""
        ))?;
    }
    Ok(value)
}
