//! Counts what a run did, and says how far it is.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::row::{Row, State};

/// The rate is that of the last seconds.
const WINDOW: Duration = Duration::from_secs(10);

/// What a run did so far. Shared; counting never waits.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// To be copied, as far as the list is known.
    pub(super) objects: Count,
    pub(super) bytes: Count,
    /// Copied and made sure of in this run.
    pub(super) copied: Count,
    pub(super) copied_bytes: Count,
    pub(super) second: Count,
    pub(super) second_bytes: Count,
    /// Were there from an earlier run.
    pub(super) skipped: Count,
    pub(super) excluded: Count,
    pub(super) removed: Count,
    pub(super) failed: Count,
    /// Went away at the source before they were copied.
    pub(super) gone: Count,
    pub(super) listed: AtomicBool,
    /// Bytes that went through, also those of copies that failed.
    moved: Count,
}

/// A count that many add to.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Meter {
    pub(super) fn moved(&self, bytes: u64) {
        self.moved.add(bytes);
    }

    /// Counts a row that was there when the run `run` was taken up.
    pub(super) fn found(&self, row: &Row, run: u32, checked_since: u32) {
        match &row.state {
            State::Pending | State::Parts { .. } => self.expected(row.listed.size),
            State::Failed { run: failed, .. } if *failed < run => self.expected(row.listed.size),
            State::Failed { .. } => self.failed.add(1),
            // Counted when it is looked at.
            State::Verified(_, checked) if *checked < checked_since => {}
            State::Verified(copy, _) if copy.made < run => self.skipped.add(1),
            State::Removed(copy, _) if copy.made < run => {}
            State::Verified(copy, _) | State::Removed(copy, _) => {
                self.expected(copy.version.size);
                self.copied(copy.version.size, copy.second);
            }
            State::Gone(gone) => self.gone.add(u64::from(*gone == run)),
        }
        if matches!(&row.state, State::Removed(_, removed) if *removed == run) {
            self.removed.add(1);
        }
    }

    pub(super) fn expected(&self, bytes: u64) {
        self.objects.add(1);
        self.bytes.add(bytes);
    }

    pub(super) fn copied(&self, bytes: u64, second: bool) {
        self.copied.add(1);
        self.copied_bytes.add(bytes);
        if second {
            self.second.add(1);
            self.second_bytes.add(bytes);
        }
    }
}

/// A line of progress, in this order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Line {
    /// From 0 to 1.
    pub(super) progress: f64,
    pub(super) message: String,
    pub(super) objects: u64,
    pub(super) bytes: u64,
    /// Bytes a second.
    pub(super) rate: u64,
    /// Seconds, where they can be known.
    pub(super) remaining: Option<u64>,
    pub(super) failed: u64,
}

/// Remembers enough to tell a rate.
pub(super) struct Speed {
    seen: VecDeque<(Instant, u64, u64)>,
}

impl Speed {
    pub(super) fn new(now: Instant) -> Self {
        Self { seen: VecDeque::from([(now, 0, 0)]) }
    }

