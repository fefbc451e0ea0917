//! Looks a file through before it is evaluated: calls of functions that do not exist, effects that get
//! lost, and comparisons that a missing field makes true. What effects name is checked in `wanted`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use rhai::{
    AST, ASTNode, Expr, FnCallExpr, FnPtr, Position, ScriptFuncDef, Shared, Stmt, StmtBlock,
};

use crate::model::problem::nearest;
use crate::model::problem::{Place, Problem};
use crate::rules::read::place;
use crate::rules::sites::spot;
use crate::rules::{Known, effects, wanted, window};
use crate::script::{self, limits};

/// Words of the language that are called like functions.
const WORDS: &[&str] =
    &["Fn", "call", "curry", "type_of", "is_shared", "is_def_var", "is_def_fn", "rule"];

/// The functions whose value is an effect.
const EFFECTS: &[&str] =
    &["run", "emit", "notify", "incident", "resolve", "pause", "resume", "cancel", "set", "log"];

/// Names of everything that can be called; a constant in all but name.
static NAMES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let (mut engine, _) = script::engine(&limits::LOADING);
    engine.register_global_module(effects::module());
    engine.register_global_module(window::module());
    let names = engine.collect_fn_metadata(None, |info| Some(info.metadata.name.to_string()), true);
    // They are part of a package we need, and go nowhere.
    let silent = |name: &String| name != "print" && name != "debug";
    names.into_iter().filter(silent).chain(WORDS.iter().map(ToString::to_string)).collect()
});

/// A line and a column.
type Spot = (usize, usize);

/// Something wrong or doubtful.
pub(crate) struct Found {
    /// What.
    pub(crate) problem: Problem,
    /// The call of the rule that it belongs to; nothing where it belongs to the whole file.
    pub(crate) rule: Option<Spot>,
}

