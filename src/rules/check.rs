//! Looks a file through before it is evaluated: calls of functions that do not exist, effects that get
//! lost, and comparisons that a missing field makes true. What effects name is checked in `wanted`.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt, StmtBlock};

use crate::model::problem::{Place, Problem};
use crate::rules::read::place;
use crate::rules::suggest::nearest;
use crate::rules::{Known, effects, wanted};
use crate::script::{self, limits};

/// Words of the language that are called like functions.
const WORDS: &[&str] =
    &["Fn", "call", "curry", "type_of", "is_shared", "is_def_var", "is_def_fn", "rule"];

/// The functions whose value is an effect.
const EFFECTS: &[&str] = &["run", "emit", "notify", "set", "log"];

/// Names of everything that can be called; a constant in all but name.
static NAMES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let (mut engine, _) = script::engine(&limits::LOADING);
    engine.register_global_module(effects::module());
    let names = engine.collect_fn_metadata(None, |info| Some(info.metadata.name.to_string()), true);
    names.into_iter().chain(WORDS.iter().map(ToString::to_string)).collect()
});

/// Everything that is wrong or doubtful in a tree that was not optimised.
pub(crate) fn check(ast: &AST, file: &Place, known: &Known) -> Vec<Problem> {
    let mut checker = Checker {
        file,
        known,
        own: ast.iter_functions().map(|function| function.name.to_owned()).collect(),
        parameters: parameters(ast),
        asked: asked(ast),
        outside: ast.statements().len(),
        problems: Vec::new(),
    };
    ast.walk(&mut |path: &[ASTNode]| {
        checker.node(path);
        true
    });
    checker.problems
}

struct Checker<'c> {
    file: &'c Place,
    known: &'c Known,
    /// The file's own functions.
    own: BTreeSet<String>,
    /// Names of the closures' parameters.
    parameters: BTreeSet<String>,
    /// Fields of which the file asks whether they are there.
    asked: BTreeSet<String>,
    /// Statements at the top of the file that are still to come; then come those of functions.
    outside: usize,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn node(&mut self, path: &[ASTNode]) {
        match path {
            [.., ASTNode::Stmt(Stmt::FnCall(call, position))]
            | [
                ..,
                ASTNode::Expr(Expr::FnCall(call, position) | Expr::MethodCall(call, position)),
            ] => {
                self.call(call, *position);
            }
            _ => {}
        }
        self.lost(path);
        if let [ASTNode::Stmt(_)] = path {
            self.outside = self.outside.saturating_sub(1);
        }
    }

    fn warn(&mut self, code: &str, position: Position, message: String, help: String) {
        let problem = Problem::warning(code, place(self.file, position), message);
        self.problems.push(problem.help(help));
    }

    fn call(&mut self, call: &FnCallExpr, position: Position) {
        if call.is_operator_call() {
            return self.operator(call, position);
        }
        if call.is_qualified() {
            return;
        }
        let name = call.name.as_str();
        if EFFECTS.contains(&name) && !self.own.contains(name) {
            let wrong = wanted::problems(call, position, self.file, self.known);
            self.problems.extend(wrong);
        }
        if NAMES.contains(name) || self.own.contains(name) || name.starts_with("anon$") {
            return;
        }
        let known = NAMES.iter().chain(&self.own).map(String::as_str);
        let help = nearest(name, known).map_or_else(
            || {
                "the manual lists what a rule may call; functions of a library are called `x::name`"
                    .to_owned()
            },
            |near| format!("did you mean `{near}`?"),
        );
        let message = format!("there is no function `{name}`");
        let problem = Problem::error("unknown_function", place(self.file, position), message);
        self.problems.push(problem.help(help));
    }

    /// `!=` and `!` turn the no of a missing field into a yes.
    fn operator(&mut self, call: &FnCallExpr, position: Position) {
        match (call.name.as_str(), &*call.args) {
            ("!=", [left, right]) => {
                let pair = [(left, right), (right, left)];
                for (side, other) in pair {
                    if let Some(field) = self.field(side)
                        && !matches!(other, Expr::Unit(_))
                    {
                        self.doubt(&field, &format!("`{field} != …`"), position);
                        return;
                    }
                }
            }
            ("!", [inner]) => {
                let compared = match inner {
                    Expr::FnCall(inner, _) if inner.is_operator_call() && inner.name != "!" => {
                        inner.args.iter().find_map(|side| self.field(side))
                    }
                    _ => None,
                };
                if let Some(field) = compared {
                    self.doubt(&field, &format!("`!(… {field} …)`"), position);
                } else if let Some(field) = self.field(inner)
                    && !self.asked.contains(&field)
                {
                    let message = format!("`!{field}` is an error when `{field}` is missing");
                    let help = format!("write `{field} == false`, or ask `present({field})` first");
                    self.warn("may_be_missing", position, message, help);
                }
            }
            _ => {}
        }
    }

    fn doubt(&mut self, field: &str, what: &str, position: Position) {
        if self.asked.contains(field) {
            return;
        }
        let message = format!("{what} is true when `{field}` is missing");
        let help = format!("ask `present({field}) && …` first, if that is not meant");
        self.warn("may_be_missing", position, message, help);
    }

    /// The path of a field of an event, where the expression is nothing else.
    fn field(&self, expression: &Expr) -> Option<String> {
        let path = path(expression)?;
        let root = path.split('.').next()?;
        self.parameters.contains(root).then_some(path)
    }

    /// An effect is what a closure gives back; as a statement in between it does nothing.
    fn lost(&mut self, path: &[ASTNode]) {
        let [before @ .., ASTNode::Stmt(Stmt::FnCall(call, position))] = path else { return };
        let name = call.name.as_str();
        if call.is_qualified() || !EFFECTS.contains(&name) || self.own.contains(name) {
            return;
        }
        let outside = before.is_empty() && self.outside > 0;
        let lost = outside || before.last().is_some_and(|parent| drops(parent, *position));
        if lost {
            let message = format!("`{name}(…)` does nothing here: its value is dropped");
            let help =
                "give effects back from `then`, several as a list: `|e| [run(…), notify(…)]`";
            let problem = Problem::error("lost_effect", place(self.file, *position), message);
            self.problems.push(problem.help(help));
        }
    }
}

