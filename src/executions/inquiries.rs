//! Questions to people: asked, asked louder, expired. `answers` has how they are answered.

use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngExt;
use serde_json::{Map, Value, json};

use crate::executions::question::Question;
use crate::executions::turn::Follows;
use crate::executions::{Room, control, notices, settle, templates};
use crate::model::execution::{End, Execution, Status, Step};
use crate::model::id::{ExecutionId, RecordId};
use crate::model::time::Time;
use crate::packs::parameters;
use crate::store::batch::Batch;
use crate::store::queue::{self, Ticket};
use crate::store::table::{self, Held, Row};
use crate::store::tables::Work;
use crate::store::{self};

/// Bytes of the secret in a link: 256 bits cannot be guessed.
const SECRET_BYTES: usize = 32;

/// A question whose ticket is due: it is asked, asked louder, or it has expired.
pub(super) async fn look(
    room: &Room,
    held: &Held<Execution>,
    now: Time,
    follows: &mut Follows,
) -> Result<(), store::Error> {
    let mut execution = held.row.clone();
    let batch = &mut follows.batch;
    match execution.status {
        Status::Requested | Status::Delayed | Status::Resuming => {
            ask(room, &mut execution, now, batch).await?;
        }
        Status::Pending => match Question::of(&execution) {
            Some(question) if question.is_over(now) => {
                expire(room, (&mut execution, question), now, batch).await?;
            }
            Some(question) if question.louder(now).is_some() => {
                escalate(room, (&mut execution, question), now, batch).await?;
            }
            _ => return Ok(()),
        },
        _ => return Ok(()),
    }
    table::replace(batch, held, &execution);
    follows.moved.push(execution);
    Ok(())
}

async fn ask(
    room: &Room,
    execution: &mut Execution,
    now: Time,
    batch: &mut Batch,
) -> Result<(), store::Error> {
    execution.step(Step::Start, now).expect("a question that waits may be asked");
    execution.attempt += 1;
    let given = parameters(room, execution).await?;
    let question = match given.and_then(|given| Question::asked(given, now)) {
        Ok(question) => question,
        Err(reason) => {
            end(room, execution, (End::Failed, reason), now, batch);
            execution.result = json!({ "error": execution.reason });
            return Ok(());
        }
    };
    execution.step(Step::Ask, now).expect("what runs may ask");
    for due in question.dues() {
        table::put(batch, &ticket(execution.id, due));
    }
    let link = link(room, execution, notices::ASKED);
    notices::asked(room, (&*execution, &question), link, now, batch).await?;
    execution.result = question.into_result();
    control::told(room, batch, execution, now);
    Ok(())
}

/// What was given, over the defaults of the action.
async fn parameters(
    room: &Room,
    execution: &Execution,
) -> Result<Result<Map<String, Value>, String>, store::Error> {
    let catalog = room.parts.catalog.load_full();
    let config = catalog.configs.get(execution.action.reference.pack()).cloned();
    let config = config.unwrap_or_else(|| Arc::new(json!({})));
    let rendered = templates::render(room, execution, config).await?;
    Ok(rendered.and_then(|made| {
        parameters::check(&made.accepts, &execution.given).map_err(|problems| {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        })
    }))
}

async fn expire(
    room: &Room,
    (execution, question): (&mut Execution, Question),
    now: Time,
    batch: &mut Batch,
) -> Result<(), store::Error> {
    let reason = format!("nobody answered within {}", minutes(question.ttl));
    end(room, execution, (End::TimedOut, reason), now, batch);
    forget(batch, execution.id, &question);
    notices::expired(room, (&*execution, &question), now, batch).await
}

async fn escalate(
    room: &Room,
    (execution, mut question): (&mut Execution, Question),
    now: Time,
    batch: &mut Batch,
) -> Result<(), store::Error> {
    if let Some(route) = question.louder(now).map(|louder| louder.route.clone()) {
        question.route = route;
    }
    question.escalated = Some(now);
    execution.reason = Some(format!("nobody has answered; it went to route `{}`", question.route));
    let link = link(room, execution, notices::ESCALATED);
    notices::escalated(room, (&*execution, &question), link, now, batch).await?;
    execution.result = question.into_result();
    Ok(())
}

fn minutes(count: u64) -> String {
    if count == 1 { "1 minute".to_owned() } else { format!("{count} minutes") }
}

fn end(
    room: &Room,
    execution: &mut Execution,
    (end, reason): (End, String),
    now: Time,
    batch: &mut Batch,
) {
    execution.reason = Some(reason);
    execution.step(Step::End(end), now).expect("what runs or waits for an answer can end");
    control::told(room, batch, execution, now);
    settle::report(room, execution, batch, now);
}

/// A link with which whoever has it may answer. It is told in the event and nowhere else, so without a
/// rule that hears of that there is none.
fn link(room: &Room, execution: &mut Execution, trigger: &str) -> Option<String> {
    if !notices::is_wanted(room, trigger) {
        return None;
    }
    let random: [u8; SECRET_BYTES] = rand::rng().random();
    let secret = URL_SAFE_NO_PAD.encode(random);
    execution.links.push(hash(&secret));
    Some(format!("{}/inquiries/{}/{secret}", room.parts.settings.public_url, execution.id))
}

/// SHA-256 of a link's secret: a slow hash would add nothing to 256 random bits.
pub(super) fn hash(secret: &str) -> String {
    table::hex(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref())
}

/// The ticket that is due at `due`; its name follows from the question's, so that it is found again.
fn ticket(id: ExecutionId, due: Time) -> Ticket {
    let bits = u128::from_be_bytes(id.to_bytes());
    let (queue, work) = (queue::CONDUCT.to_owned(), Work::Dispatch(id));
    Ticket { queue, due, id: RecordId::from_bits(bits), owner: None, work }
}

/// Removes the tickets of a question that is over.
pub(super) fn forget(batch: &mut Batch, id: ExecutionId, question: &Question) {
    for due in question.dues() {
        batch.remove(table::key::<Ticket>(ticket(id, due).key()));
    }
}
