//! What came in with the script: the time, its pack's configuration, the key-value store.

use rhai::plugin::export_module;
use rhai::{Dynamic, EvalAltResult, NativeCallContext};

use crate::script::scope::World;

/// Reads the world; at the top level of a file there is none.
fn ask<T>(
    context: &NativeCallContext,
    name: &str,
    read: impl FnOnce(&World) -> T,
) -> Result<T, Box<EvalAltResult>> {
    let tag = context.tag().and_then(Dynamic::read_lock::<World>);
    tag.map(|world| read(&world)).ok_or_else(|| {
        format!("`{name}` has no answer yet when the file loads; ask it inside a closure").into()
    })
}

#[export_module]
pub mod functions {
    use crate::script::convert::to_dynamic;

    /// Whether a field is there.
    ///
    /// > present(1) => true
    /// > present(()) => false
    #[rhai_fn(pure)]
    pub fn present(value: &mut Dynamic) -> bool {
        !value.is_unit()
    }

    /// The time, in milliseconds since 1970: the same for all that is decided together.
    ///
    /// > now() => 1700000000000
    ///
    /// # Errors
    /// While a file loads there is no answer.
    #[rhai_fn(volatile, return_raw)]
    pub fn now(context: NativeCallContext) -> Result<i64, Box<EvalAltResult>> {
        ask(&context, "now", |world| world.now.millis())
    }

    /// A value of the configuration of the script's pack; `()` where there is none.
    ///
    /// > config("region") => "north"
    /// > config("nothing") => ()
    ///
    /// # Errors
    /// While a file loads there is no answer.
    #[rhai_fn(volatile, return_raw)]
    pub fn config(context: NativeCallContext, name: &str) -> Result<Dynamic, Box<EvalAltResult>> {
        ask(&context, "config", |world| world.config.get(name).map(to_dynamic).unwrap_or_default())
    }

    /// A value of the key-value store; `()` where there is none.
    ///
    /// > key("maintenance") => true
    /// > key("nothing") => ()
    ///
    /// # Errors
    /// While a file loads there is no answer.
    #[rhai_fn(volatile, return_raw)]
    pub fn key(context: NativeCallContext, name: &str) -> Result<Dynamic, Box<EvalAltResult>> {
        ask(&context, "key", |world| world.keys.get(name).map(to_dynamic).unwrap_or_default())
    }
}