/// Whether the statement at `position` inside `parent` is not the one whose value is given back.
fn drops(parent: &ASTNode, position: Position) -> bool {
    let inner = |block: &StmtBlock| {
        let mut statements = block.statements().iter().rev();
        let last = statements.next().map(Stmt::position);
        last != Some(position) && statements.any(|other| other.position() == position)
    };
    match parent {
        ASTNode::Stmt(Stmt::Block(block)) => inner(block),
        ASTNode::Expr(Expr::Stmt(block)) => inner(block),
        ASTNode::Stmt(Stmt::If(flow, _) | Stmt::TryCatch(flow, _)) => {
            inner(&flow.body) || inner(&flow.branch)
        }
        ASTNode::Stmt(Stmt::While(..) | Stmt::Do(..) | Stmt::For(..)) => true,
        _ => false,
    }
}

/// `e.a.b` as text; nothing where the expression is more than fields of a variable.
fn path(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Variable(variable, _, _) if variable.2.is_empty() => Some(variable.1.to_string()),
        Expr::Property(property, _) => Some(property.2.to_string()),
        Expr::Dot(pair, _, _) => Some(format!("{}.{}", path(&pair.lhs)?, path(&pair.rhs)?)),
        _ => None,
    }
    .filter(|path| !path.is_empty())
}

fn parameters(ast: &AST) -> BTreeSet<String> {
    let functions = ast.iter_fn_def();
    functions.flat_map(|function| function.params.iter().map(ToString::to_string)).collect()
}

/// Fields in `present(e.x)`, `e.x == ()`, `e.x != ()` and `e.x ?? …`.
fn asked(ast: &AST) -> BTreeSet<String> {
    let mut asked = BTreeSet::new();
    ast.walk(&mut |path_here: &[ASTNode]| {
        if let Some(ASTNode::Expr(Expr::FnCall(call, _))) = path_here.last() {
            match (call.name.as_str(), &*call.args) {
                ("present", [field]) => asked.extend(path(field)),
                ("==" | "!=", [field, Expr::Unit(_)] | [Expr::Unit(_), field]) => {
                    asked.extend(path(field));
                }
                _ => {}
            }
        }
        true
    });
    asked
}
