//! Every function that a script may call: Rhai's own that are pure and bounded, and ours by group.
//!
//! Not here: files, network, `eval`, `sleep`, `timestamp`, `exit`, `print`, random numbers.

#![expect(missing_docs, clippy::unwrap_used, reason = "Rhai's macro writes it so")]
#![expect(
    clippy::doc_link_with_quotes,
    clippy::must_use_candidate,
    reason = "the documentation is for people who write Rhai"
)]

use std::sync::LazyLock;

use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicFnPackage, BasicIteratorPackage, BasicMapPackage,
    BasicMathPackage, BasicStringPackage, LogicPackage, MoreStringPackage, Package,
};
use rhai::{Dynamic, FuncRegistration, Module, Shared};

pub mod text;
pub mod time;
pub mod list;
pub mod range;
pub mod json;
pub mod hash;
pub mod world;

/// All groups, built once; a constant in all but name.
static MODULES: LazyLock<Vec<Shared<Module>>> = LazyLock::new(|| {
    vec![
        ArithmeticPackage::new().as_shared_module(),
        LogicPackage::new().as_shared_module(),
        BasicStringPackage::new().as_shared_module(),
        MoreStringPackage::new().as_shared_module(),
        BasicIteratorPackage::new().as_shared_module(),
        BasicFnPackage::new().as_shared_module(),
        BasicMathPackage::new().as_shared_module(),
        BasicArrayPackage::new().as_shared_module(),
        BasicMapPackage::new().as_shared_module(),
        rhai::exported_module!(text::functions).into(),
        rhai::exported_module!(time::functions).into(),
        rhai::exported_module!(list::functions).into(),
        rhai::exported_module!(range::functions).into(),
        rhai::exported_module!(json::functions).into(),
        rhai::exported_module!(hash::functions).into(),
        rhai::exported_module!(world::functions).into(),
        missing().into(),
    ]
});

/// The modules of all groups, in the order in which an engine takes them.
#[must_use]
pub fn modules() -> &'static [Shared<Module>] {
    &MODULES
}

/// A field of what has no fields is missing: `e.a.b.c` is `()` wherever the path breaks off.
fn missing() -> Module {
    let mut module = Module::new();
    FuncRegistration::new_index_getter()
        .set_into_module(&mut module, |_: &mut Dynamic, _: &str| Dynamic::UNIT);
    module
}
