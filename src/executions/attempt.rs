//! One attempt: hand the runner what it needs, print what it prints, settle what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::executions::hold::{self, Reins};
use crate::executions::output::{PIECES_LIMIT, Printer};
use crate::executions::templates::{self, Rendered};
use crate::executions::{Room, Token, control, emitted, secrets, settle};
use crate::model::execution::{End, Execution};
use crate::packs::{self, parameters};
use crate::runners::{Begin, Brake, Ended, Job, Outcome, Piece, Runner, TRACE_PARENT};
use crate::store;
use crate::store::queue::Ticket;
use crate::store::table::Held;
use crate::vault::redact::Redactor;

/// After the store failed, how long until the outcome is offered again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the token of an attempt is good that may be held.
const HELD: Duration = Duration::from_hours(365 * 24);

/// How long one attempt may take: as the caller says, else the action, else its `timeout` parameter
/// (StackStorm's way), else the setting.
pub(super) fn limit(room: &Room, execution: &Execution) -> Duration {
    let parameter = || {
        let given = execution.given.get("timeout").cloned();
        let default = || {
            let known = execution.action.parameters.iter().find(|(name, _)| name == "timeout")?;
            known.1.default.clone()
        };
        let seconds = given.or_else(default)?.as_f64().filter(|seconds| *seconds > 0.0)?;
        Duration::try_from_secs_f64(seconds).ok()
    };
    let caller = execution.timeout_ms.map(Duration::from_millis);
    caller.or(execution.action.timeout).or_else(parameter).unwrap_or(room.parts.settings.timeout)
}

/// Carries out one attempt and settles it. Ends when the outcome is on disk; or, for runners whose
/// attempts survive the engine, when the process stops: then the next start takes them up again.
pub(super) async fn carry_out(
    room: &Room,
    execution: Execution,
    ticket: Held<Ticket>,
    (begin, reins): (Begin, Reins),
) {
    let runner = room.parts.runners.get(execution.action.runner.as_str());
    let survives = runner.is_some_and(|runner| runner.survives());
    tokio::select! {
        biased;
        () = to_the_end(room, execution, ticket, (begin, reins)) => {}
        () = room.parts.tasks.stop().cancelled(), if survives => {}
    }
}

async fn to_the_end(
    room: &Room,
    execution: Execution,
    mut ticket: Held<Ticket>,
    (mut begin, reins): (Begin, Reins),
) {
    loop {
        let done = once(room, &execution, &mut ticket, (begin, &reins)).await;
        match done {
            // Surely never begun: what comes now is its first start, under the same number.
            Ok(Ended::NeverBegan) if begin == Begin::Return && !reins.stop.is_cancelled() => {
                begin = Begin::Fresh;
                // It may have been held before it began.
                reins.look.notify_one();
            }
            Ok(_) => return,
            Err(error) => {
                tracing::error!(execution = %execution.id, %error, "an outcome cannot be stored");
                let clock = &room.parts.clock;
                tokio::select! {
                    () = room.parts.tasks.stop().cancelled() => return,
                    () = clock.sleep_until(clock.now().plus(PAUSE)) => {}
                }
                begin = Begin::Return;
            }
        }
    }
}

