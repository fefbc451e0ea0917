//! The moves of a task and of a flow: given where it stands and what happened, where it stands then.
//!
//! These are Orquesta's tables, said as rules. `None` means that what happened changes nothing.
//! One thing is added: whatever a child reports as its end is an end, also where Orquesta
//! knows no such move and the task would stand still for ever.

use crate::workflows::conduct::state::State;

/// What the other items of a task do while one of them moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// Some are under way.
    Active,
    /// None is under way, some are paused or wait for a person.
    Paused,
    /// None is under way, some are canceled.
    Canceled,
    /// None is under way, some have failed.
    Failed,
    /// None is under way, some have not begun.
    Incomplete,
    /// All have succeeded.
    Complete,
}

/// Where a task without items stands after its action reported `heard`.
#[must_use]
#[expect(clippy::unnested_or_patterns, reason = "one line for where it stands, as in a table")]
pub(super) fn task(from: State, heard: State) -> Option<State> {
    use State as S;
    if heard.is_done() {
        return task_end(from, heard);
    }
    let to = match (from, heard) {
        (S::Unset, S::Requested | S::Scheduled | S::Delayed | S::Running | S::Pending)
        | (S::Requested, S::Scheduled | S::Delayed)
        | (S::Scheduled, S::Delayed)
        | (S::Delayed, S::Scheduled)
        | (
            S::Requested | S::Scheduled | S::Delayed,
            S::Running | S::Pending | S::Pausing | S::Paused | S::Canceling,
        )
        | (S::Running, S::Running | S::Pending | S::Pausing | S::Paused | S::Canceling)
        | (S::Pausing, S::Paused | S::Resuming | S::Canceling)
        | (S::Paused, S::Running | S::Resuming | S::Canceling)
        | (S::Resuming | S::Retrying, S::Running | S::Canceling)
        // That it runs again in between is not always told.
        | (S::Resuming, S::Pausing | S::Paused) => heard,
        (S::Canceling, S::Paused) => S::Canceled,
        (S::Succeeded | S::Failed, S::Retrying) => S::Retrying,
        _ => return None,
    };
    Some(to)
}

fn task_end(from: State, end: State) -> Option<State> {
    use State as S;
    match from {
        S::Unset => None,
        S::Requested | S::Scheduled | S::Delayed => (end != S::Succeeded).then_some(end),
        _ if from.is_done() => None,
        _ if end.is_abended() => Some(S::Failed),
        _ => Some(end),
    }
}

/// Where a task stands after one of its items reported `heard`, the others standing as `others` says.
#[must_use]
pub(super) fn item(from: State, heard: State, others: Others) -> Option<State> {
    use {Others as O, State as S};
    let counted = heard.is_done() || heard.is_resting() || heard == S::Resuming;
    if !counted {
        return task(from, heard);
    }
    match (from, heard) {
        (_, S::Resuming) => None,
        (S::Running, S::Pending | S::Paused) => Some(match others {
            O::Active => S::Pausing,
            O::Canceled => S::Canceled,
            O::Failed => S::Failed,
            O::Paused | O::Incomplete | O::Complete => S::Paused,
        }),
        (S::Running, S::Canceled) if others == O::Active => Some(S::Canceling),
        (S::Running, S::Succeeded) => Some(match others {
            O::Active | O::Incomplete => S::Running,
            O::Paused => S::Paused,
            O::Canceled => S::Canceled,
            O::Failed => S::Failed,
            O::Complete => S::Succeeded,
        }),
        (S::Pausing | S::Canceling, _) if others == O::Active => None,
        (S::Pausing, S::Pending | S::Paused) => Some(match others {
            O::Canceled => S::Canceled,
            O::Failed => S::Failed,
            _ => S::Paused,
        }),
        (S::Pausing, S::Succeeded) => Some(match others {
            O::Canceled => S::Canceled,
            O::Failed => S::Failed,
            O::Complete => S::Succeeded,
            _ => S::Paused,
        }),
        (S::Running | S::Pausing, S::Canceled) => Some(S::Canceled),
        // A failed item lets the others that are under way come to their end.
        (S::Running, _) if others == O::Active => None,
        (S::Running | S::Pausing, _) => {
            Some(if others == O::Canceled { S::Canceled } else { S::Failed })
        }
        (S::Canceling, S::Succeeded) if others == O::Complete => Some(S::Succeeded),
        (S::Canceling, _) => Some(S::Canceled),
        _ => None,
    }
}

/// Where a task with items that is under way stands after the flow was asked to be `wanted`.
#[must_use]
pub(super) fn asked(from: State, wanted: State, active: bool, complete: bool) -> Option<State> {
    use State as S;
    if from != S::Running || (complete && !active) {
        return None;
    }
    match (wanted, active) {
        (S::Pausing | S::Paused, true) => Some(S::Pausing),
        (S::Pausing | S::Paused, false) => Some(S::Paused),
        (S::Canceling | S::Canceled, true) => Some(S::Canceling),
        (S::Canceling | S::Canceled, false) => Some(S::Canceled),
        _ => None,
    }
}

