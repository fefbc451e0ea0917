//! `import "name" as x;` finds `lib/name.rhai` of the pack that the file belongs to, and
//! `import "pack/name" as x;` that of another pack. No path leads out of these folders, no circle is
//! entered, each file is evaluated once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use rhai::{
    AST, Engine, EvalAltResult, ImmutableString, Module, ModuleResolver, OptimizationLevel,
    Position, Scope, Shared,
};

use crate::model::problem::{Place, nearest};
use crate::rules::Source;
use crate::rules::closure::Surroundings;
use crate::rules::run::run;
use crate::rules::sites::Sites;

/// The libraries of all packs: each pack's `lib/*.rhai`, by name without the ending.
#[derive(Debug, Clone, Default)]
pub struct Library {
    files: Arc<BTreeMap<Name, Source>>,
    /// Packs of which nothing is in force, and what is to be repaired.
    failed: Arc<BTreeMap<String, Place>>,
}

/// A pack, and the name of one of its libraries.
type Name = (String, String);

impl Library {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a library of the pack that `source` names.
    pub fn insert(&mut self, name: String, source: Source) {
        Arc::make_mut(&mut self.files).insert((source.pack.clone(), name), source);
    }

    /// Says of a pack that it has no libraries because there is something to be repaired.
    pub fn fail(&mut self, pack: String, place: Place) {
        Arc::make_mut(&mut self.failed).insert(pack, place);
    }

    /// Adds what another one has of a pack.
    pub fn adopt(&mut self, other: &Self, pack: &str) {
        let held = other.files.iter().filter(|((owner, _), _)| owner == pack);
        for ((_, name), source) in held {
            self.insert(name.clone(), source.clone());
        }
    }

    /// All of them, in the order of their packs and names.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.files.values()
    }

    /// The names of a pack's libraries.
    fn of<'l>(&'l self, pack: &'l str) -> impl Iterator<Item = &'l str> {
        self.files.keys().filter(move |(owner, _)| owner == pack).map(|(_, name)| name.as_str())
    }

    /// Why there is no such library, as seen from a file of `own`.
    fn absent(&self, written: &str, (pack, name): &Name, own: &str) -> String {
        let odd = |part: &str| part.is_empty() || part.contains(['/', '\\', '.']);
        if odd(pack) || odd(name) {
            return format!(
                "`{written}` is no library name; an import names a file of the pack's `lib` folder \
                 without folder and ending, `import \"thresholds\" as t`, or of another pack's: \
                 `import \"storage/autoscale\" as s`"
            );
        }
        let mean = |near: Option<String>| {
            near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
        };
        if self.of(pack).next().is_none() && pack != own {
            if let Some(place) = self.failed.get(pack) {
                return format!("pack `{pack}` is not in force: it has errors; see `{place}`");
            }
            let packs = self.files.keys().map(|(pack, _)| pack.as_str());
            let near = nearest(pack, packs).map(|near| format!("{near}/{name}"));
            return format!("no pack `{pack}` with libraries is in force{}", mean(near));
        }
        if pack != own {
            let near = nearest(name, self.of(pack)).map(|near| format!("{pack}/{near}"));
            return format!("pack `{pack}` has no library `lib/{name}.rhai`{}", mean(near));
        }
        let near = nearest(name, self.of(pack)).map(str::to_owned);
        let near = near.or_else(|| {
            let elsewhere = self.files.keys().find(|(_, other)| other == name);
            elsewhere.map(|(pack, name)| format!("{pack}/{name}"))
        });
        format!("the pack has no library `lib/{name}.rhai`{}", mean(near))
    }
}

/// A library that was imported.
pub(crate) struct Loaded {
    pub(crate) module: Shared<Module>,
    pub(crate) ast: AST,
    pub(crate) sites: Sites,
    pub(crate) place: Place,
    pub(crate) source: Arc<str>,
    /// What stands around its closures.
    pub(crate) around: Arc<Surroundings>,
}

/// Resolves imports for one file; what it loaded becomes part of the file's version.
#[derive(Clone)]
pub(crate) struct Importer {
    /// The pack of the file.
    pack: Arc<str>,
    library: Library,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    loaded: BTreeMap<Name, Arc<Loaded>>,
    /// The libraries by the file that errors name: which pack an import in them is seen from.
    packs: HashMap<String, String>,
    /// The imports that are under way, outermost first.
    loading: Vec<Name>,
}

