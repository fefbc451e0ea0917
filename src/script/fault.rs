//! What went wrong in a script, and where, said for the person who wrote it.

use rhai::{Dynamic, EvalAltResult, ParseErrorType, Position};

/// Why a script did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What happened: a lower-case fragment.
    pub message: String,
    /// Line of the script, from 1.
    pub line: Option<u32>,
    /// Column, from 1.
    pub column: Option<u32>,
    /// The file in which it happened, where that is not the script itself.
    pub file: Option<String>,
}

impl Fault {
    /// A fault called `message` at `position`.
    pub fn at(message: impl Into<String>, position: Position) -> Self {
        Self { message: message.into(), line: line(position), column: column(position), file: None }
    }

    /// The innermost reason of `error` and its place. `script` is the file that was evaluated: inside
    /// an imported function the place is the call, and the message names the function's own place.
    #[must_use]
    pub fn of(error: &EvalAltResult, script: &str) -> Self {
        match error {
            EvalAltResult::ErrorInFunctionCall(name, file, inner, call)
                if !file.is_empty() && file != script =>
            {
                let inner = Self::of(inner, file);
                let place = inner.place(file);
                Self::at(format!("in `{name}` ({place}): {}", inner.message), *call)
            }
            EvalAltResult::ErrorInFunctionCall(_, _, inner, call) => {
                let inner = Self::of(inner, script);
                if inner.line.is_some() { inner } else { Self::at(inner.message, *call) }
            }
            EvalAltResult::ErrorInModule(file, inner, call) => {
                let inner = Self::of(inner, file);
                Self { file: Some(file.clone()), ..inner.or(*call) }
            }
            error => Self::at(message(error), error.position()),
        }
    }

    fn place(&self, file: &str) -> String {
        match (self.line, self.column) {
            (Some(line), Some(column)) => format!("{file}:{line}:{column}"),
            _ => file.to_owned(),
        }
    }

    /// The same, said of another file than the one whose places are known.
    #[must_use]
    pub fn of_file(self, file: &str) -> Self {
        let place = self.place(file);
        Self::at(format!("in {place}: {}", self.message), Position::NONE)
    }

    /// The same, at `position` where no place is known.
    #[must_use]
    pub fn or(self, position: Position) -> Self {
        if self.line.is_some() { self } else { Self::at(self.message, position) }
    }
}

/// A position's line as ours.
#[must_use]
pub fn line(position: Position) -> Option<u32> {
    position.line().and_then(|line| u32::try_from(line).ok())
}

/// A position's column as ours.
#[must_use]
pub fn column(position: Position) -> Option<u32> {
    position.position().and_then(|column| u32::try_from(column).ok())
}

fn message(error: &EvalAltResult) -> String {
    use EvalAltResult as E;
    match error {
        E::ErrorParsing(ParseErrorType::VariableUndefined(name), _) => {
            format!("there is no variable `{name}`")
        }
        E::ErrorParsing(kind, _) => lower(&kind.to_string()),
        E::ErrorVariableNotFound(name, _) => format!("there is no variable `{name}`"),
        E::ErrorPropertyNotFound(name, _) => format!("there is no field `{name}`"),
        E::ErrorFunctionNotFound(call, _) => no_such_function(call),
        E::ErrorModuleNotFound(name, _) => format!("there is no library `{name}`"),
        E::ErrorMismatchDataType(wanted, found, _)
        | E::ErrorMismatchOutputType(wanted, found, _) => {
            format!("expected `{wanted}`, found `{found}`")
        }
        E::ErrorNonPureMethodCallOnConstant(name, _) => {
            format!("`{name}` may change what it is called on; call it on a copy, `let x = …`")
        }
        E::ErrorAssignmentToConstant(name, _) => {
            format!("`{name}` is constant and cannot be changed")
        }
        E::ErrorTooManyOperations(_) => "it takes too many operations".to_owned(),
        E::ErrorTooManyVariables(_) => "it has too many variables".to_owned(),
        E::ErrorStackOverflow(_) => "its functions call each other too deeply".to_owned(),
        E::ErrorDataTooLarge(kind, _) => match kind.as_str() {
            "Length of string" => "a text grows too long".to_owned(),
            "Size of array/BLOB" => "a list grows too large".to_owned(),
            "Size of object map" => "a map grows too large".to_owned(),
            kind => format!("{} is too large", lower(kind)),
        },
        E::ErrorTerminated(..) => "it takes too long".to_owned(),
        E::ErrorRuntime(value, _) => runtime(value),
        E::ErrorDataRace(what, _) => {
            let name = what.split('\'').nth(1).unwrap_or("a function");
            format!(
                "`{name}` is called on a variable that its closure uses too; copy what the closure \
                 needs into a `let` of its own"
            )
        }
        E::ErrorArrayBounds(0, index, _) => format!("there is no item {index} in an empty list"),
        E::ErrorArrayBounds(length, index, _) => {
            format!("there is no item {index} in a list of {length}")
        }
        E::ErrorDotExpr(what, _) | E::ErrorArithmetic(what, _) => lower(what),
        E::ErrorSystem(what, inner) => format!("{}{inner}", lower(what)),
        other => {
            let text = other.to_string();
            lower(text.split(" (line ").next().unwrap_or(&text))
        }
    }
}

/// `throw "text"` says the text; anything else that is thrown is shown as Rhai shows it.
fn runtime(value: &Dynamic) -> String {
    if value.is_unit() { "it threw an error".to_owned() } else { value.to_string() }
}

/// Rhai names the call with its types (`starts_with ((), &str | …)`).
fn no_such_function(call: &str) -> String {
    let (name, types) = call.split_once(" (").unwrap_or((call, ""));
    let types = types.trim_end_matches(')');
    if types.split(", ").next() == Some("()") {
        return format!("`{name}` was called on a field that is missing");
    }
    if types.is_empty() {
        return format!("there is no function `{name}`");
    }
    let types: Vec<&str> = types.split(", ").map(word).collect();
    format!("there is no function `{name}` for {}", types.join(" and "))
}

/// A type of Rhai's for people.
fn word(kind: &str) -> &str {
    match kind {
        "()" => "nothing",
        "bool" => "true or false",
        "i64" => "an integer",
        "f64" | "decimal" => "a number",
        "map" => "a map",
        "array" => "a list",
        "Fn" => "a closure",
        kind if kind.contains("string") || kind.contains("String") || kind == "char" => "a text",
        kind => kind.rsplit("::").next().unwrap_or(kind),
    }
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else { return String::new() };
    let second = letters.clone().next();
    if second.is_some_and(char::is_uppercase) {
        return text.to_owned();
    }
    first.to_lowercase().chain(letters).collect::<String>().trim_end_matches('.').to_owned()
}
