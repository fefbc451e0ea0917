//! The fields that a closure names, each name with its place.

use std::collections::BTreeSet;

use rhai::{ASTFlags, ASTNode, Expr, Position, Stmt};

use crate::rules::closure::Closure;
use crate::rules::window::FIELD_FUNCTIONS;

/// A field, from the event on.
pub(crate) struct Named {
    /// The names on the way to it, each with its place.
    pub(crate) steps: Vec<(Box<str>, Position)>,
    /// Whether the closure asks if it is there.
    pub(crate) asked: bool,
}

/// The fields of the event that a closure names: `e.a.b`, `e["a"]`.
pub(crate) fn of_event(closure: &Closure) -> Vec<Named> {
    let (mut named, mut present) = (Vec::new(), BTreeSet::new());
    let mut hidden = false;
    closure.body().walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
        match path.last() {
            Some(ASTNode::Expr(chain @ (Expr::Dot(..) | Expr::Index(..)))) => {
                named.extend(field(chain, closure));
            }
            Some(ASTNode::Expr(Expr::FnCall(call, _) | Expr::MethodCall(call, _))) => {
                present.extend(asked(&call.name, &call.args, closure));
            }
            Some(ASTNode::Expr(Expr::Coalesce(sides, _))) => {
                present.extend(sides.iter().filter_map(|side| names(side, closure)));
            }
            Some(ASTNode::Stmt(statement)) => hidden |= hides(statement, closure),
            _ => {}
        }
        true
    });
    if hidden {
        return Vec::new();
    }
    let steps = |steps: Vec<(Box<str>, Position)>| {
        let asked = present.contains(&path(&steps));
        Named { steps, asked }
    };
    named.into_iter().map(steps).collect()
}

/// The fields that are named to a window: `w.avg("ms")`, `m.window.max("disk.used")`.
pub(crate) fn of_window(closure: &Closure) -> Vec<Named> {
    let named = closure.named(FIELD_FUNCTIONS).unwrap_or_default();
    let steps = |(text, at): (String, Position)| Named {
        steps: text.split('.').map(|name| (name.into(), at)).collect(),
        asked: false,
    };
    named.into_iter().map(steps).collect()
}

/// The fields in `present(e.x)`, `e.x == ()` and `e.x != ()`.
fn asked(name: &str, arguments: &[Expr], closure: &Closure) -> Option<Vec<Box<str>>> {
    match (name, arguments) {
        ("present", [side]) | ("==" | "!=", [side, Expr::Unit(_)] | [Expr::Unit(_), side]) => {
            names(side, closure)
        }
        _ => None,
    }
}

pub(crate) fn names(expression: &Expr, closure: &Closure) -> Option<Vec<Box<str>>> {
    field(expression, closure).map(|steps| path(&steps))
}

fn path(steps: &[(Box<str>, Position)]) -> Vec<Box<str>> {
    steps.iter().map(|(name, _)| name.clone()).collect()
}

/// Whether a statement gives the event's name to something else.
fn hides(statement: &Stmt, closure: &Closure) -> bool {
    match statement {
        Stmt::Var(variable, ..) => is_event(&variable.0.name, closure),
        Stmt::For(each, _) => {
            let also = each.1.as_ref().is_some_and(|also| is_event(&also.name, closure));
            also || is_event(&each.0.name, closure)
        }
        Stmt::Assignment(pair) => {
            matches!(&pair.1.lhs, Expr::Variable(variable, ..) if is_event(&variable.1, closure))
        }
        _ => false,
    }
}

pub(crate) fn is_event(name: &str, closure: &Closure) -> bool {
    closure.place_of(name) == Some(closure.captured().len())
}

/// The field that a chain begins with, up to the first call or computed index.
fn field(chain: &Expr, closure: &Closure) -> Option<Vec<(Box<str>, Position)>> {
    let (Expr::Dot(pair, ..) | Expr::Index(pair, ..)) = chain else { return None };
    let Expr::Variable(root, _, _) = &pair.lhs else { return None };
    if !root.2.is_empty() || !is_event(&root.1, closure) {
        return None;
    }
    let (mut steps, mut rest) = (Vec::new(), chain);
    loop {
        let (pair, flags, dotted) = match rest {
            Expr::Dot(pair, flags, _) => (pair, flags, true),
            Expr::Index(pair, flags, _) => (pair, flags, false),
            _ => break,
        };
        let goes_on = !flags.contains(ASTFlags::BREAK);
        let (part, next) = match &pair.rhs {
            Expr::Dot(inner, ..) | Expr::Index(inner, ..) if goes_on => (&inner.lhs, true),
            last => (last, false),
        };
        match part {
            Expr::Property(property, at) if dotted => {
                steps.push((property.2.as_str().into(), *at));
            }
            Expr::StringConstant(name, at) if !dotted => steps.push((name.as_str().into(), *at)),
            _ => break,
        }
        if !next {
            break;
        }
        rest = &pair.rhs;
    }
    (!steps.is_empty()).then_some(steps)
}