impl Importer {
    pub(crate) fn new(library: &Library, pack: &str) -> Self {
        Self { pack: pack.into(), library: library.clone(), state: Arc::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files that were imported, in the order of their packs and names.
    pub(crate) fn used(&self) -> Vec<&Source> {
        let state = self.state();
        state.loaded.keys().filter_map(|name| self.library.files.get(name)).collect()
    }

    /// Whether a library file is being evaluated now.
    pub(crate) fn is_loading(&self) -> bool {
        !self.state().loading.is_empty()
    }

    /// The libraries that were imported.
    pub(crate) fn loaded(&self) -> Vec<Arc<Loaded>> {
        self.state().loaded.values().cloned().collect()
    }

    /// The library whose functions these are.
    pub(crate) fn with(&self, functions: &Shared<Module>) -> Option<Arc<Loaded>> {
        let state = self.state();
        let mut all = state.loaded.values();
        all.find(|one| Shared::ptr_eq(one.ast.shared_lib(), functions)).cloned()
    }

    /// The library file of this name, or why it is not to be had.
    fn enter(&self, written: &str, importer: Option<&str>) -> Result<Entered<'_>, String> {
        let mut state = self.state();
        let own = importer.and_then(|file| state.packs.get(file)).map_or(&*self.pack, |own| own);
        let name = match written.split_once('/') {
            Some((pack, name)) => (pack.to_owned(), name.to_owned()),
            None => (own.to_owned(), written.to_owned()),
        };
        if let Some(loaded) = state.loaded.get(&name) {
            return Ok(Entered::Loaded(Shared::clone(&loaded.module)));
        }
        if let Some(begin) = state.loading.iter().position(|other| *other == name) {
            let circle = state.loading[begin..].iter().chain([&name]);
            let shown = circle.map(|(pack, name)| {
                if **pack == *self.pack { name.clone() } else { format!("{pack}/{name}") }
            });
            let circle = shown.collect::<Vec<_>>().join(" → ");
            return Err(format!("libraries import each other in a circle: {circle}"));
        }
        let Some(source) = self.library.files.get(&name) else {
            return Err(self.library.absent(written, &name, own));
        };
        state.packs.insert(source.file.display().to_string(), name.0.clone());
        state.loading.push(name.clone());
        Ok(Entered::New(name, source))
    }

    fn leave(&self, name: Name, loaded: Option<&Arc<Loaded>>) {
        let mut state = self.state();
        state.loading.pop();
        if let Some(loaded) = loaded {
            state.loaded.insert(name, Arc::clone(loaded));
        }
    }
}

enum Entered<'l> {
    Loaded(Shared<Module>),
    New(Name, &'l Source),
}

impl ModuleResolver for Importer {
    fn resolve(
        &self,
        engine: &Engine,
        importer: Option<&str>,
        name: &str,
        position: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        match self.enter(name, importer) {
            Err(reason) => Err(EvalAltResult::ErrorRuntime(reason.into(), position).into()),
            Ok(Entered::Loaded(module)) => Ok(module),
            Ok(Entered::New(name, source)) => {
                let loaded = load(engine, source).map(Arc::new);
                self.leave(name, loaded.as_ref().ok());
                loaded.map(|loaded| Shared::clone(&loaded.module)).map_err(|error| {
                    let file = source.file.display().to_string();
                    EvalAltResult::ErrorInModule(file, error, position).into()
                })
            }
        }
    }
}

fn load(engine: &Engine, source: &Source) -> Result<Loaded, Box<EvalAltResult>> {
    let written = engine.compile(&source.text)?;
    let sites = Sites::of(&written);
    let mut ast = engine.optimize_ast(&Scope::new(), written, OptimizationLevel::Simple);
    let file = ImmutableString::from(source.file.display().to_string());
    ast.set_source(file.clone());
    // Once for what its closures see, and once as Rhai's module, which does not give that away.
    let global = run(engine, &ast, |_, _| {})?;
    let mut module = Module::eval_ast_as_new(Scope::new(), &ast, engine)?;
    module.set_id(file.as_str());
    let text: Arc<str> = source.text.as_str().into();
    let imports = global.scan_imports_raw();
    let around = Surroundings {
        file,
        source: Arc::clone(&text),
        functions: Shared::clone(ast.shared_lib()),
        imports: imports.map(|(name, module)| (name.clone(), Shared::clone(module))).collect(),
        constants: global.constants.clone(),
    };
    let place = Place::file(&source.file);
    let around = Arc::new(around);
    Ok(Loaded { module: module.into(), ast, sites, place, source: text, around })
}
