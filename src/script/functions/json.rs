//! JSON as text.

use rhai::plugin::export_module;
use rhai::{Dynamic, EvalAltResult};

use crate::script::convert;

#[export_module]
pub mod functions {
    /// The value of a JSON text.
    ///
    /// > from_json("{\"a\": {\"b\": null}}").a.b => ()
    ///
    /// # Errors
    /// Where it is none.
    #[rhai_fn(return_raw)]
    pub fn from_json(text: &str) -> Result<Dynamic, Box<EvalAltResult>> {
        let value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        Ok(convert::to_dynamic(&value))
    }

    /// A value as a JSON text, on one line.
    ///
    /// > to_json(#{ a: #{ b: () } }) => "{\"a\":{\"b\":null}}"
    ///
    /// # Errors
    /// Where it is no data: a closure, an effect.
    #[rhai_fn(return_raw, pure)]
    pub fn to_json(value: &mut Dynamic) -> Result<String, Box<EvalAltResult>> {
        let json = convert::to_json(value).map_err(|error| error.to_string())?;
        Ok(json.to_string())
    }
}
