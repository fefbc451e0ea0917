//! Questions to people: asked, answered, expired.

use serde_json::{Map, Value, json};

use crate::executions::turn::Follows;
use crate::executions::{Room, control};
use crate::model::execution::{Execution, Status, Step};
use crate::model::time::Time;
use crate::packs::parameters;
use crate::store;
use crate::store::table::{self, Held};

/// A question whose ticket is due: it is asked, or it has expired.
pub(super) fn look(
    room: &Room,
    held: &Held<Execution>,
    now: Time,
    follows: &mut Follows,
) -> Result<(), store::Error> {
    let mut execution = held.row.clone();
    if !matches!(execution.status, Status::Requested | Status::Delayed | Status::Resuming) {
        return Ok(());
    }
    let given = parameters::check(&room.accepts(&execution.action), &execution.given);
    let given: Map<String, Value> = given.unwrap_or_default();
    for step in [Step::Start, Step::Ask] {
        execution.step(step, now).expect("a question that waits may be asked");
    }
    execution.attempt += 1;
    execution.result = json!(given);
    control::told(room, &mut follows.batch, &execution, now);
    table::replace(&mut follows.batch, held, &execution);
    follows.moved.push(execution);
    Ok(())
}
