//! What a rule remembers under a key, and what that keeps it from doing.

use crate::model::time::Time;
use crate::rules::Memories;
use crate::rules::rule::Rule;

/// What memory says to a rule that matches.
pub(crate) enum Damping {
    /// Nothing against it.
    None,
    /// It fired too short a time ago.
    Cooling { until: Time },
}

/// What the memory of `rule` under `key` says at `now`. The cool-down is half-open: it includes the
/// instant of firing and ends just before `until`.
pub(crate) fn damping(rule: &Rule, key: Option<&str>, memories: &Memories, now: Time) -> Damping {
    let Some(cooldown) = rule.cooldown else { return Damping::None };
    let name = (rule.reference.clone(), key.unwrap_or_default().to_owned());
    let until = memories.get(&name).and_then(|memory| memory.fired).map(|at| at.plus(cooldown));
    match until {
        Some(until) if now < until => Damping::Cooling { until },
        _ => Damping::None,
    }
}

/// Remembers that `rule` fired under `key` at `now`, where it will ask.
pub(crate) fn fired(rule: &Rule, key: Option<&str>, memories: &mut Memories, now: Time) {
    if rule.cooldown.is_some() {
        let name = (rule.reference.clone(), key.unwrap_or_default().to_owned());
        memories.entry(name).or_default().fired = Some(now);
    }
}
