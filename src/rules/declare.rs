//! `rule(name, #{…})`: what the file says while it is evaluated, taken down as it is at that moment.
//!
//! A function of a library may call `rule` too. Such a rule belongs to the file that called the library;
//! its closures are those of the library, and where the caller gave some of its own, of the file.

use std::sync::{Arc, Mutex, PoisonError};

use rhai::{
    Dynamic, Engine, EvalAltResult, GlobalRuntimeState, ImmutableString, Map, Module,
    NativeCallContext, Position, Shared, Stmt,
};

use crate::rules::closure::{Constants, Surroundings};
use crate::rules::library::{Importer, Loaded};
use crate::rules::run;
use crate::rules::snapshot::snapshot;

/// Rules that one file may declare, those of its loops included.
pub const DECLARED_LIMIT: usize = 1_000;

/// One call of `rule(…)`.
pub(crate) struct Declared {
    pub(crate) name: String,
    pub(crate) options: Map,
    /// Where `rule` was called: in the file, or in the library.
    pub(crate) position: Position,
    /// The file's call that led to it.
    pub(crate) call: Position,
    /// What stands around the closures of whoever called `rule`.
    pub(crate) around: Arc<Surroundings>,
    /// The library whose function called `rule`.
    pub(crate) library: Option<Arc<Loaded>>,
    /// What stands around closures that come from elsewhere.
    pub(crate) elsewhere: Vec<Arc<Surroundings>>,
}

/// What was declared so far, and where the file is.
#[derive(Default)]
pub(crate) struct Notebook {
    declared: Vec<Declared>,
    call: Position,
    imports: Vec<(ImmutableString, Shared<Module>)>,
    constants: Option<Constants>,
}

impl Notebook {
    /// The file comes to this statement.
    pub(crate) fn turn(&mut self, statement: &Stmt, global: &GlobalRuntimeState) {
        self.call = run::called(statement);
        self.imports = imports(global);
        self.constants.clone_from(&global.constants);
    }

    pub(crate) fn take(&mut self) -> Vec<Declared> {
        std::mem::take(&mut self.declared)
    }
}

/// The notebook of one file.
pub(crate) type Pen = Arc<Mutex<Notebook>>;

/// Gives `engine` the function `rule`, which writes into the notebook.
pub(crate) fn teach(engine: &mut Engine, (file, text): (&str, &str), importer: &Importer) -> Pen {
    let pen = Pen::default();
    let clerk = Clerk {
        pen: Arc::clone(&pen),
        file: file.into(),
        text: text.into(),
        importer: importer.clone(),
    };
    engine.register_fn(
        "rule",
        move |context: NativeCallContext,
              name: ImmutableString,
              options: Map|
              -> Result<(), Box<EvalAltResult>> {
            clerk.write(&context, &name, options).map_err(Into::into)
        },
    );
    engine.register_fn("rule", |_: Dynamic| -> Result<(), Box<EvalAltResult>> {
        Err("`rule` takes a name and a map, `rule(\"name\", #{ … })`".into())
    });
    engine.register_fn("rule", |name: Dynamic, _: Dynamic| -> Result<(), Box<EvalAltResult>> {
        let found = crate::script::convert::kind(&name);
        Err(format!(
            "`rule` takes a name and a map, `rule(\"name\", #{{ … }})`; found {found} first"
        )
        .into())
    });
    pen
}

/// Who takes down the rules of one file.
struct Clerk {
    pen: Pen,
    file: ImmutableString,
    text: Arc<str>,
    importer: Importer,
}

impl Clerk {
    fn write(
        &self,
        context: &NativeCallContext,
        name: &ImmutableString,
        options: Map,
    ) -> Result<(), String> {
        if self.importer.is_loading() {
            return Err(
                "a library declares no rules while it is imported; call `rule` in a file of \
                        `rules`, or in a function that such a file calls"
                    .to_owned(),
            );
        }
        let mut book = self.pen.lock().unwrap_or_else(PoisonError::into_inner);
        if book.declared.len() >= DECLARED_LIMIT {
            return Err(format!("a file may declare {DECLARED_LIMIT} rules at most"));
        }
        let global = context.global_runtime_state();
        let library = match &global.lib[..] {
            [_, .., last] => self.importer.with(last),
            _ => None,
        };
        let around = match &library {
            Some(library) => Arc::clone(&library.around),
            None => self.surroundings(global, &book),
        };
        let loaded = self.importer.loaded();
        let mut elsewhere: Vec<_> = loaded.iter().map(|one| Arc::clone(&one.around)).collect();
        if library.is_some() {
            elsewhere.push(Arc::new(self.outside(global, &book)));
        }
        elsewhere.retain(|one| !Arc::ptr_eq(one, &around));
        let options = snapshot(options.into(), &around, &elsewhere)?.cast::<Map>();
        let position = context.call_position();
        let call = if library.is_some() { book.call } else { position };
        let name = name.to_string();
        let declared = Declared { name, options, position, call, around, library, elsewhere };
        book.declared.push(declared);
        Ok(())
    }

    /// The surroundings at this call; those of the call before where they are the same.
    fn surroundings(&self, global: &GlobalRuntimeState, book: &Notebook) -> Arc<Surroundings> {
        let imports = imports(global);
        let constants = global.constants.clone();
        let own = |one: &&Declared| one.library.is_none();
        if let Some(before) = book.declared.last().filter(own).map(|one| &one.around)
            && before.constants.is_some() == constants.is_some()
            && before.imports.len() == imports.len()
            && before
                .imports
                .iter()
                .zip(&imports)
                .all(|(a, b)| a.0 == b.0 && Shared::ptr_eq(&a.1, &b.1))
        {
            return Arc::clone(before);
        }
        Arc::new(Surroundings { imports, constants, ..self.bare(global) })
    }

    /// What stands around the closures that the file gave to a library.
    fn outside(&self, global: &GlobalRuntimeState, book: &Notebook) -> Surroundings {
        let (imports, constants) = (book.imports.clone(), book.constants.clone());
        Surroundings { imports, constants, ..self.bare(global) }
    }

    fn bare(&self, global: &GlobalRuntimeState) -> Surroundings {
        Surroundings {
            file: self.file.clone(),
            source: Arc::clone(&self.text),
            functions: global.lib.first().cloned().unwrap_or_default(),
            imports: Vec::new(),
            constants: None,
        }
    }
}

fn imports(global: &GlobalRuntimeState) -> Vec<(ImmutableString, Shared<Module>)> {
    let imports = global.scan_imports_raw();
    imports.map(|(name, module)| (name.clone(), Shared::clone(module))).collect()
}
