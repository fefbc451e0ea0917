//! A condition of ansible-rulebook as a condition of ours. What their comparisons say of missing
//! attributes has to be asked for: there every comparison of one is false, its negation too.

use serde_json::Value;

use super::grammar::{Expr, Path, Step};

/// Functions that a rule file would define to keep their meaning.
pub(super) const HELPERS: &str = r#"
fn has(map, key) { type_of(map) == "map" && key in map }
fn has_item(list, n) { type_of(list) == "array" && n < list.len() && n >= -list.len() }
fn item(list, n) { if has_item(list, n) { list[n] } else { () } }
fn items(value) { if type_of(value) == "array" { value } else { [value] } }
fn holds(list, item) { if type_of(list) == "array" { item in list } else { list == item } }
fn finds(text, expression) { type_of(text) == "string" && text.matches(expression) }
"#;

const RESERVED: &[&str] = &[
    "as",
    "async",
    "await",
    "call",
    "case",
    "const",
    "default",
    "do",
    "else",
    "eval",
    "export",
    "false",
    "fn",
    "for",
    "go",
    "goto",
    "if",
    "import",
    "in",
    "is",
    "let",
    "loop",
    "match",
    "module",
    "new",
    "nil",
    "null",
    "package",
    "private",
    "protected",
    "public",
    "return",
    "shared",
    "spawn",
    "static",
    "super",
    "switch",
    "sync",
    "this",
    "thread",
    "throw",
    "true",
    "try",
    "until",
    "use",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

pub(super) struct Conditions<'v> {
    pub(super) vars: &'v Value,
    /// The names that the conditions of the rule bind to events.
    pub(super) bound: Vec<String>,
}

type Text = Result<String, String>;

