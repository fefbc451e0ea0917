//! What expressions may call, by what it is about; each file has a table of its functions.

#![expect(clippy::unnecessary_wraps, reason = "all functions of a table have one shape")]

pub(super) mod operator;
mod math;
mod text;
mod pattern;
mod list;
mod dict;
mod set;
mod query;
mod fold;
mod branch;
mod system;
pub(super) mod time;
mod stackstorm;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::functions;
use crate::workflows::expression::yaql::Answer;
use crate::workflows::expression::yaql::call::{self, Arguments};
use crate::workflows::expression::yaql::run::Run;
use crate::workflows::expression::yaql::signature::{Row, Signature, Way};
use crate::workflows::expression::yaql::value::Datum;

/// All tables.
const TABLES: &[&[Row]] = &[
    math::TABLE,
    text::TABLE,
    pattern::TABLE,
    list::TABLE,
    dict::TABLE,
    set::TABLE,
    query::TABLE,
    fold::TABLE,
    branch::TABLE,
    system::TABLE,
    time::TABLE,
    stackstorm::TABLE,
];

/// The signatures of every name, read once; a constant in all but name.
static SIGNATURES: LazyLock<HashMap<&'static str, Vec<Signature>>> = LazyLock::new(|| {
    let mut all: HashMap<&'static str, Vec<Signature>> = HashMap::new();
    for row in TABLES.iter().copied().flatten() {
        all.entry(row.0).or_default().extend(Signature::read(row));
    }
    all
});

/// Whether there is a method, or a function, of that name.
pub(super) fn has(name: &str, is_method: bool) -> bool {
    let fits = |known: &Signature| known.way != other_way(is_method);
    SIGNATURES.get(name).is_some_and(|known| known.iter().any(fits))
        || (!is_method && functions::find(name).is_some())
}

/// The names of all methods, or of all functions, in their order.
pub(super) fn names(is_method: bool) -> impl Iterator<Item = &'static str> {
    let written = TABLES.iter().copied().flatten().map(|row| row.0);
    let on_data = functions::TABLE.iter().map(|row| row.0);
    written.chain(on_data).filter(move |name| has(name, is_method))
}

/// The way that nobody goes who calls a method, or a function.
const fn other_way(is_method: bool) -> Way {
    if is_method { Way::Function } else { Way::Method }
}

/// Calls a function, or a method of `receiver`.
///
/// # Errors
/// There is none of the name, or none that takes the arguments; or what it fails with.
pub(super) fn call<'a>(
    run: &mut Run<'a>,
    name: &str,
    receiver: Option<Datum<'a>>,
    arguments: &Arguments<'_, 'a>,
) -> Answer<'a> {
    if receiver.is_none() {
        let (Arguments::Written(_, frame) | Arguments::Given(_, _, frame)) = arguments;
        if let Some(lambda) = frame.function(name) {
            return call::defined(run, &lambda, arguments);
        }
    }
    let other = other_way(receiver.is_some());
    let known = SIGNATURES.get(name).map_or(&[][..], Vec::as_slice);
    let fitting: Vec<&Signature> = known.iter().filter(|known| known.way != other).collect();
    if !fitting.is_empty() {
        return call::call(run, name, receiver.as_ref(), arguments, &fitting);
    }
    if receiver.is_none()
        && let Some(row) = functions::find(name)
    {
        return call::with_data(run, row, arguments);
    }
    Err(match receiver {
        None => Fault::new("NoFunctionRegisteredException", format!("Unknown function \"{name}\"")),
        Some(receiver) => Fault::new(
            "NoMethodRegisteredException",
            format!("Unknown method \"{name}\" for receiver {}", receiver.shown_shortly()),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_tables_can_be_read() {
        for row in TABLES.iter().copied().flatten() {
            assert!(Signature::read(row).is_some(), "{}: {}", row.0, row.2);
        }
    }
}
