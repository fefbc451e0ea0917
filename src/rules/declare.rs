//! `rule(name, #{…})`: what the file says while it is evaluated, taken down as it is at that moment.

use std::sync::{Arc, Mutex, PoisonError};

use rhai::{
    Dynamic, Engine, EvalAltResult, ImmutableString, Map, Module, NativeCallContext, Position,
    Shared,
};

use crate::rules::closure::Surroundings;
use crate::rules::library::Importer;
use crate::rules::snapshot::snapshot;

/// Rules that one file may declare, those of its loops included.
pub const DECLARED_LIMIT: usize = 1_000;

/// One call of `rule(…)`.
pub(crate) struct Declared {
    pub(crate) name: String,
    pub(crate) options: Map,
    pub(crate) position: Position,
    pub(crate) around: Arc<Surroundings>,
}

/// The calls so far.
pub(crate) type Notebook = Arc<Mutex<Vec<Declared>>>;

/// Gives `engine` the function `rule`, which writes into the notebook.
pub(crate) fn teach(engine: &mut Engine, file: &str, importer: &Importer) -> Notebook {
    let notebook = Notebook::default();
    let (pen, file, importer) =
        (Arc::clone(&notebook), ImmutableString::from(file), importer.clone());
    engine.register_fn(
        "rule",
        move |context: NativeCallContext,
              name: ImmutableString,
              options: Map|
              -> Result<(), Box<EvalAltResult>> {
            if importer.is_loading() {
                return Err("a library declares no rules; call `rule` in a file of `rules`".into());
            }
            let mut declared = pen.lock().unwrap_or_else(PoisonError::into_inner);
            if declared.len() >= DECLARED_LIMIT {
                return Err(format!("a file may declare {DECLARED_LIMIT} rules at most").into());
            }
            let before = declared.last().map(|before| &before.around);
            let around = surroundings(&context, &file, before);
            let options = snapshot(options.into())?.cast::<Map>();
            let position = context.call_position();
            declared.push(Declared { name: name.to_string(), options, position, around });
            Ok(())
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
    notebook
}

/// The surroundings at this call; those of the call before where they are the same.
fn surroundings(
    context: &NativeCallContext,
    file: &ImmutableString,
    before: Option<&Arc<Surroundings>>,
) -> Arc<Surroundings> {
    let global = context.global_runtime_state();
    let imports: Vec<(ImmutableString, Shared<Module>)> = global
        .scan_imports_raw()
        .map(|(name, module)| (name.clone(), Shared::clone(module)))
        .collect();
    let constants = global.constants.clone();
    if let Some(before) = before
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
    let functions = global.lib.first().cloned().unwrap_or_default();
    Arc::new(Surroundings { file: file.clone(), functions, imports, constants })
}