    /// The line for now. `held` says that it stands still.
    #[expect(clippy::cast_precision_loss, reason = "a line for people")]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a line for people"
    )]
    pub(super) fn line(&mut self, meter: &Meter, held: bool, now: Instant) -> Line {
        let done = meter.copied.get() + meter.failed.get() + meter.gone.get();
        self.seen.push_back((now, meter.moved.get(), done));
        while self.seen.len() > 2 && now - self.seen[0].0 > WINDOW {
            self.seen.pop_front();
        }
        let (began, bytes_then, done_then) = self.seen[0];
        let span = now.saturating_duration_since(began).as_secs_f64().max(0.001);
        let rate = meter.moved.get().saturating_sub(bytes_then) as f64 / span;
        let pace = done.saturating_sub(done_then) as f64 / span;
        let (all, all_bytes) = (meter.objects.get().max(done), meter.bytes.get());
        let bytes = meter.copied_bytes.get();
        let left = (all - done) as f64 / pace;
        let left_bytes = all_bytes.saturating_sub(bytes) as f64 / rate;
        // Small objects take time whatever they weigh, large ones whatever their count: the longer tells.
        let left =
            if left_bytes.is_finite() && left.is_finite() { left.max(left_bytes) } else { left };
        let listed = meter.listed.load(Ordering::Relaxed);
        let remaining = (listed && left.is_finite() && !held).then_some(left.ceil() as u64);
        let part = |part: u64, all: u64| if all == 0 { 0.0 } else { part as f64 / all as f64 };
        let progress = f64::midpoint(part(done, all), part(bytes, all_bytes.max(bytes)));
        let progress = if all_bytes == 0 { part(done, all) } else { progress };
        let message = Self::message(meter, (done, all), rate as u64, remaining, held);
        let failed = meter.failed.get();
        let progress = (progress * 1000.0).floor() / 1000.0;
        Line { progress, message, objects: done, bytes, rate: rate as u64, remaining, failed }
    }

    fn message(
        meter: &Meter,
        (done, all): (u64, u64),
        rate: u64,
        remaining: Option<u64>,
        held: bool,
    ) -> String {
        let more = if meter.listed.load(Ordering::Relaxed) { "" } else { " so far" };
        let (bytes, all_bytes) = (size(meter.copied_bytes.get()), size(meter.bytes.get()));
        let mut parts =
            vec![format!("{done} of {all} objects{more}"), format!("{bytes} of {all_bytes}")];
        if held {
            parts.push("it stands still".to_owned());
        } else {
            parts.push(format!("{}/s", size(rate)));
            parts.extend(remaining.map(|seconds| format!("{} left", span(seconds))));
        }
        if meter.failed.get() > 0 {
            parts.push(format!("{} failed", meter.failed.get()));
        }
        parts.join(", ")
    }
}

/// Bytes for people.
#[expect(clippy::cast_precision_loss, reason = "one digit behind the point")]
pub(super) fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut amount = bytes as f64;
    let mut unit = "B";
    for larger in units {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{amount:.1} {unit}") }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let (meter, start) = (Meter::default(), Instant::now());
        let mut speed = Speed::new(start);
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut lines = Vec::new();
        let mut tell = |meter: &Meter, held, seconds| {
            let line = speed.line(meter, held, after(seconds));
            lines.push(serde_json::to_string(&line).unwrap());
        };
        tell(&meter, false, 0);
        (0..10).for_each(|_| meter.expected(1 << 20));
        (0..2).for_each(|_| meter.copied(1 << 20, false));
        meter.moved(2 << 20);
        tell(&meter, false, 1);
        meter.listed.store(true, Ordering::Relaxed);
        tell(&meter, false, 2);
        meter.failed.add(1);
        tell(&meter, true, 3);
        insta::assert_snapshot!(lines.join("\n"), @r#"
        {"progress":0.0,"message":"0 of 0 objects so far, 0 B of 0 B, 0 B/s","objects":0,"bytes":0,"rate":0,"remaining":null,"failed":0}
        {"progress":0.2,"message":"2 of 10 objects so far, 2.0 MiB of 10.0 MiB, 2.0 MiB/s","objects":2,"bytes":2097152,"rate":2097152,"remaining":null,"failed":0}
        {"progress":0.2,"message":"2 of 10 objects, 2.0 MiB of 10.0 MiB, 1.0 MiB/s, 8 s left","objects":2,"bytes":2097152,"rate":1048576,"remaining":8,"failed":0}
        {"progress":0.25,"message":"3 of 10 objects, 2.0 MiB of 10.0 MiB, it stands still, 1 failed","objects":3,"bytes":2097152,"rate":699050,"remaining":null,"failed":1}
        "#);
    }

    #[test]
    fn sizes_and_spans_are_for_people() {
        let sizes = [0, 1023, 1024, 1_500_000, 3 << 30].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.4 MiB", "3.0 GiB"]);
        assert_eq!([5, 61, 7260].map(span), ["5 s", "2 min", "2 h 1 min"]);
    }
}
