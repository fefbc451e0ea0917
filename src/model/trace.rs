//! Traces over several programs (W3C Trace Context, level 1): which trace something belongs to, and the
//! ids of its parts. The ids follow from our own, so nothing more is kept, and what ends after a restart
//! has the ids that it had before.

use std::fmt;

use crate::model::execution::Execution;
use crate::model::id::{EventId, ExecutionId};
use crate::model::reference::Reference;

/// The key of an execution's context under which the tag of its trace stands. StackStorm's name.
pub const TAG: &str = "trace_tag";

/// A `traceparent`: a trace, and the part of it that goes before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace; never 0.
    pub trace: u128,
    /// The part; never 0.
    pub span: u64,
    /// Whether whoever began it keeps it.
    pub sampled: bool,
}

impl Parent {
    /// Reads `00-<32 digits>-<16 digits>-<2 digits>`. Later versions may have more behind it.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let version = hex(parts.next()?, 2)?;
        let (trace, span) = (hex(parts.next()?, 32)?, hex(parts.next()?, 16)?);
        let flags = hex(parts.next()?, 2)?;
        let more = parts.next().is_some();
        if version == 0xff || (version == 0 && more) || trace == 0 || span == 0 {
            return None;
        }
        Some(Self { trace, span: u64::try_from(span).ok()?, sampled: flags & 1 == 1 })
    }
}

/// So many digits in lower case, as the standard wants them.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let fits = text.len() == digits
        && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// The trace that a tag names, and whether it is kept. What is no `traceparent` (StackStorm's tags) names
/// one too: the same tag is the same trace.
#[must_use]
pub fn trace(tag: &str) -> (u128, bool) {
    if let Some(parent) = Parent::read(tag) {
        return (parent.trace, parent.sampled);
    }
    let (high, low) = (hashed(1, tag.as_bytes()), hashed(2, tag.as_bytes()));
    (u128::from(high) << 64 | u128::from(low), true)
}

/// The tag of an execution's trace, where it has one.
#[must_use]
pub fn tag(execution: &Execution) -> Option<&str> {
    let context = &execution.context;
    let own = context.get(TAG).and_then(|tag| tag.as_str());
    own.or_else(|| context.get("trace_context")?[TAG].as_str())
}

/// What begins with this event, where nothing went before.
#[must_use]
pub fn begun_by_event(id: EventId) -> Parent {
    Parent { trace: u128::from_be_bytes(id.to_bytes()), span: of_event(id), sampled: true }
}

/// The same of an execution.
#[must_use]
pub fn begun_by_execution(id: ExecutionId) -> Parent {
    Parent { trace: u128::from_be_bytes(id.to_bytes()), span: of_execution(id), sampled: true }
}

/// The part that an event is.
#[must_use]
pub fn of_event(id: EventId) -> u64 {
    tail(id.to_bytes())
}

/// The part that a rule's decision on an event is.
#[must_use]
pub fn of_decision(event: EventId, rule: &Reference) -> u64 {
    hashed(of_event(event), rule.as_str().as_bytes())
}

/// The part that an execution is.
#[must_use]
pub fn of_execution(id: ExecutionId) -> u64 {
    tail(id.to_bytes())
}

/// The part that an attempt of it is, from 1.
#[must_use]
pub fn of_attempt(id: ExecutionId, attempt: u32) -> u64 {
    hashed(of_execution(id), &attempt.to_be_bytes())
}

/// The half of an id that chance made.
fn tail(bytes: [u8; 16]) -> u64 {
    let bits = u128::from_be_bytes(bytes) & u128::from(u64::MAX);
    u64::try_from(bits).unwrap_or(u64::MAX).max(1)
}

/// FNV-1a, 64 bits: it has to be the same in every version of this program, and no more. Never 0.
fn hashed(seed: u64, bytes: &[u8]) -> u64 {
    let begin = 0xcbf2_9ce4_8422_2325_u64;
    let seed = seed.to_be_bytes();
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    seed.iter().chain(bytes).fold(begin, fold).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_read_as_the_standard_has_it_and_written_so() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent = Parent::read(text).unwrap();
        assert_eq!((parent.span, parent.sampled), (0x00f0_67aa_0ba9_02b7, true));
        assert_eq!(parent.to_string(), text);
        let later = Parent::read(&format!("cc{}-what-comes", &text[2..])).unwrap();
        assert_eq!(later, parent);
        for wrong in [
            "",
            "00-1-2-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Parent::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn parts_have_ids_of_their_own_and_tags_a_trace() {
        let (event, execution) = (EventId::from_bits(7 << 70 | 5), ExecutionId::from_bits(9));
        let rule = |name: &str| name.parse::<Reference>().unwrap();
        let all = [
            of_event(event),
            of_decision(event, &rule("a.b")),
            of_decision(event, &rule("a.c")),
            of_execution(execution),
            of_attempt(execution, 1),
            of_attempt(execution, 2),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(trace("build-7"), trace("build-7"));
        assert_ne!(trace("build-7").0, trace("build-8").0);
        assert_eq!(trace(&begun_by_event(event).to_string()).0, begun_by_event(event).trace);
    }
}
