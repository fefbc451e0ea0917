//! Lets go of the closures that rules have taken out of their file's functions: otherwise the file
//! would hold each of them a second time.

use std::collections::HashSet;
use std::sync::Arc;

use rhai::{AST, ASTNode, Array, Dynamic, Expr, FnPtr, ImmutableString, Map, Module, Shared};

use crate::rules::closure::Surroundings;
use crate::rules::declare::Declared;
use crate::rules::rule::Rule;

type Names = HashSet<ImmutableString>;

/// The closures of a file's declarations.
#[derive(Default)]
pub(crate) struct Closures {
    /// Those that are a rule's own.
    taken: Names,
    /// Those that a rule captured: it may call them.
    captured: Names,
}

impl Closures {
    /// Notes the closures of one declaration.
    pub(crate) fn note(&mut self, declared: &Declared) {
        for option in declared.options.values() {
            if let Some(pointer) = option.read_lock::<FnPtr>() {
                self.taken.insert(pointer.fn_name().into());
                pointer.iter_curry().for_each(|value| capture(value, &mut self.captured));
            } else {
                capture(option, &mut self.captured);
            }
        }
    }

    /// Takes them out of the functions of these rules of one file, but those that something may still
    /// call.
    pub(crate) fn drop_from(&self, rules: &mut [Rule]) {
        let mut before: Option<(Arc<Surroundings>, Arc<Surroundings>)> = None;
        for rule in rules.iter_mut().filter(|rule| rule.template.is_none()) {
            let known = before.as_ref().filter(|(old, _)| Arc::ptr_eq(old, &rule.around));
            let slim = known
                .map_or_else(|| Arc::new(self.slim(&rule.around)), |(_, slim)| Arc::clone(slim));
            before = Some((std::mem::replace(&mut rule.around, Arc::clone(&slim)), slim));
        }
    }

    fn slim(&self, around: &Surroundings) -> Surroundings {
        let mut kept = self.captured.clone();
        if let Some(constants) = around.constants.as_ref().and_then(|all| rhai::locked_read(all)) {
            constants.values().for_each(|value| capture(value, &mut kept));
        }
        let mut functions = self.without(around, &kept);
        loop {
            let known = kept.len();
            kept.extend(named(&functions).into_iter().filter(|name| self.taken.contains(name)));
            if kept.len() == known {
                break;
            }
            functions = self.without(around, &kept);
        }
        Surroundings {
            file: around.file.clone(),
            source: Arc::clone(&around.source),
            functions,
            imports: around.imports.clone(),
            constants: around.constants.clone(),
        }
    }

    /// The functions but what was taken and is not kept.
    fn without(&self, around: &Surroundings, kept: &Names) -> Shared<Module> {
        let mut functions = Module::new();
        functions.set_id(around.file.as_str());
        for (.., function) in around.functions.iter_script_fn_info() {
            if !self.taken.contains(&function.name) || kept.contains(&function.name) {
                functions.set_script_fn(Shared::clone(function));
            }
        }
        functions.into()
    }
}

/// The closures that functions name.
fn named(functions: &Shared<Module>) -> Names {
    let mut names = Names::new();
    AST::new([], Shared::clone(functions)).walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Expr(Expr::DynamicConstant(value, _))) = path.last() {
            capture(value, &mut names);
        }
        true
    });
    names
}

/// Notes the closures inside a value.
fn capture(value: &Dynamic, names: &mut Names) {
    if let Some(pointer) = value.read_lock::<FnPtr>() {
        names.insert(pointer.fn_name().into());
        pointer.iter_curry().for_each(|value| capture(value, names));
    } else if let Some(items) = value.read_lock::<Array>() {
        items.iter().for_each(|value| capture(value, names));
    } else if let Some(entries) = value.read_lock::<Map>() {
        entries.values().for_each(|value| capture(value, names));
    }
}
