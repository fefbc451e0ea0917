//! Names as helps give them.

use crate::model::problem::nearest;

/// How many names a help lists.
const LISTED: usize = 12;

/// `did you mean `x`?`, where one of `names` is like `given`.
pub(super) fn meant<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(given, names).map(|name| format!("did you mean `{name}`?"))
}

/// The same, or which names there are.
pub(super) fn meant_or_listed<'a>(
    given: &str,
    what: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Option<String> {
    meant(given, names.clone()).or_else(|| {
        let mut names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        names.sort_unstable();
        names.dedup();
        let left = names.len().saturating_sub(LISTED);
        names.truncate(LISTED);
        let more = if left > 0 { format!(" and {left} more") } else { String::new() };
        (!names.is_empty()).then(|| format!("{what} {}{more}", names.join(", ")))
    })
}
