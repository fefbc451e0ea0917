//! Closures inside a rule's closure get the event by value.
//!
//! Rhai turns a captured variable into a shared one, in place. For an event that is wrong twice: the
//! inner closure could change it (T10), and `e.list.filter(|x| x > e.limit)` would lock the event
//! against itself and fail. So the sharing of parameters is taken out of the tree; what the closure
//! then captures is a copy. Local variables stay shared: `list.for_each(|x| sum += x)` counts on it.

use rhai::{ASTNode, Expr, ImmutableString, Position, Stmt, StmtBlock};

/// Takes the sharing of `names` out of a body.
pub(crate) fn by_value(statements: &mut [Stmt], names: &[ImmutableString]) {
    for statement in statements {
        visit(statement, names);
    }
}

/// Whether a node still shares one of `names`.
pub(crate) fn shares(node: &ASTNode, names: &[ImmutableString]) -> bool {
    let ASTNode::Stmt(Stmt::Share(shared)) = node else { return false };
    shared.iter().any(|(name, _)| names.contains(&name.name))
}

fn visit(statement: &mut Stmt, names: &[ImmutableString]) {
    match statement {
        Stmt::Share(shared) => {
            shared.retain(|(name, _)| !names.contains(&name.name));
            if shared.is_empty() {
                // Rhai takes for granted that something is shared where sharing stands.
                *statement = Stmt::Noop(Position::NONE);
            }
        }
        Stmt::If(flow, _)
        | Stmt::While(flow, _)
        | Stmt::Do(flow, _, _)
        | Stmt::TryCatch(flow, _) => {
            expression(&mut flow.expr, names);
            block(&mut flow.body, names);
            block(&mut flow.branch, names);
        }
        Stmt::For(flow, _) => {
            expression(&mut flow.2.expr, names);
            block(&mut flow.2.body, names);
            block(&mut flow.2.branch, names);
        }
        Stmt::Switch(switch, _) => {
            expression(&mut switch.0, names);
            for case in &mut switch.1.expressions {
                expression(&mut case.lhs, names);
                expression(&mut case.rhs, names);
            }
        }
        Stmt::Var(variable, _, _) => expression(&mut variable.1, names),
        Stmt::Assignment(pair) => {
            expression(&mut pair.1.lhs, names);
            expression(&mut pair.1.rhs, names);
        }
        Stmt::FnCall(call, _) => call.args.iter_mut().for_each(|inner| expression(inner, names)),
        Stmt::Block(inner) => block(inner, names),
        Stmt::Expr(inner) => expression(inner, names),
        Stmt::Return(Some(inner), _, _) | Stmt::BreakLoop(Some(inner), _, _) => {
            expression(inner, names);
        }
        _ => {}
    }
}

fn block(block: &mut StmtBlock, names: &[ImmutableString]) {
    by_value(block.statements_mut(), names);
}

fn expression(node: &mut Expr, names: &[ImmutableString]) {
    match node {
        Expr::InterpolatedString(parts, _) | Expr::Array(parts, _) => {
            parts.iter_mut().for_each(|part| expression(part, names));
        }
        Expr::Map(map, _) => map.0.iter_mut().for_each(|(_, value)| expression(value, names)),
        Expr::Stmt(inner) => block(inner, names),
        Expr::FnCall(call, _) | Expr::MethodCall(call, _) => {
            call.args.iter_mut().for_each(|inner| expression(inner, names));
        }
        Expr::Dot(pair, _, _) | Expr::Index(pair, _, _) => {
            expression(&mut pair.lhs, names);
            expression(&mut pair.rhs, names);
        }
        Expr::And(parts, _) | Expr::Or(parts, _) | Expr::Coalesce(parts, _) => {
            parts.iter_mut().for_each(|part| expression(part, names));
        }
        _ => {}
    }
}