/// Where a flow stands after it was asked to be `wanted`; `active`: tasks are under way, `complete`:
/// nothing is left to do.
#[must_use]
pub(super) fn flow_asked(
    from: State,
    wanted: State,
    active: bool,
    complete: bool,
) -> Option<State> {
    use State as S;
    let begun = matches!(from, S::Requested | S::Scheduled | S::Delayed);
    match (from, wanted) {
        (S::Unset, S::Requested | S::Scheduled | S::Delayed | S::Running | S::Failed)
        | (S::Requested, S::Scheduled | S::Delayed)
        | (S::Scheduled, S::Delayed)
        | (S::Delayed, S::Scheduled)
        | (S::Running, S::Succeeded)
        | (S::Succeeded, S::Failed) => Some(wanted),
        (S::Unset, _) => None,
        _ if from.is_done() => None,
        (_, S::Failed) => Some(S::Failed),
        (S::Canceling, S::Running | S::Resuming) => None,
        (_, S::Running) if begun => Some(S::Running),
        (S::Paused, S::Running | S::Resuming) if complete => Some(S::Succeeded),
        (S::Pausing | S::Paused, S::Running | S::Resuming) | (S::Resuming, S::Running) => {
            Some(wanted)
        }
        (S::Running | S::Pausing | S::Resuming, S::Pausing | S::Paused) if active => {
            Some(S::Pausing)
        }
        (S::Running | S::Pausing | S::Resuming, S::Pausing | S::Paused) => Some(S::Paused),
        (_, S::Pausing | S::Paused) if begun && !active => Some(S::Paused),
        (_, S::Canceling | S::Canceled) if active => (!begun).then_some(S::Canceling),
        (_, S::Canceling | S::Canceled) => Some(S::Canceled),
        _ => None,
    }
}

/// What a task that moved means to its flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is under way, or about to pause or to stop, or to be tried again.
    Moved(State),
    /// It succeeded (`true`: it failed, but something follows that remedies it).
    Ended(Rest, bool),
    /// It failed, and nothing follows.
    Failed,
}

/// What there is besides a task that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// More is to be done.
    Incomplete,
    /// Nothing is left.
    Complete,
    /// Something is paused.
    Paused,
    /// Something is canceled.
    Canceled,
}

/// Where a flow stands after one of its tasks moved; `active`: tasks are under way.
#[must_use]
pub(super) fn flow(from: State, heard: Heard, active: bool) -> Option<State> {
    use {Heard as H, State as S};
    match (from, heard) {
        (S::Running | S::Pausing | S::Resuming, H::Ended(rest, remedied)) => {
            flow_ended(from, (rest, remedied), active)
        }
        // Orquesta forgets a failure while paused, and succeeds when resumed; here it fails.
        (S::Running | S::Pausing | S::Resuming | S::Paused, H::Failed) => Some(S::Failed),
        (S::Running | S::Pausing | S::Resuming, H::Moved(S::Canceling)) => Some(S::Canceling),
        (S::Running | S::Pausing | S::Resuming | S::Canceling, H::Moved(S::Canceled)) => {
            Some(if active { S::Canceling } else { S::Canceled })
        }
        (S::Running | S::Pausing | S::Resuming, H::Moved(S::Pending))
        | (S::Pausing, H::Moved(S::Paused | S::Retrying)) => {
            Some(if active { S::Pausing } else { S::Paused })
        }
        (S::Running, H::Moved(S::Paused)) => Some(if active { S::Running } else { S::Paused }),
        (S::Paused, H::Moved(S::Running | S::Resuming)) | (S::Resuming, H::Moved(S::Running)) => {
            Some(S::Running)
        }
        (
            S::Canceling,
            H::Moved(S::Pending | S::Paused | S::Retrying) | H::Ended(..) | H::Failed,
        ) => Some(if active { S::Canceling } else { S::Canceled }),
        _ => None,
    }
}

#[expect(clippy::match_same_arms, reason = "the order is what says which rule wins")]
fn flow_ended(from: State, ended: (Rest, bool), active: bool) -> Option<State> {
    use {Rest as R, State as S};
    let (rest, remedied) = ended;
    let to = match (from, rest, active) {
        (S::Pausing, R::Canceled, true) if remedied => S::Canceling,
        (S::Pausing, _, true) => S::Pausing,
        (S::Running, R::Paused, true) => S::Pausing,
        (S::Running, R::Canceled, true) => S::Canceling,
        (S::Resuming, R::Paused | R::Canceled, true) => return None,
        (_, _, true) => S::Running,
        (_, R::Canceled, false) => S::Canceled,
        (S::Pausing, ..) | (_, R::Paused, false) => S::Paused,
        (_, R::Incomplete, false) => S::Running,
        (_, R::Complete, false) => S::Succeeded,
    };
    Some(to)
}
