//! Constants, variables, functions and imports of a file that nothing in it uses.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Expr, Position, Stmt};

use crate::model::problem::{Place, Problem};
use crate::rules::read::place;

/// Everything that is declared at the top of a file and used nowhere in it; a name that begins with
/// `_` is meant to be unused. The tree is one that was not optimised.
pub(crate) fn problems(ast: &AST, text: &str, file: &Place) -> Vec<Problem> {
    let declared = declared(ast, text);
    if declared.is_empty() {
        return Vec::new();
    }
    let used = used(ast);
    let idle = declared.into_iter().filter(|one| !used.contains(&one.name));
    let idle = idle.filter(|one| !one.name.starts_with('_'));
    let problem = |one: Declared| {
        let message = format!("{} `{}` is not used", one.kind, one.name);
        let help = format!("remove it, or write `_{}` to keep it", one.name);
        let help = if one.kind == "import" { "remove it".to_owned() } else { help };
        Problem::warning("unused", place(file, one.at), message).help(help)
    };
    idle.map(problem).collect()
}

struct Declared {
    kind: &'static str,
    name: String,
    at: Position,
}

fn declared(ast: &AST, text: &str) -> Vec<Declared> {
    let mut declared = Vec::new();
    for statement in ast.statements() {
        let one = match statement {
            Stmt::Var(variable, flags, _) => {
                let constant = flags.contains(rhai::ASTFlags::CONSTANT);
                let kind = if constant { "constant" } else { "variable" };
                Some((kind, &variable.0))
            }
            Stmt::Import(import, _) => Some(("import", &import.1)),
            _ => None,
        };
        let one = one.filter(|(_, name)| !name.name.is_empty());
        declared.extend(one.map(|(kind, name)| Declared {
            kind,
            name: name.name.to_string(),
            at: name.pos,
        }));
    }
    let functions = ast.iter_fn_def().filter(|function| !function.name.starts_with("anon$"));
    declared.extend(functions.map(|function| Declared {
        kind: "function",
        name: function.name.to_string(),
        at: written(&function.name, text).unwrap_or(function.body.start_position()),
    }));
    declared
}

/// Where the name of a function stands.
fn written(name: &str, text: &str) -> Option<Position> {
    text.lines().zip(1u16..).find_map(|(line, number)| {
        let (before, after) = line.split_once("fn ")?;
        let rest = after.trim_start().strip_prefix(name)?;
        let column = before.chars().count() + 4 + (after.len() - after.trim_start().len());
        let column = u16::try_from(column).ok()?;
        rest.trim_start().starts_with('(').then(|| Position::new(number, column))
    })
}

/// Every name that is called, read, or named in a text, as `Fn("name")` does.
fn used(ast: &AST) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    ast.walk(&mut |path: &[ASTNode]| {
        match path.last() {
            Some(
                ASTNode::Stmt(Stmt::FnCall(call, _))
                | ASTNode::Expr(Expr::FnCall(call, _) | Expr::MethodCall(call, _)),
            ) => {
                used.insert(call.name.to_string());
                if call.is_qualified() {
                    used.insert(call.namespace.root().to_owned());
                }
            }
            Some(ASTNode::Expr(Expr::Variable(variable, _, _))) => {
                used.insert(variable.1.to_string());
                if !variable.2.is_empty() {
                    used.insert(variable.2.root().to_owned());
                }
            }
            Some(ASTNode::Expr(Expr::StringConstant(text, _))) => {
                used.insert(text.to_string());
            }
            Some(ASTNode::Stmt(Stmt::Export(export, _))) => {
                used.insert(export.0.name.to_string());
            }
            _ => {}
        }
        true
    });
    used
}
