//! What a rule captured, as it was when `rule()` was called: a copy that shares nothing with the
//! file's variables (`reference/spikes.md` 1.4, T5).
//!
//! Rhai finds a closure by its name, among the functions of whoever calls it. A closure that a file
//! gave to a library, or a library to a file, would not be found there; so where one closure captured
//! one from elsewhere, it gets a pointer that brings along what it needs.

use std::sync::Arc;

use rhai::{Array, Dynamic, FnPtr, Map};

use crate::rules::closure::{Closure, Surroundings};

/// Values in one rule's captures and options together; closures that capture each other twice would
/// double with each step.
const VALUES_LIMIT: usize = 10_000;

/// Values inside values: closures inside closures make chains, and Rust takes them down recursively.
const DEPTH_LIMIT: usize = 64;

/// Copies `value` deeply. Its closures are those of `home`, or of what stands `elsewhere`.
///
/// # Errors
/// Says that it is too large or too deep to be captured.
pub(crate) fn snapshot(
    value: Dynamic,
    home: &Arc<Surroundings>,
    elsewhere: &[Arc<Surroundings>],
) -> Result<Dynamic, String> {
    Copier { left: VALUES_LIMIT, home, elsewhere }.copy(value, 0, None)
}

struct Copier<'c> {
    left: usize,
    home: &'c Arc<Surroundings>,
    elsewhere: &'c [Arc<Surroundings>],
}

impl Copier<'_> {
    /// `holder` is what stands around the closure that captured the value.
    fn copy(
        &mut self,
        value: Dynamic,
        depth: usize,
        holder: Option<&Arc<Surroundings>>,
    ) -> Result<Dynamic, String> {
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
            let items: Result<Array, _> =
                items.map(|item| self.copy(item, depth + 1, holder)).collect();
            return items.map(Into::into);
        }
        if value.is_map() {
            let entries = value.cast::<Map>().into_iter();
            let entries: Result<Map, String> = entries
                .map(|(name, value)| Ok((name, self.copy(value, depth + 1, holder)?)))
                .collect();
            return entries.map(Into::into);
        }
        if value.is_fnptr() {
            return self.pointer(value.cast::<FnPtr>(), depth, holder);
        }
        Ok(value)
    }

    fn pointer(
        &mut self,
        mut pointer: FnPtr,
        depth: usize,
        holder: Option<&Arc<Surroundings>>,
    ) -> Result<Dynamic, String> {
        let near = holder.unwrap_or(self.home);
        let mut all = [near, self.home].into_iter().chain(self.elsewhere);
        let origin = all.find(|one| one.function(pointer.fn_name()).is_some());
        let origin = Arc::clone(origin.unwrap_or(near));
        let captured: Vec<Dynamic> = pointer.curry().to_vec();
        let captured: Result<Vec<_>, _> =
            captured.into_iter().map(|value| self.copy(value, depth + 1, Some(&origin))).collect();
        pointer.set_curry(captured?);
        let travels = holder.is_some_and(|holder| !Arc::ptr_eq(holder, &origin));
        match origin.function(pointer.fn_name()).filter(|_| travels) {
            Some(function) => {
                let closure = Closure::whole(&pointer, function, Some(Arc::clone(&origin)));
                Ok(closure.travelling().into())
            }
            None => Ok(pointer.into()),
        }
    }
}
