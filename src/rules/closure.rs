//! One closure of a rule: its body out of Rhai's tree, what it captured, and how it is asked.
//!
//! The body is walked where it stands, with its parameters as constants of a scope: no function call,
//! no copy of the event, and no way to change it (`reference/spikes.md` 1.2, T5, T10).

use std::collections::BTreeMap;
use std::sync::Arc;

use rhai::{
    AST, ASTNode, Caches, Dynamic, Engine, EvalAltResult, EvalContext, Expr, Expression, FnPtr,
    GlobalRuntimeState, ImmutableString, Locked, Module, Namespace, NativeCallContext, Position,
    Scope, ScriptFuncDef, Shared, Stmt, StmtBlock,
};

use crate::rules::sites::spot;
use crate::rules::{lend, meaning};

/// What stands around a file's closures: the functions of the file, its imports and constants.
pub(crate) struct Surroundings {
    /// The file, as errors name it.
    pub(crate) file: ImmutableString,
    /// Its text.
    pub(crate) source: Arc<str>,
    /// Its functions.
    pub(crate) functions: Shared<Module>,
    /// Its imports, in the order of the file.
    pub(crate) imports: Vec<(ImmutableString, Shared<Module>)>,
    /// Its constants, for `global::NAME` inside functions.
    pub(crate) constants: Option<Constants>,
}

type RhaiResult = Result<Dynamic, Box<EvalAltResult>>;

/// What a file called constant.
pub(crate) type Constants = Shared<Locked<BTreeMap<ImmutableString, Dynamic>>>;

/// A closure, ready to be asked.
pub(crate) struct Closure {
    body: Expr,
    /// Names of what was captured and of the parameters, in the order in which the body counts them.
    names: Vec<ImmutableString>,
    captured: Vec<Dynamic>,
    /// Whether it hands the event to a closure inside; then it works on a copy, in case that the
    /// tree has places where `lend` does not look.
    lends: bool,
    /// What stands around it, where that is not what stands around the rule.
    around: Option<Arc<Surroundings>>,
}

/// What a closure is asked about.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// The event's data, once somebody asked.
    pub(crate) data: Dynamic,
    /// Whether `data` is the event's.
    pub(crate) is_ready: bool,
    /// `id trigger source subject time`; `()` until a closure wants it.
    pub(crate) envelope: Dynamic,
    /// The world (`script::scope::World`).
    pub(crate) tag: Dynamic,
}

impl Closure {
    /// The closure behind a pointer, of `home` or of what stands `elsewhere`.
    ///
    /// # Errors
    /// Says why it cannot be asked: it is not of these files, or takes too many parameters.
    pub(crate) fn of(
        pointer: &FnPtr,
        home: &Surroundings,
        elsewhere: &[Arc<Surroundings>],
    ) -> Result<Self, String> {
        let name = pointer.fn_name();
        let near = home.function(name).map(|function| (function, None));
        let far = || {
            let mut all = elsewhere.iter();
            all.find_map(|one| Some((one.function(name)?, Some(Arc::clone(one)))))
        };
        let Some((function, around)) = near.or_else(far) else {
            return Err("it is no closure; write one: `|e| …`".to_owned());
        };
        let own = function.params.len().saturating_sub(pointer.curry().len());
        if own > 2 {
            return Err(format!(
                "it has {own} parameters; a closure takes the event's data and, if it wants, the \
                 envelope"
            ));
        }
        Ok(Self::whole(pointer, function, around))
    }

    /// The closure behind a pointer to `function`.
    pub(crate) fn whole(
        pointer: &FnPtr,
        function: &Shared<ScriptFuncDef>,
        around: Option<Arc<Surroundings>>,
    ) -> Self {
        // A tree of this function alone: what is walked belongs to it.
        let mut module = Module::new();
        module.set_script_fn(Shared::clone(function));
        let only = AST::new([], module);
        let names = function.params.to_vec();
        let (mut statements, lends) = statements(&only, &names);
        lend::by_value(&mut statements, &names);
        let position = function.body.start_position();
        let body = body(statements, position, function.body.end_position());
        Self { body, names, captured: pointer.curry().to_vec(), lends, around }
    }

