//! What a rule captured, as it was when `rule()` was called: a copy that shares nothing with the
//! file's variables (`reference/spikes.md` 1.4, T5).

use rhai::{Array, Dynamic, FnPtr, Map};

/// Values in one rule's captures and options together; closures that capture each other twice would
/// double with each step.
const VALUES_LIMIT: usize = 10_000;

/// Values inside values: closures inside closures make chains, and Rust takes them down recursively.
const DEPTH_LIMIT: usize = 64;

/// Copies `value` deeply.
///
/// # Errors
/// Says that it is too large or too deep to be captured.
pub(crate) fn snapshot(value: Dynamic) -> Result<Dynamic, String> {
    Copier { left: VALUES_LIMIT }.copy(value, 0)
}

struct Copier {
    left: usize,
}

impl Copier {
    fn copy(&mut self, value: Dynamic, depth: usize) -> Result<Dynamic, String> {
        if depth > DEPTH_LIMIT {
            return Err(format!("a rule may capture values of {DEPTH_LIMIT} levels at most"));
        }
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| format!("a rule may capture {VALUES_LIMIT} values at most"))?;
        let value = value.flatten();
        if value.is_array() {
            let items = value.cast::<Array>().into_iter();
            let items: Result<Array, _> = items.map(|item| self.copy(item, depth + 1)).collect();
            return items.map(Into::into);
        }
        if value.is_map() {
            let entries = value.cast::<Map>().into_iter();
            let entries: Result<Map, String> =
                entries.map(|(name, value)| Ok((name, self.copy(value, depth + 1)?))).collect();
            return entries.map(Into::into);
        }
        if value.is_fnptr() {
            let mut pointer = value.cast::<FnPtr>();
            let captured = pointer.iter_curry().cloned();
            let captured: Result<Vec<_>, _> =
                captured.map(|value| self.copy(value, depth + 1)).collect();
            pointer.set_curry(captured?);
            return Ok(pointer.into());
        }
        Ok(value)
    }
}
