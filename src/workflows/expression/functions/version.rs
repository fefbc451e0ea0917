//! Versions, after semver 2.0.0.

use std::cmp::Ordering;

use serde_json::Value;

use crate::script::python;
use crate::workflows::expression::fault::Fault;

struct Version {
    major: u64,
    minor: u64,
    patch: u64,
    before: Vec<String>,
}

fn read(text: &str) -> Result<Version, Fault> {
    let wrong = || Fault::value(format!("{text} is not valid SemVer string"));
    let (rest, build) = text.split_once('+').map_or((text, None), |(a, b)| (a, Some(b)));
    let (numbers, before) = rest.split_once('-').map_or((rest, None), |(a, b)| (a, Some(b)));
    let mut parts = numbers.split('.').map(|part| {
        let plain = part == "0" || !part.starts_with('0');
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse().ok().filter(|_| plain && digits)
    });
    let mut next = || parts.next().flatten().ok_or_else(wrong);
    let (major, minor, patch) = (next()?, next()?, next()?);
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let words = |text: Option<&str>| -> Result<Vec<String>, Fault> {
        let words: Vec<String> =
            text.map(|text| text.split('.').map(str::to_owned).collect()).unwrap_or_default();
        if words.iter().all(|word| is_word(word)) { Ok(words) } else { Err(wrong()) }
    };
    words(build)?;
    let before = words(before)?;
    if numbers.split('.').count() != 3 {
        return Err(wrong());
    }
    Ok(Version { major, minor, patch, before })
}

fn of(value: &Value) -> Result<Version, Fault> {
    read(&python::text(value))
}

impl Version {
    fn order(&self, other: &Self) -> Ordering {
        let numbers = |version: &Self| (version.major, version.minor, version.patch);
        numbers(self).cmp(&numbers(other)).then_with(|| {
            match (self.before.is_empty(), other.before.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => words(&self.before, &other.before),
            }
        })
    }
}

fn words(a: &[String], b: &[String]) -> Ordering {
    for (a, b) in a.iter().zip(b) {
        let order = match (a.parse::<u64>(), b.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => a.cmp(b),
        };
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

fn ordered(given: &[Value]) -> Result<Ordering, Fault> {
    Ok(of(&given[0])?.order(&of(&given[1])?))
}

pub(super) fn compare(given: &[Value]) -> Result<Value, Fault> {
    Ok((ordered(given)? as i64).into())
}

pub(super) fn more_than(given: &[Value]) -> Result<Value, Fault> {
    Ok(ordered(given)?.is_gt().into())
}

pub(super) fn less_than(given: &[Value]) -> Result<Value, Fault> {
    Ok(ordered(given)?.is_lt().into())
}

pub(super) fn equal(given: &[Value]) -> Result<Value, Fault> {
    Ok(ordered(given)?.is_eq().into())
}

/// `>=1.2.0` and its like; a plain version has to be the same.
pub(super) fn matches(given: &[Value]) -> Result<Value, Fault> {
    let version = of(&given[0])?;
    let wanted = python::text(&given[1]);
    let sign = [">=", "<=", "==", "!=", ">", "<"].into_iter().find(|sign| wanted.starts_with(sign));
    let rest = &wanted[sign.map_or(0, str::len)..];
    if sign.is_none() && !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Fault::value(format!(
            "match_expr parameter should be in format <op><ver>, where <op> is one of ['<', '>', \
             '==', '<=', '>=', '!=']. You provided: '{wanted}'"
        )));
    }
    let order = version.order(&read(rest)?);
    Ok(match sign {
        Some(">=") => order.is_ge(),
        Some("<=") => order.is_le(),
        Some(">") => order.is_gt(),
        Some("<") => order.is_lt(),
        Some("!=") => order.is_ne(),
        _ => order.is_eq(),
    }
    .into())
}

pub(super) fn bump_major(given: &[Value]) -> Result<Value, Fault> {
    Ok(format!("{}.0.0", of(&given[0])?.major.saturating_add(1)).into())
}

pub(super) fn bump_minor(given: &[Value]) -> Result<Value, Fault> {
    let version = of(&given[0])?;
    Ok(format!("{}.{}.0", version.major, version.minor.saturating_add(1)).into())
}

pub(super) fn bump_patch(given: &[Value]) -> Result<Value, Fault> {
    let version = of(&given[0])?;
    let patch = version.patch.saturating_add(1);
    Ok(format!("{}.{}.{patch}", version.major, version.minor).into())
}

pub(super) fn strip_patch(given: &[Value]) -> Result<Value, Fault> {
    let version = of(&given[0])?;
    Ok(format!("{}.{}", version.major, version.minor).into())
}
