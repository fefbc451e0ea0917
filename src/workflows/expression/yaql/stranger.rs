//! Calls of what is not in the library.

use crate::model::problem::nearest;
use crate::workflows::expression::yaql::library;
use crate::workflows::expression::yaql::tree::Expr;

/// The functions and methods of a tree that are not known, with the name that may be meant.
pub(super) fn strangers(tree: &Expr) -> Vec<(String, Option<String>)> {
    let mut calls = Vec::new();
    gather(tree, false, &mut calls);
    // A function that the expression defines may be called anywhere within.
    if calls.iter().any(|(name, _)| *name == "def") {
        return Vec::new();
    }
    calls.retain(|(name, is_method)| !library::has(name, *is_method));
    let stranger = |(name, is_method): (&str, bool)| {
        let kind = if is_method { "method" } else { "function" };
        let meant = nearest(name, library::names(is_method)).map(str::to_owned);
        (format!("Unknown {kind} \"{name}\""), meant)
    };
    calls.into_iter().map(stranger).collect()
}

/// Every call in `tree`, and whether it is a method's.
fn gather<'t>(tree: &'t Expr, is_method: bool, calls: &mut Vec<(&'t str, bool)>) {
    let mut each = |trees: &'t [Expr]| trees.iter().for_each(|one| gather(one, false, calls));
    match tree {
        Expr::Constant(_) | Expr::Word(_) | Expr::Variable(_) | Expr::Missing => {}
        Expr::List(parts) | Expr::Map(parts) => each(parts),
        Expr::Call(name, arguments) => {
            each(arguments);
            calls.push((name, is_method));
        }
        Expr::Index(value, arguments) => {
            each(arguments);
            gather(value, is_method, calls);
        }
        Expr::Unary(_, value) => gather(value, false, calls),
        Expr::Binary(sign, left, right) => {
            gather(left, false, calls);
            gather(right, matches!(*sign, "." | "?."), calls);
        }
        Expr::Rule(name, value) => {
            gather(name, false, calls);
            gather(value, false, calls);
        }
    }
}
