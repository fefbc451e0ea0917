//! Slows whoever tries passwords: each wrong one makes the next wait longer. Pure: the caller brings
//! the time.
//!
//! It counts by user and address together, so that nobody can lock a user out from elsewhere, and by
//! address alone, so that trying one password on many users is slow too.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::time::Time;

/// Wrong passwords for one user from one address before it waits: people mistype.
const FREE_FOR_USER: u32 = 5;
/// Wrong passwords from one address before it waits: many people may stand behind one.
const FREE_FOR_ADDRESS: u32 = 50;
/// The longest wait of one user from one address.
const WAIT_MOST: Duration = Duration::from_mins(5);
/// The longest wait of an address: a proxy's is everybody's, and one of them must not shut all out.
const ADDRESS_WAIT_MOST: Duration = Duration::from_secs(1);
/// After so long without a try all is forgotten.
const MEMORY: Duration = Duration::from_mins(15);
/// Users and addresses that are remembered: some MiB. Beyond it the longest untried goes.
const REMEMBERED_LIMIT: usize = 10_000;

/// A user (empty: any) and an address.
type Who = (String, String);

/// Tries that were wrong, or are under way.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    tried: HashMap<Who, Tries>,
}

#[derive(Debug, Clone, Copy)]
struct Tries {
    count: u32,
    last: Time,
    until: Time,
}

impl Failures {
    /// Counts a try before it is looked at, so that many at once do not slip through; `right` takes it
    /// back. Gives how long to wait where it may not be looked at now.
    pub(crate) fn begin(&mut self, user: &str, address: &str, now: Time) -> Result<(), Duration> {
        let keys = keys(user, address);
        let waits = keys.iter().filter_map(|(who, ..)| {
            let until = self.tried.get(who)?.until;
            (until > now).then(|| until.since(now))
        });
        if let Some(wait) = waits.max() {
            return Err(wait);
        }
        for (who, free, most) in keys {
            let tries = self.count(who, now);
            if tries.count >= free {
                // 1 s, 2 s, 4 s, …
                let seconds = 1_u64 << (tries.count - free).min(16);
                tries.until = now.plus(Duration::from_secs(seconds).min(most));
            }
        }
        Ok(())
    }

    /// The password was right.
    pub(crate) fn right(&mut self, user: &str, address: &str) {
        let [(own, ..), (shared, ..)] = keys(user, address);
        self.tried.remove(&own);
        if let Some(tries) = self.tried.get_mut(&shared) {
            tries.count = tries.count.saturating_sub(1);
            tries.until = tries.last;
        }
    }

    fn count(&mut self, who: Who, now: Time) -> &mut Tries {
        if self.tried.len() >= REMEMBERED_LIMIT && !self.tried.contains_key(&who) {
            self.make_room(now);
        }
        let fresh = Tries { count: 0, last: now, until: now };
        let tries = self.tried.entry(who).or_insert(fresh);
        if tries.last.plus(MEMORY) <= now {
            *tries = fresh;
        }
        tries.count += 1;
        tries.last = now;
        tries
    }

    fn make_room(&mut self, now: Time) {
        self.tried.retain(|_, tries| tries.last.plus(MEMORY) > now);
        if self.tried.len() >= REMEMBERED_LIMIT {
            let oldest = self.tried.iter().min_by_key(|(_, tries)| tries.last);
            if let Some(who) = oldest.map(|(who, _)| who.clone()) {
                self.tried.remove(&who);
            }
        }
    }
}

/// Under what a try is counted, how often it is free, and how long it waits at most.
fn keys(user: &str, address: &str) -> [(Who, u32, Duration); 2] {
    [
        ((user.to_owned(), address.to_owned()), FREE_FOR_USER, WAIT_MOST),
        ((String::new(), address.to_owned()), FREE_FOR_ADDRESS, ADDRESS_WAIT_MOST),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_millis(0).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn each_wrong_password_makes_the_next_wait_longer() {
        let mut failures = Failures::default();
        for _ in 0..FREE_FOR_USER {
            failures.begin("ann", "a", at(100)).unwrap();
        }
        assert_eq!(failures.begin("ann", "a", at(100)), Err(Duration::from_secs(1)));
        failures.begin("ann", "a", at(101)).unwrap();
        assert_eq!(failures.begin("ann", "a", at(101)), Err(Duration::from_secs(2)));
        failures.begin("ann", "b", at(101)).expect("another address is not slowed");
        failures.begin("bob", "a", at(101)).expect("another user is not slowed");
        failures.begin("ann", "a", at(101 + 15 * 60)).expect("it is forgotten");
    }

    #[test]
    fn no_wait_is_longer_than_the_longest() {
        let (mut failures, mut now) = (Failures::default(), at(0));
        for _ in 0..100 {
            if let Err(wait) = failures.begin("ann", "a", now) {
                assert!(wait <= WAIT_MOST);
                now = now.plus(wait);
            }
        }
        failures.right("ann", "a");
        failures.begin("ann", "a", now.plus(WAIT_MOST)).expect("the right one ends it");
    }

    #[test]
    fn one_password_tried_on_many_users_is_slowed_by_the_address() {
        let mut failures = Failures::default();
        let slowed = (0..60).find(|n| failures.begin(&format!("u{n}"), "a", at(1)).is_err());
        assert_eq!(slowed, Some(50));
        for n in 0..60 {
            let name = format!("v{n}");
            failures
                .begin(&name, "a", at(2 + n))
                .expect("nobody waits longer than a second for others");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut failures = Failures::default();
        for n in 0..5_200 {
            let _wait = failures.begin("ann", &n.to_string(), at(n / 1000));
        }
        assert!(failures.tried.len() <= REMEMBERED_LIMIT);
    }
}
