//! The short way: most expressions are a path into the context, the result or the item, and need no
//! engine. What this cannot read, or does not find, the engine is asked.

use serde_json::Value;

use crate::workflows::expression::Scope;

/// The value of `ctx().a.b`, `ctx('a')[0]`, `result().x['y']`, `item().z`, and in Rhai `ctx.a.b`.
pub(super) fn value(text: &str, scope: &Scope<'_>) -> Option<Value> {
    let (mut found, mut rest) = root(text, scope)?;
    while !rest.is_empty() {
        let (step, behind) = step(rest)?;
        found = match step {
            Step::Name(name) => found.get(name)?,
            Step::Place(place) => found.get(place)?,
        };
        rest = behind;
    }
    Some(found.clone())
}

enum Step<'t> {
    Name(&'t str),
    Place(usize),
}

fn root<'t, 'a>(text: &'t str, scope: &Scope<'a>) -> Option<(&'a Value, &'t str)> {
    if let Some(rest) = text.strip_prefix("result()") {
        return Some((scope.task?.result, rest));
    }
    if let Some(rest) = text.strip_prefix("item()") {
        return Some((scope.item?, rest));
    }
    let rest = text.strip_prefix("ctx")?;
    let (name, rest) = if let Some(inside) = rest.strip_prefix("()") {
        match step(inside)? {
            (Step::Name(name), rest) => (name, rest),
            (Step::Place(_), _) => return None,
        }
    } else if let Some(inside) = rest.strip_prefix('(') {
        let (name, rest) = quoted(inside)?;
        (name, rest.strip_prefix(')')?)
    } else {
        match step(rest)? {
            (Step::Name(name), rest) if text.starts_with("ctx.") => (name, rest),
            _ => return None,
        }
    };
    let value = scope.context.get(name).filter(|_| !name.starts_with("__"))?;
    Some((value, rest))
}

/// `.name`, `[3]` or `['name']`.
fn step(text: &str) -> Option<(Step<'_>, &str)> {
    if let Some(rest) = text.strip_prefix('.') {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        return (is_name && !rest.starts_with('(')).then_some((Step::Name(name), rest));
    }
    let inside = text.strip_prefix('[')?;
    if let Some((name, rest)) = quoted(inside) {
        return Some((Step::Name(name), rest.strip_prefix(']')?));
    }
    let (place, rest) = inside.split_once(']')?;
    Some((Step::Place(place.parse().ok()?), rest))
}

/// A text in quotes, without escapes.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let (inside, rest) = text[1..].split_once(quote)?;
    (!inside.contains('\\')).then_some((inside, rest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::time::Time;
    use crate::workflows::Context;
    use crate::workflows::expression::World;

    struct Nothing;

    impl World for Nothing {
        fn task_status(&self, _: &str, _: Option<u32>) -> Option<String> {
            None
        }

        fn task(&self, _: &str, _: Option<u32>) -> Option<Value> {
            None
        }

        fn key(&self, _: &str, _: bool) -> Result<Option<Value>, String> {
            Ok(None)
        }

        fn now(&self) -> Time {
            Time::from_millis(0)
        }
    }

    #[test]
    fn only_plain_paths_go_the_short_way() {
        let a = json!({"b": [1, {"c-d": 2}]});
        let context: Context =
            [("a".into(), a.into()), ("__b".into(), json!(1).into())].into_iter().collect();
        let item = json!([5]);
        let scope = Scope { context: &context, task: None, item: Some(&item), world: &Nothing };
        for (text, expected) in [
            ("ctx().a.b[0]", Some(json!(1))),
            ("ctx('a')[\"b\"][1]['c-d']", Some(json!(2))),
            ("ctx.a.b[0]", Some(json!(1))),
            ("item()[0]", Some(json!(5))),
            ("ctx()", None),
            ("ctx().a.b | length", None),
            ("ctx().a.get('b')", None),
            ("ctx().a.b[-1]", None),
            ("ctx().__b", None),
            ("ctx().zz", None),
            ("ctx().a.b[0] + 1", None),
            ("context.a", None),
            ("result().x", None),
            ("ctx().a.b[9]", None),
        ] {
            assert_eq!(value(text, &scope), expected, "{text}");
        }
    }
}
