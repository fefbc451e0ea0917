//! Trying again what failed.

use std::time::Duration;

use crate::executions::Room;
use crate::model::execution::{End, Execution};
use crate::model::policy::{Repeat, Retry, Rule};

/// After which wait an execution that ended so is tried again; nothing: it is over. The action's own
/// `retry` goes before a policy's, and a policy leaves tasks of workflows to their workflow, as
/// StackStorm does.
pub(in crate::executions) fn wait(
    room: &Room,
    execution: &Execution,
    end: End,
) -> Option<Duration> {
    if let Some(retry) = &execution.action.retry {
        return fits(retry, execution, end).then(|| retry.wait(execution.attempt));
    }
    if execution.parent.is_some() {
        return None;
    }
    let catalog = room.parts.catalog.load();
    let policies = catalog.governs.get(&execution.action.reference)?;
    let repeats = policies.iter().filter_map(|policy| match &policy.rule {
        Rule::Retry(repeat) => Some(repeat),
        _ => None,
    });
    let mut fitting = repeats.filter(|repeat: &&Repeat| fits(&repeat.retry, execution, end));
    fitting.next().map(|repeat| repeat.wait(execution.id, execution.attempt))
}

fn fits(retry: &Retry, execution: &Execution, end: End) -> bool {
    let wanted = match end {
        End::Failed => retry.on_failure,
        End::TimedOut => retry.on_timeout,
        _ => false,
    };
    wanted && execution.attempt <= retry.count
}
