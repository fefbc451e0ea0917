//! Paths of files, as POSIX splits them.

use serde_json::Value;

use crate::workflows::expression::fault::Fault;

fn text(value: &Value) -> Result<&str, Fault> {
    value.as_str().ok_or_else(|| {
        Fault::kind_of_value("expected str, bytes or os.PathLike object, not another kind of value")
    })
}

pub(super) fn basename(given: &[Value]) -> Result<Value, Fault> {
    let path = text(&given[0])?;
    Ok(path.rsplit_once('/').map_or(path, |(_, name)| name).into())
}

pub(super) fn dirname(given: &[Value]) -> Result<Value, Fault> {
    let path = text(&given[0])?;
    let head = path.rfind('/').map_or("", |at| &path[..=at]);
    let trimmed = head.trim_end_matches('/');
    Ok(if trimmed.is_empty() { head } else { trimmed }.into())
}