    /// A pointer that finds it wherever it is called.
    pub(crate) fn travelling(self) -> FnPtr {
        let name = format!("closure_{:016x}", self.text_hash());
        let call = move |context: NativeCallContext<'_>, given: &mut [&mut Dynamic]| {
            let given = given.iter_mut().map(|value| value.take()).collect();
            self.call(&context, given)
        };
        #[expect(deprecated, reason = "not deprecated, but said to be volatile: Rhai is pinned")]
        let pointer = FnPtr::from_fn(name, call);
        pointer.expect("the name is an identifier")
    }

    /// Calls it from inside another closure.
    fn call(&self, context: &NativeCallContext<'_>, given: Vec<Dynamic>) -> RhaiResult {
        let (engine, outer) = (context.engine(), context.global_runtime_state());
        let own = self.names.len().saturating_sub(self.captured.len());
        if given.len() != own {
            let message = format!("the closure takes {own} values, and is given {}", given.len());
            return Err(message.into());
        }
        let Some(around) = &self.around else { return Ok(Dynamic::UNIT) };
        let mut global = around.global(engine, &outer.tag);
        (global.level, global.num_operations) = (outer.level + 1, outer.num_operations);
        if global.level > engine.max_call_levels() {
            return Err(EvalAltResult::ErrorStackOverflow(context.call_position()).into());
        }
        let mut scope = Scope::new();
        for (name, value) in self.names.iter().zip(self.captured.iter().cloned().chain(given)) {
            scope.push_constant_dynamic(name.as_str(), value);
        }
        let mut caches = Caches::new();
        let mut inside = EvalContext::new(engine, &mut global, &mut caches, &mut scope, None);
        self.walk(&mut inside).map_err(|error| {
            let (name, file) = ("its closure".to_owned(), around.file.to_string());
            EvalAltResult::ErrorInFunctionCall(name, file, error, context.call_position()).into()
        })
    }

    /// A hash of what it says; where it stands does not count.
    fn text_hash(&self) -> u64 {
        let source = self.around.as_ref().map_or("", |around| &around.source);
        let captured = self.captured.iter().map(ToString::to_string).collect::<Vec<_>>();
        meaning::hash_of(&[
            &meaning::text(source, spot(self.body.start_position())),
            &captured.join(" "),
        ])
    }

    /// What stands around it, where that is not what stands around the rule.
    pub(crate) fn around(&self) -> Option<&Arc<Surroundings>> {
        self.around.as_ref()
    }

    /// The first text that each call of these functions is given, and where it stands: `w.avg("ms")`
    /// and `avg(w, "ms")`.
    ///
    /// # Errors
    /// The function that is given something else than a text that stands there.
    pub(crate) fn named(&self, functions: &[&str]) -> Result<Vec<(String, Position)>, String> {
        let (mut named, mut wrong) = (Vec::new(), None);
        self.body.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
            let (call, first) = match path.last() {
                Some(ASTNode::Expr(Expr::MethodCall(call, _))) => (call, 0),
                Some(
                    ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _)),
                ) => (call, 1),
                _ => return true,
            };
            if functions.contains(&call.name.as_str()) {
                match call.args.get(first) {
                    Some(Expr::StringConstant(text, at)) => named.push((text.to_string(), *at)),
                    _ => wrong = Some(call.name.to_string()),
                }
            }
            true
        });
        wrong.map_or(Ok(named), Err)
    }

    /// A part of it, to be asked by itself.
    pub(crate) fn part(&self, expression: Expr) -> Self {
        let (names, captured) = (self.names.clone(), self.captured.clone());
        let around = self.around.clone();
        Self { body: expression, names, captured, lends: self.lends, around }
    }

    /// Whether it names a second parameter.
    pub(crate) fn wants_envelope(&self) -> bool {
        self.names.len() > self.captured.len() + 1
    }

    /// What it does.
    pub(crate) fn body(&self) -> &Expr {
        &self.body
    }

    /// What it captured, in the order in which it counts.
    pub(crate) fn captured(&self) -> &[Dynamic] {
        &self.captured
    }

    /// The place of a captured variable or parameter, from 0: first what was captured, then the event's
    /// data, then the envelope.
    pub(crate) fn place_of(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|own| own == name)
    }

    /// Where its body begins in the file of the rule; nowhere where it stands in another.
    pub(crate) fn position(&self) -> Position {
        if self.around.is_some() { Position::NONE } else { self.body.start_position() }
    }

    /// Asks it.
    ///
    /// # Errors
    /// What Rhai says, a limit among it.
    pub(crate) fn ask(
        &self,
        engine: &Engine,
        caches: &mut Caches,
        around: &Surroundings,
        asked: &mut Asked,
    ) -> RhaiResult {
        let mut scope = Scope::new();
        let at = self.captured.len();
        // The event moves into the scope and out again: as a constant that is nobody's share it can
        // neither be changed nor need it be copied.
        let data = if self.lends { asked.data.clone() } else { std::mem::take(&mut asked.data) };
        let values = self.captured.iter().cloned().chain([data, asked.envelope.clone()]);
        for (name, value) in self.names.iter().zip(values) {
            scope.push_constant_dynamic(name.as_str(), value);
        }
        let mut far = Caches::new();
        let (around, caches) = match &self.around {
            Some(around) => (&**around, &mut far),
            None => (around, caches),
        };
        let global = &mut around.global(engine, &asked.tag);
        let answer = self.walk(&mut EvalContext::new(engine, global, caches, &mut scope, None));
        scope.rewind(self.names.len());
        if let Some(name) = self.names.get(at)
            && !self.lends
        {
            scope.rewind(at + 1);
            asked.data = scope.remove(name).unwrap_or_default();
        }
        answer
    }

    fn walk(&self, context: &mut EvalContext<'_, '_, '_, '_, '_, '_>) -> RhaiResult {
        match context.eval_expression_tree(&Expression::from(&self.body)) {
            Err(error) => match *error {
                EvalAltResult::Return(value, _) => Ok(value),
                error => Err(error.into()),
            },
            answer => answer,
        }
    }
}