/// Everything that is wrong or doubtful in a tree that was not optimised.
pub(crate) fn check(ast: &AST, file: &Place, known: &Known) -> Vec<Found> {
    let closures = closures(ast);
    let mut bodies: Vec<Body> =
        ast.iter_fn_def().map(|function| Body::of(function, &closures)).collect();
    own(&mut bodies, ast, closures);
    let mut checker = Checker {
        file,
        known,
        own: ast.iter_functions().map(|function| function.name.to_owned()).collect(),
        libraries: libraries(ast),
        asked: asked(ast),
        outside: ast.statements().len(),
        bodies,
        inside: None,
        rule: None,
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
    /// Names under which libraries are imported.
    libraries: BTreeSet<String>,
    /// Fields of which the file asks whether they are there.
    asked: BTreeSet<String>,
    /// Statements at the top of the file that are still to come; then come those of functions.
    outside: usize,
    bodies: Vec<Body>,
    /// The function in whose body the walk is.
    inside: Option<usize>,
    /// The rule that the walk is in.
    rule: Option<Spot>,
    problems: Vec<Found>,
}

impl Checker<'_> {
    fn node(&mut self, path: &[ASTNode]) {
        if let [ASTNode::Stmt(statement)] = path {
            self.enter(statement);
        }
        if self.inside.is_none() {
            self.rule = path.iter().find_map(called);
        }
        match path.last() {
            Some(
                ASTNode::Stmt(Stmt::FnCall(call, position))
                | ASTNode::Expr(Expr::FnCall(call, position) | Expr::MethodCall(call, position)),
            ) => self.call(call, *position),
            Some(ASTNode::Expr(Expr::Variable(variable, _, position)))
                if !variable.2.is_empty() =>
            {
                self.library(variable.2.root(), *position);
            }
            Some(ASTNode::Stmt(Stmt::Assignment(pair))) => self.assignment(&pair.1.lhs),
            _ => {}
        }
        if let [.., parent, ASTNode::Stmt(statement)] = path
            && drops(parent, statement.position())
        {
            self.lost(statement);
        }
    }

    /// A statement at the top of the file, or of a function: those of functions come after the file's.
    fn enter(&mut self, statement: &Stmt) {
        let position = statement.position();
        if self.outside > 0 {
            self.outside -= 1;
            self.rule = None;
            return self.lost(statement);
        }
        self.inside = around(&self.bodies, position);
        let Some(index) = self.inside else { return };
        self.rule = self.bodies[index].rule;
        // That another statement follows is what drops the value of the one before.
        if let Some(before) = self.bodies[index].last.replace(statement.clone()) {
            self.lost(&before);
        }
    }

    /// `e.x = 5` inside a closure: the event cannot be changed, and `==` was probably meant.
    fn assignment(&mut self, target: &Expr) {
        let Some(field) = self.field(target).filter(|field| field.contains('.')) else { return };
        let message = format!("`{field}` cannot be changed: events are immutable");
        let help = "write `==` to compare, or copy it with `let` to change the copy";
        let problem =
            Problem::error("immutable_event", place(self.file, target.position()), message);
        self.push(problem.help(help));
    }

    fn library(&mut self, name: &str, position: Position) {
        if name == "global" || self.libraries.contains(name) {
            return;
        }
        let help = nearest(name, self.libraries.iter().map(String::as_str)).map_or_else(
            || format!("write `import \"…\" as {name};` at the top of the file"),
            |near| format!("did you mean `{near}`?"),
        );
        let message = format!("nothing is imported as `{name}`");
        let problem = Problem::error("unknown_library", place(self.file, position), message);
        self.push(problem.help(help));
    }

    fn push(&mut self, problem: Problem) {
        self.problems.push(Found { problem, rule: self.rule });
    }

    fn warn(&mut self, code: &str, position: Position, message: String, help: String) {
        let problem = Problem::warning(code, place(self.file, position), message);
        self.push(problem.help(help));
    }

    fn call(&mut self, call: &FnCallExpr, position: Position) {
        if call.is_operator_call() {
            return self.operator(call, position);
        }
        if call.is_qualified() {
            return self.library(call.namespace.root(), position);
        }
        let name = call.name.as_str();
        if EFFECTS.contains(&name) && !self.own.contains(name) {
            let wrong = wanted::problems(call, position, self.file, self.known);
            for problem in wrong {
                self.push(problem);
            }
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
        self.push(problem.help(help));
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
        let body = &self.bodies[self.inside?];
        (body.closure && body.parameters.iter().any(|name| name == root)).then_some(path)
    }

    /// An effect is what a closure gives back; as a statement in between it does nothing.
    fn lost(&mut self, statement: &Stmt) {
        let (call, position) = match statement {
            Stmt::FnCall(call, position) => (call, *position),
            Stmt::Expr(expression) => match &**expression {
                Expr::FnCall(call, position) => (call, *position),
                _ => return,
            },
            _ => return,
        };
        let name = call.name.as_str();
        if call.is_qualified() || !EFFECTS.contains(&name) || self.own.contains(name) {
            return;
        }
        let message = format!("`{name}(…)` does nothing here: its value is dropped");
        let help = "give effects back from `then`, several as a list: `|e| [run(…), notify(…)]`";
        let problem = Problem::error("lost_effect", place(self.file, position), message);
        self.push(problem.help(help));
    }
}

/// The body of a function or closure.
struct Body {
    name: String,
    start: (usize, usize),
    end: (usize, usize),
    /// Whether its first parameter is an event: it stands in the map of a `rule(…)`.
    closure: bool,
    parameters: Vec<String>,
    /// The call of the rule that it belongs to.
    rule: Option<Spot>,
    /// Its newest statement so far.
    last: Option<Stmt>,
}

impl Body {
    fn of(function: &Shared<ScriptFuncDef>, closures: &BTreeMap<String, Spot>) -> Self {
        let start = spot(function.body.start_position());
        Self {
            name: function.name.to_string(),
            start,
            end: spot(function.body.end_position()).max(start),
            closure: closures.contains_key(function.name.as_str()),
            parameters: function.params.iter().map(ToString::to_string).collect(),
            rule: None,
            last: None,
        }
    }

    fn spans(&self, position: Position) -> bool {
        (self.start..=self.end).contains(&spot(position))
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
        ASTNode::Stmt(Stmt::Block(block)) | ASTNode::Expr(Expr::Stmt(block)) => inner(block),
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

/// The closures in the maps of `rule(…)` by name, with the place of the call.
fn closures(ast: &AST) -> BTreeMap<String, Spot> {
    let mut closures = BTreeMap::new();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(name) = path.last().and_then(pointed)
            && let Some(rule) = path.iter().find_map(called)
        {
            closures.insert(name, rule);
        }
        true
    });
    closures
}

/// Tells each body the rule that it belongs to: that of its closure, or of the closure it stands in.
fn own(bodies: &mut [Body], ast: &AST, closures: BTreeMap<String, Spot>) {
    let mut outside = ast.statements().len();
    let (mut inside, mut inner) = (None, Vec::new());
    ast.walk(&mut |path: &[ASTNode]| {
        if let [ASTNode::Stmt(statement)] = path {
            inside = if outside == 0 { around(bodies, statement.position()) } else { None };
            outside = outside.saturating_sub(1);
        }
        if let (Some(holder), Some(name)) = (inside, path.last().and_then(pointed)) {
            inner.push((holder, name));
        }
        true
    });
    let mut waiting: Vec<(String, Spot)> = closures.into_iter().collect();
    while let Some((name, rule)) = waiting.pop() {
        let Some(at) = bodies.iter().position(|body| body.name == name) else { continue };
        if bodies[at].rule.replace(rule).is_none() {
            let held = inner.iter().filter(|(holder, _)| *holder == at);
            waiting.extend(held.map(|(_, name)| (name.clone(), rule)));
        }
    }
}

/// The innermost body around `position`.
fn around(bodies: &[Body], position: Position) -> Option<usize> {
    let spanning = (0..bodies.len()).filter(|index| bodies[*index].spans(position));
    spanning.max_by_key(|index| bodies[*index].start)
}

/// The function that a closure's expression stands for.
fn pointed(node: &ASTNode) -> Option<String> {
    let ASTNode::Expr(Expr::DynamicConstant(value, _)) = node else { return None };
    value.read_lock::<FnPtr>().map(|pointer| pointer.fn_name().to_owned())
}

/// The place of a call of `rule`.
fn called(node: &ASTNode) -> Option<Spot> {
    match node {
        ASTNode::Stmt(Stmt::FnCall(call, position))
        | ASTNode::Expr(Expr::FnCall(call, position))
            if call.name == "rule" =>
        {
            Some(spot(*position))
        }
        _ => None,
    }
}

fn libraries(ast: &AST) -> BTreeSet<String> {
    let mut libraries = BTreeSet::new();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(Stmt::Import(import, _))) = path.last() {
            libraries.insert(import.1.name.to_string());
        }
        true
    });
    libraries
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
