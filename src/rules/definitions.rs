//! What a rule may call, as definition files for editors that know Rhai (`*.d.rhai`).

use crate::rules::{effects, read};
use crate::script::{self, limits};

/// `rule` is taught to each file by itself, so its definition is written here.
const RULE: &str = "\
/// Declares a rule: its name, and a map of what it does. A file of `rules` may declare many.
///
/// ```rhai
/// rule(\"greet\", #{
///     on:   \"examples.greeting\",
///     when: |e| e.name.len() > 10,
///     then: |e| run(\"examples.note\", #{ text: e.name }),
/// });
/// ```
";

/// The files: their names and texts.
#[must_use]
pub fn definitions() -> Vec<(String, String)> {
    let (mut engine, _) = script::engine(&limits::LOADING);
    engine.register_global_module(effects::module());
    // Rhai's own list of built-in functions names what a rule may not call, `eval` among it.
    let all = engine.definitions();
    let files = all.iter_files().filter(|(name, _)| name != "__builtin__.d.rhai");
    // Rust's word for what may fail means nothing to people who write Rhai.
    let plain = |text: String| {
        let lines = text.lines().map(|line| match line.split_once("-> Result<") {
            Some((head, rest)) => {
                let kind = rest.trim_end_matches(", Box<EvalAltResult>>;");
                format!("{head}-> {kind};\n")
            }
            None => format!("{line}\n"),
        });
        lines.collect::<String>()
    };
    let mut files: Vec<(String, String)> = files.map(|(name, text)| (name, plain(text))).collect();
    let keys = read::KEYS.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let rule = format!(
        "module static;\n\n{RULE}///\n/// Its keys: {keys}.\nfn rule(name: string, options: map);\n"
    );
    files.push(("ifso.d.rhai".to_owned(), rule));
    files
}