impl Surroundings {
    /// The function or closure of this name.
    pub(crate) fn function(&self, name: &str) -> Option<&Shared<ScriptFuncDef>> {
        let mut all = self.functions.iter_script_fn_info();
        all.find(|(.., function)| function.name == name).map(|(.., function)| function)
    }

    /// A constant of the file (`global::NAME`) or of a library that it imports (`library::NAME`).
    pub(crate) fn constant(&self, path: &Namespace, name: &str) -> Option<Dynamic> {
        let [only] = path.path.as_slice() else { return None };
        let imported = self.imports.iter().rev().find(|(import, _)| *import == only.name);
        if let Some((_, module)) = imported {
            return module.get_var(name);
        }
        let constants = self.constants.as_ref().filter(|_| only.name == "global")?;
        rhai::locked_read(constants)?.get(name).cloned()
    }

    /// A fresh state for one evaluation: its counters begin at 0.
    fn global(&self, engine: &Engine, tag: &Dynamic) -> GlobalRuntimeState {
        let mut global = engine.new_global_runtime_state();
        global.lib.push(Shared::clone(&self.functions));
        global.source = Some(self.file.clone());
        global.constants.clone_from(&self.constants);
        global.tag = tag.clone();
        for (name, module) in &self.imports {
            global.push_import(name.clone(), Shared::clone(module));
        }
        global
    }
}

fn statements(only: &AST, names: &[ImmutableString]) -> (Vec<Stmt>, bool) {
    let mut statements = Vec::new();
    let mut lends = false;
    only.walk(&mut |path: &[ASTNode]| {
        if let [ASTNode::Stmt(statement)] = path {
            statements.push((*statement).clone());
        }
        lends |= path.last().is_some_and(|node| lend::shares(node, names));
        true
    });
    (statements, lends)
}

fn body(mut statements: Vec<Stmt>, start: Position, end: Position) -> Expr {
    match statements.as_mut_slice() {
        [Stmt::Expr(expression)] => std::mem::take(expression),
        [Stmt::FnCall(call, position)] => Expr::FnCall(call.clone(), *position),
        _ => Expr::Stmt(StmtBlock::new(statements, start, end).into()),
    }
}