async fn once(
    room: &Room,
    execution: &Execution,
    ticket: &mut Held<Ticket>,
    (begin, reins): (Begin, &Reins),
) -> Result<Ended, store::Error> {
    let catalog = room.parts.catalog.load_full();
    let config = catalog.configs.get(execution.action.reference.pack()).cloned();
    let config = config.unwrap_or_else(|| Arc::new(Value::Object(Map::new())));
    let made = templates::render(room, execution, config).await?;
    let mut secrets = Vec::new();
    if let Ok(made) = &made {
        secrets = secrets::values(&made.accepts, &execution.given);
        secrets.extend(made.opened.iter().cloned());
        if let Some(pack) = catalog.packs.get(execution.action.reference.pack()) {
            let parts = packs::secrets::find(&pack.config_schema);
            secrets.extend(packs::secrets::texts(&made.config, &parts));
        }
    }
    let printer = Printer::open(room, execution, &secrets).await?;
    let (pieces, arriving) = mpsc::channel(PIECES_LIMIT);
    let (brake, lever) = hold::brake();
    let ran = async {
        match made.and_then(|made| job(room, execution, made, (begin, pieces, brake))) {
            Ok((runner, job, _token)) => {
                let running = runner.run(job, reins.stop.clone());
                hold::accompany(room, (execution, ticket), (reins, lever, begin), running).await
            }
            Err(reason) => unfit(reason),
        }
    };
    let (mut outcome, output) = tokio::join!(ran, printer.print(arriving));
    if outcome.ended == Ended::NeverBegan && begin == Begin::Return && !reins.stop.is_cancelled() {
        return Ok(Ended::NeverBegan);
    }
    strike(&mut outcome, &secrets);
    let outcome = emitted::fitting(room, execution, outcome);
    settle::settle(room, execution, ticket, &outcome, output).await?;
    if let Some(runner) = room.parts.runners.get(execution.action.runner.as_str()) {
        runner.release(execution.id, execution.attempt).await;
    }
    Ok(outcome.ended)
}

/// The outcome of an attempt that could not begin.
fn unfit(reason: String) -> Outcome {
    Outcome {
        ended: Ended::So(End::Failed),
        result: serde_json::json!({ "error": reason }),
        reason: Some(reason),
    }
}

/// Puts together what the runner needs. Fails where the action's definition no longer fits.
fn job(
    room: &Room,
    execution: &Execution,
    Rendered { accepts, config, .. }: Rendered,
    (begin, output, brake): (Begin, mpsc::Sender<Piece>, Brake),
) -> Result<(Arc<dyn Runner>, Job, Token), String> {
    let action = &execution.action;
    let runner = room
        .parts
        .runners
        .get(action.runner.as_str())
        .ok_or_else(|| format!("this Ifso has no runner `{}`", action.runner))?;
    let parameters = parameters::check(&accepts, &execution.given).map_err(|problems| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    })?;
    let timeout = limit(room, execution);
    // One that may be held is not to find its token too old afterwards: it ends with its attempt.
    let holds = control::holds(room, action);
    let token = (room.parts.tokens)(execution, if holds { HELD } else { timeout });
    let job = Job {
        execution: execution.id,
        attempt: execution.attempt,
        action: Arc::clone(action),
        parameters,
        config,
        environment: environment(room, execution, &token),
        data: room.parts.settings.data.clone(),
        timeout,
        begin,
        output,
        brake,
    };
    Ok((Arc::clone(runner), job, token))
}

fn environment(room: &Room, execution: &Execution, token: &Token) -> BTreeMap<String, String> {
    let id = execution.id.to_string();
    let parent = room.parts.metrics.traces().parent(execution);
    let always = [
        ("IFSO_EXECUTION_ID", id.clone()),
        ("IFSO_ATTEMPT", execution.attempt.to_string()),
        ("ST2_ACTION_EXECUTION_ID", id),
        ("ST2_ACTION_PACK_NAME", execution.action.reference.pack().to_owned()),
        ("ST2_ACTION_API_URL", room.parts.settings.api_url.clone()),
        ("ST2_ACTION_AUTH_TOKEN", token.text.clone()),
    ];
    let all = always.into_iter().chain(parent.map(|parent| (TRACE_PARENT, parent)));
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Strikes secrets out of everything that an outcome says.
fn strike(outcome: &mut Outcome, secrets: &[String]) {
    if secrets.is_empty() {
        return;
    }
    let redactor = Redactor::new(secrets);
    outcome.result = redactor.value(&outcome.result);
    outcome.reason = outcome.reason.as_deref().map(|reason| redactor.text(reason));
}
