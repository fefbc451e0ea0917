//! Which files are new, changed or gone, and which of them are still being written. Pure: it is told
//! what stands in the folder and what the time is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::time::Time;

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Print {
    /// Its size in bytes.
    pub(crate) size: u64,
    /// When its content changed, in nanoseconds since 1970.
    pub(crate) modified: i64,
    /// When anything about it changed, its name included, in nanoseconds since 1970.
    pub(crate) touched: i64,
    /// Which file it is.
    pub(crate) inode: u64,
}

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It appeared.
    Created,
    /// It has another content.
    Changed,
    /// It is gone.
    Removed,
}

impl Change {
    /// As in the event.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }
}

/// One thing to report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) path: PathBuf,
    pub(crate) change: Change,
    pub(crate) print: Print,
}

/// A file that changed and may not be complete.
#[derive(Debug, Clone, Copy)]
struct Pending {
    print: Print,
    since: Time,
    /// Somebody writes and has not closed it, as far as anybody said.
    open: bool,
}

/// A file that is held open without being written to is complete after all.
const OPEN_LIMIT: Duration = Duration::from_mins(1);

/// What is known of one folder.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    known: BTreeMap<PathBuf, Print>,
    pending: BTreeMap<PathBuf, Pending>,
    removed: BTreeMap<PathBuf, Print>,
}

impl Tracker {
    /// This file has been reported, or never will be.
    pub(crate) fn know(&mut self, path: PathBuf, print: Print) {
        self.known.insert(path, print);
    }

    /// A look at `path`: its print, or nothing where there is no such file.
    pub(crate) fn observe(&mut self, path: &Path, print: Option<Print>, now: Time) {
        let Some(print) = print else {
            self.pending.remove(path);
            if let Some(known) = self.known.get(path) {
                self.removed.insert(path.to_owned(), *known);
            }
            return;
        };
        self.removed.remove(path);
        if self.known.get(path) == Some(&print) {
            self.pending.remove(path);
            return;
        }
        match self.pending.get_mut(path) {
            Some(pending) if pending.print == print => {}
            Some(pending) => (pending.print, pending.since) = (print, now),
            None => {
                let pending = Pending { print, since: now, open: false };
                self.pending.insert(path.to_owned(), pending);
            }
        }
    }

    /// Somebody wrote to `path` (`open`), or closed it after writing.
    pub(crate) fn written(&mut self, path: &Path, open: bool) {
        if let Some(pending) = self.pending.get_mut(path) {
            pending.open = open;
        }
    }

    /// Every path that is known or pending.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.known.keys().chain(self.pending.keys()).cloned().collect()
    }

    /// The paths that have stood still for `settle`: to be looked at once more, then `take`n.
    pub(crate) fn still(&self, now: Time, settle: Duration) -> Vec<PathBuf> {
        let still = |(_, pending): &(&PathBuf, &Pending)| now >= pending.ripe(settle);
        self.pending.iter().filter(still).map(|(path, _)| path.clone()).collect()
    }

    /// When the next path has stood still.
    pub(crate) fn next(&self, settle: Duration) -> Option<Time> {
        self.pending.values().map(|pending| pending.ripe(settle)).min()
    }

    /// What is to be reported at `now`: complete files, oldest first, and those that are gone.
    pub(crate) fn news(&self, now: Time, settle: Duration) -> Vec<News> {
        let removed = self.removed.iter().map(|(path, print)| News {
            path: path.clone(),
            change: Change::Removed,
            print: *print,
        });
        let complete = self.pending.iter().filter(|(_, pending)| now >= pending.ripe(settle));
        let mut complete: Vec<_> = complete
            .map(|(path, pending)| {
                let known = self.known.contains_key(path);
                let change = if known { Change::Changed } else { Change::Created };
                News { path: path.clone(), change, print: pending.print }
            })
            .collect();
        complete.sort_by_key(|news| news.print.touched);
        removed.chain(complete).collect()
    }

    /// These have been reported.
    pub(crate) fn reported(&mut self, news: &[News]) {
        for News { path, change, print } in news {
            if *change == Change::Removed {
                self.removed.remove(path);
                self.known.remove(path);
            } else {
                self.pending.remove(path);
                self.known.insert(path.clone(), *print);
            }
        }
    }

    /// Everything that was touched up to here is settled once `news` are reported: nothing that waits
    /// is older.
    pub(crate) fn settled(&self, news: &[News]) -> Option<i64> {
        let told = |path: &Path| news.iter().any(|news| news.path == path);
        let waiting = self.pending.iter().filter(|(path, _)| !told(path));
        let waiting = waiting.map(|(_, pending)| pending.print.touched - 1).min();
        let done = news.iter().filter(|news| news.change != Change::Removed);
        let done = done.map(|news| news.print.touched).max()?;
        Some(waiting.map_or(done, |waiting| waiting.min(done)))
    }
}