impl Conditions<'_> {
    pub(super) fn condition(&self, expr: &Expr, negated: bool) -> Text {
        match expr {
            Expr::Literal(Value::Bool(truth)) => Ok((*truth != negated).to_string()),
            Expr::Not(inner) => self.condition(inner, !negated),
            Expr::Path(path) if negated => {
                let value = self.path(path)?;
                let guard = self.guard(path)?;
                Ok(format!("({guard} && ({value} == false || {value} == 0 || {value} == ()))"))
            }
            Expr::Path(path) => Ok(format!("{} == true", self.path(path)?)),
            Expr::Two(left, operator, right) if ["and", "or"].contains(&operator.as_str()) => {
                let operator = if (operator == "and") == negated { "||" } else { "&&" };
                let (left, right) =
                    (self.condition(left, negated)?, self.condition(right, negated)?);
                Ok(format!("({left} {operator} {right})"))
            }
            Expr::Two(left, operator, right) => self.leaf(operator, left, right, negated, ""),
            Expr::Is { of, not, test, with, flags } => {
                self.test(of, test, with, flags, negated != *not)
            }
            other => Err(format!("is no condition: {other:?}")),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what a clause of theirs holds")]
    fn test(&self, of: &Expr, test: &str, with: &[Expr], flags: &str, negated: bool) -> Text {
        match (test, of, with) {
            ("defined", Expr::Path(path), _) => {
                let guard = self.guard(path)?;
                Ok(if negated { format!("!({guard})") } else { guard })
            }
            ("select", _, [Expr::Literal(Value::String(operator)), value]) => {
                let each = Path { root: "x".to_owned(), steps: Vec::new() };
                self.some(of, &each, operator, value, negated)
            }
            (
                "selectattr",
                _,
                [Expr::Literal(Value::String(name)), Expr::Literal(Value::String(operator)), value],
            ) => {
                let steps = name.split('.').map(|name| Step::Name(name.to_owned())).collect();
                let each = Path { root: "x".to_owned(), steps };
                self.some(of, &each, operator, value, negated)
            }
            (_, _, [pattern]) => self.leaf(test, of, pattern, negated, flags),
            _ => Err(format!("is no test: {test}")),
        }
    }

    /// `is select` holds for some item; `is not select` too: some item is otherwise.
    #[expect(clippy::too_many_arguments, reason = "what a clause of theirs holds")]
    fn some(&self, of: &Expr, each: &Path, operator: &str, value: &Expr, negated: bool) -> Text {
        let guard = self.guards(&[of])?;
        let leaf = self.leaf(operator, &Expr::Path(each.clone()), value, negated, "")?;
        Ok(format!("({guard}items({}).some(|x| {leaf}))", self.value(of)?))
    }

    /// One comparison.
    #[expect(clippy::too_many_arguments, reason = "what a clause of theirs holds")]
    fn leaf(&self, operator: &str, left: &Expr, right: &Expr, negated: bool, flags: &str) -> Text {
        let (operator, negated) = match operator.strip_prefix("not ") {
            Some(operator) => (operator, !negated),
            None => (operator, negated),
        };
        let (a, b) = (self.value(left)?, self.value(right)?);
        let said = match operator {
            "in" => Self::holds(right, &b, &a),
            "contains" => Self::holds(left, &a, &b),
            "match" | "search" | "regex" => {
                format!("finds({a}, {})", pattern(operator, right, &b, flags))
            }
            "==" | "!=" if negated => {
                format!("{a} {} {b}", if operator == "==" { "!=" } else { "==" })
            }
            "==" | "!=" | ">" | "<" | ">=" | "<=" if negated => format!("!({a} {operator} {b})"),
            "==" | "!=" | ">" | "<" | ">=" | "<=" => format!("{a} {operator} {b}"),
            other => return Err(format!("there is no {other}")),
        };
        let text_or_list = !matches!(operator, "==" | "!=" | ">" | "<" | ">=" | "<=");
        let said = if negated && text_or_list { format!("!{said}") } else { said };
        let plain = |expr: &Expr| matches!(expr, Expr::Literal(value) if !value.is_null());
        let sums = [left, right].iter().any(|expr| matches!(expr, Expr::Two(..)));
        let sure = !negated && operator != "!=" && !sums && (plain(left) || plain(right));
        let guard = if sure { String::new() } else { self.guards(&[left, right])? };
        Ok(format!("({guard}{said})"))
    }

    fn holds(list: &Expr, list_text: &str, item: &str) -> String {
        match list {
            Expr::List(_) => format!("({item} in {list_text})"),
            _ => format!("holds({list_text}, {item})"),
        }
    }

    fn guards(&self, of: &[&Expr]) -> Text {
        let mut paths = Vec::new();
        for expr in of {
            collect(expr, &mut paths);
        }
        let guards: Result<Vec<String>, String> = paths
            .into_iter()
            .filter(|path| path.root != "vars" && !path.steps.is_empty())
            .map(|path| Ok(format!("{} && ", self.guard(path)?)))
            .collect();
        Ok(guards?.concat())
    }

    /// Whether what the path names is there; null is.
    fn guard(&self, path: &Path) -> Text {
        let Some((last, before)) = path.steps.split_last() else { return Ok("true".to_owned()) };
        let before = self.path(&Path { root: path.root.clone(), steps: before.to_vec() })?;
        Ok(match last {
            Step::Name(name) => format!("has({before}, {})", literal(&name.as_str().into())),
            Step::Index(n) => format!("has_item({before}, {n})"),
        })
    }

    fn value(&self, expr: &Expr) -> Text {
        match expr {
            Expr::Literal(value) => Ok(literal(value)),
            Expr::List(items) => {
                let items: Result<Vec<String>, String> =
                    items.iter().map(|item| self.value(item)).collect();
                Ok(format!("[{}]", items?.join(", ")))
            }
            Expr::Path(path) => self.path(path),
            Expr::Two(left, operator, right) if ["+", "-"].contains(&operator.as_str()) => {
                Ok(format!("({} {operator} {})", self.value(left)?, self.value(right)?))
            }
            other => Err(format!("is no value: {other:?}")),
        }
    }

    /// The condition of the same rule whose event the path names.
    pub(super) fn crosses(&self, path: &Path) -> Option<usize> {
        let Some(Step::Name(first)) = path.steps.first() else { return None };
        let may = path.root.ends_with('s') || first.starts_with("m_");
        self.bound.iter().position(|bound| bound == first).filter(|_| may)
    }

    pub(super) fn path(&self, path: &Path) -> Text {
        if path.root == "vars" {
            return path
                .steps
                .iter()
                .try_fold(self.vars, |value, step| match step {
                    Step::Name(name) => value.get(name),
                    Step::Index(n) => value.get(usize::try_from(*n).ok()?),
                })
                .map(literal)
                .ok_or_else(|| "names what is not in vars".to_owned());
        }
        if self.crosses(path).is_some() {
            return Err("a condition names another event of the same rule".to_owned());
        }
        let root = if path.root == "x" { "x" } else { "e" };
        Ok(path.steps.iter().fold(root.to_owned(), |before, step| match step {
            Step::Name(name) if is_plain(name) => format!("{before}.{name}"),
            Step::Name(name) => format!("{before}[{}]", literal(&name.as_str().into())),
            Step::Index(n) => format!("item({before}, {n})"),
        }))
    }
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !RESERVED.contains(&name)
}

fn collect<'e>(expr: &'e Expr, paths: &mut Vec<&'e Path>) {
    match expr {
        Expr::Path(path) => paths.push(path),
        Expr::List(items) => items.iter().for_each(|item| collect(item, paths)),
        Expr::Two(left, _, right) => {
            collect(left, paths);
            collect(right, paths);
        }
        _ => {}
    }
}

/// `match` fits from the start, the others anywhere.
fn pattern(test: &str, pattern: &Expr, value: &str, flags: &str) -> String {
    let flags = if flags.is_empty() { String::new() } else { format!("(?{flags})") };
    let (before, after) = if test == "match" { ("^(?:", ")") } else { ("", "") };
    match pattern {
        Expr::Literal(Value::String(pattern)) => {
            // There `$` stands before a last line end too.
            let pattern = match pattern.strip_suffix('$') {
                Some(pattern) => format!("{pattern}\\n?$"),
                None => pattern.clone(),
            };
            literal(&format!("{flags}{before}{pattern}{after}").into())
        }
        _ => format!("\"{flags}{before}\" + {value} + \"{after}\""),
    }
}

/// A value as a script writes it.
pub(super) fn literal(value: &Value) -> String {
    match value {
        Value::Null => "()".to_owned(),
        Value::Number(number) if number.as_i64().is_none() => {
            let text = format!("{:?}", number.as_f64().unwrap_or(f64::NAN));
            match text.split_once('e') {
                Some((digits, power)) if !digits.contains('.') => format!("{digits}.0e{power}"),
                _ => text,
            }
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                format!("{}: {}", literal(&name.as_str().into()), literal(value))
            };
            format!("#{{ {} }}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
