//! `import "name" as x;` finds the pack's own `lib/name.rhai` and nothing else: no path leads out of
//! it, no cycle is entered, each file is evaluated once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rhai::{
    Engine, EvalAltResult, Module, ModuleResolver, OptimizationLevel, Position, Scope, Shared,
};

use crate::rules::{Library, Source};

/// Resolves imports for one file; what it loaded becomes part of the file's version.
#[derive(Clone)]
pub(crate) struct Importer {
    library: Arc<Library>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    loaded: BTreeMap<String, Shared<Module>>,
    /// The imports that are under way, outermost first.
    loading: Vec<String>,
}

impl Importer {
    pub(crate) fn new(library: &Library) -> Self {
        Self { library: Arc::new(library.clone()), state: Arc::default() }
    }

    /// The files that were imported, in the order of their names.
    pub(crate) fn used(&self) -> Vec<&Source> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.loaded.keys().filter_map(|name| self.library.get(name)).collect()
    }

    /// Whether a library file is being evaluated now.
    pub(crate) fn is_loading(&self) -> bool {
        !self.state.lock().unwrap_or_else(PoisonError::into_inner).loading.is_empty()
    }

    /// The library file of this name, or why it is not to be had.
    fn enter(&self, name: &str) -> Result<Entered<'_>, String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = state.loaded.get(name) {
            return Ok(Entered::Loaded(Shared::clone(module)));
        }
        if let Some(begin) = state.loading.iter().position(|other| other == name) {
            let mut circle = state.loading[begin..].to_vec();
            circle.push(name.to_owned());
            return Err(format!("libraries import each other in a circle: {}", circle.join(" → ")));
        }
        let source = self.library.get(name).ok_or_else(|| self.absent(name))?;
        state.loading.push(name.to_owned());
        Ok(Entered::New(source))
    }

    fn absent(&self, name: &str) -> String {
        if name.contains(['/', '\\']) || name.contains('.') {
            return format!(
                "`{name}` is no library name; an import names a file of the pack's `lib` folder \
                 without folder and ending, such as `import \"thresholds\" as t`"
            );
        }
        let near = crate::model::problem::nearest(name, self.library.keys().map(String::as_str));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        format!("the pack has no library `lib/{name}.rhai`{near}")
    }

    fn leave(&self, name: &str, module: Option<&Shared<Module>>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.loading.pop();
        if let Some(module) = module {
            state.loaded.insert(name.to_owned(), Shared::clone(module));
        }
    }
}

enum Entered<'l> {
    Loaded(Shared<Module>),
    New(&'l Source),
}

impl ModuleResolver for Importer {
    fn resolve(
        &self,
        engine: &Engine,
        _importer: Option<&str>,
        name: &str,
        position: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        match self.enter(name) {
            Err(reason) => Err(EvalAltResult::ErrorRuntime(reason.into(), position).into()),
            Ok(Entered::Loaded(module)) => Ok(module),
            Ok(Entered::New(source)) => {
                let module = load(engine, source);
                self.leave(name, module.as_ref().ok());
                module.map_err(|error| {
                    let file = source.file.display().to_string();
                    EvalAltResult::ErrorInModule(file, error, position).into()
                })
            }
        }
    }
}

fn load(engine: &Engine, source: &Source) -> Result<Shared<Module>, Box<EvalAltResult>> {
    let ast = engine.compile(&source.text)?;
    let mut ast = engine.optimize_ast(&Scope::new(), ast, OptimizationLevel::Simple);
    let file = source.file.display().to_string();
    ast.set_source(file.as_str());
    let mut module = Module::eval_ast_as_new(Scope::new(), &ast, engine)?;
    module.set_id(file.as_str());
    Ok(module.into())
}
