//! What the log says of rules that fail: the first failure at once, then one line a minute, so that a
//! rule that fails for every event is heard and does not drown what else is said.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::reference::Reference;
use crate::model::time::Time;

/// Between two lines about one rule.
const PAUSE: Duration = Duration::from_mins(1);

/// When each rule was last complained of, and how often it has failed since.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    last: HashMap<Reference, (Time, u64)>,
}

impl Complaints {
    /// Notes that `rule` failed. Where a line is due, says how many failures it stands for.
    pub(crate) fn note(&mut self, rule: &Reference, now: Time) -> Option<u64> {
        let Some((told, unsaid)) = self.last.get_mut(rule) else {
            self.last.insert(rule.clone(), (now, 0));
            return Some(1);
        };
        *unsaid += 1;
        if now.since(*told) < PAUSE {
            return None;
        }
        *told = now;
        Some(std::mem::take(unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_fails_for_every_event_is_told_once_a_minute() {
        let mut complaints = Complaints::default();
        let (one, other) = ("a.one".parse().unwrap(), "a.other".parse().unwrap());
        let at = |second: i64| Time::from_millis(second * 1000);
        assert_eq!(complaints.note(&one, at(0)), Some(1));
        assert_eq!(complaints.note(&one, at(1)), None);
        assert_eq!(complaints.note(&other, at(1)), Some(1));
        assert_eq!(complaints.note(&one, at(59)), None);
        assert_eq!(complaints.note(&one, at(60)), Some(3));
        assert_eq!(complaints.note(&one, at(61)), None);
    }
}
