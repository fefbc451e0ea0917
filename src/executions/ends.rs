//! Tells rules of the ends of what they started: a rule that is `exclusive` waits for them, and a
//! cool-down may count from them.

use crate::executions::{Room, secrets};
use crate::model::cause::Cause;
use crate::model::execution::Execution;
use crate::model::rule::Ending;
use crate::model::time::Time;
use crate::packs::answer;
use crate::store::batch::Batch;
use crate::store::queue;
use crate::store::tables::Work;

/// An ended execution, for the rule that started it, where that rule waits for ends. One that is not in
/// force at the moment may wait when it comes back.
pub(super) fn tell(room: &Room, batch: &mut Batch, ended: &Execution, now: Time) {
    let Cause::Rule { rule, event, effect } = &ended.cause else { return };
    let catalog = room.parts.catalog.load();
    if catalog.rules.get(rule).is_some_and(|rule| !rule.awaits_ends()) {
        return;
    }
    let parameters = secrets::mask(&room.accepts(&ended.action), &ended.given);
    let ending = Ending {
        rule: rule.clone(),
        event: *event,
        effect: *effect,
        execution: ended.id,
        action: ended.action.reference.clone(),
        parameters: parameters.as_object().cloned().unwrap_or_default(),
        status: ended.status,
        result: answer::shown(&ended.result),
        at: now,
    };
    let work = Work::Ended(Box::new(ending));
    queue::push(batch, queue::INTAKE, now, room.parts.ids.record(), work);
}