impl Pending {
    fn ripe(&self, settle: Duration) -> Time {
        self.since.plus(if self.open { settle.max(OPEN_LIMIT) } else { settle })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(1);

    fn print(size: u64) -> Print {
        Print { size, modified: 1, touched: i64::try_from(size).unwrap(), inode: 1 }
    }

    fn told(tracker: &mut Tracker, now: i64) -> Vec<(Change, u64)> {
        let news = tracker.news(Time::from_millis(now), SETTLE);
        tracker.reported(&news);
        news.iter().map(|news| (news.change, news.print.size)).collect()
    }

    #[test]
    fn a_growing_file_is_told_once_it_stands_still() {
        let (mut tracker, path) = (Tracker::default(), Path::new("/a"));
        for (now, size) in [(0, 1), (900, 2), (1800, 3)] {
            tracker.observe(path, Some(print(size)), Time::from_millis(now));
            assert_eq!(told(&mut tracker, now), []);
        }
        assert_eq!(told(&mut tracker, 2799), []);
        assert_eq!(told(&mut tracker, 2800), [(Change::Created, 3)]);
        tracker.observe(path, Some(print(3)), Time::from_millis(5000));
        assert_eq!(told(&mut tracker, 9000), []);
        tracker.observe(path, Some(print(4)), Time::from_millis(9000));
        assert_eq!(told(&mut tracker, 10_000), [(Change::Changed, 4)]);
        tracker.observe(path, None, Time::from_millis(11_000));
        assert_eq!(told(&mut tracker, 11_000), [(Change::Removed, 4)]);
    }

    #[test]
    fn an_open_file_waits_for_its_writer() {
        let (mut tracker, path) = (Tracker::default(), Path::new("/a"));
        tracker.observe(path, Some(print(1)), Time::from_millis(0));
        tracker.written(path, true);
        assert_eq!(told(&mut tracker, 59_000), []);
        tracker.written(path, false);
        assert_eq!(told(&mut tracker, 59_000), [(Change::Created, 1)]);
    }

    #[test]
    fn a_file_that_never_was_complete_is_never_told() {
        let (mut tracker, path) = (Tracker::default(), Path::new("/a"));
        tracker.observe(path, Some(print(1)), Time::from_millis(0));
        tracker.observe(path, None, Time::from_millis(10));
        assert_eq!(told(&mut tracker, 9000), []);
    }

    #[test]
    fn what_waits_is_never_behind_what_is_settled() {
        let mut tracker = Tracker::default();
        tracker.observe(Path::new("/slow"), Some(print(5)), Time::from_millis(900));
        tracker.observe(Path::new("/quick"), Some(print(9)), Time::from_millis(0));
        let news = tracker.news(Time::from_millis(1000), SETTLE);
        assert_eq!(news.len(), 1);
        assert_eq!(tracker.settled(&news), Some(4));
        tracker.reported(&news);
        let news = tracker.news(Time::from_millis(2000), SETTLE);
        assert_eq!(tracker.settled(&news), Some(5));
    }
}
