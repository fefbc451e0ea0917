//! Which tasks come again behind themselves.

use std::collections::{BTreeMap, BTreeSet};

/// What follows each task.
pub(super) type Follows<'a> = BTreeMap<&'a str, Vec<&'a str>>;

/// The tasks from which a way leads back to them. Every way is walked twice, however many circles
/// there are (Kosaraju's algorithm).
pub(super) fn circles<'a>(follows: &Follows<'a>) -> BTreeSet<&'a str> {
    let mut back: Follows<'a> = BTreeMap::new();
    for (name, next) in follows {
        for to in next {
            back.entry(to).or_default().push(name);
        }
    }
    let mut seen = BTreeSet::new();
    let mut order = Vec::new();
    for name in follows.keys() {
        order.extend(finished(name, follows, &mut seen));
    }
    let mut found = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for name in order.iter().rev() {
        let group = finished(name, &back, &mut taken);
        let alone = |name: &&str| !follows.get(name).is_some_and(|next| next.contains(name));
        if group.len() > 1 || group.iter().any(|name| !alone(name)) {
            found.extend(group);
        }
    }
    found
}

/// What can be reached from `name` and was not `seen` yet, the furthest first.
fn finished<'a>(
    name: &'a str,
    follows: &Follows<'a>,
    seen: &mut BTreeSet<&'a str>,
) -> Vec<&'a str> {
    let mut done = Vec::new();
    let mut open = vec![(name, 0)];
    if !seen.insert(name) {
        return done;
    }
    while let Some((name, at)) = open.pop() {
        match follows.get(name).and_then(|next| next.get(at)) {
            Some(next) => {
                open.push((name, at + 1));
                if seen.insert(next) {
                    open.push((next, 0));
                }
            }
            None => done.push(name),
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_comes_again_is_in_a_circle() {
        let follows = Follows::from([
            ("a", vec!["b"]),
            ("b", vec!["c", "d"]),
            ("c", vec!["b"]),
            ("d", vec!["e", "d"]),
            ("e", vec!["noop"]),
        ]);
        assert_eq!(circles(&follows), BTreeSet::from(["b", "c", "d"]));
    }
}
