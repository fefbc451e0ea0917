//! What the runners that start programs share: the environment they give, and following a program
//! through the supervisor to its end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::supervisor::protocol::{AttemptId, Exit, ExitCause, Program, Reply};
use super::supervisor::{Conversation, Error, Heard, Supervisor};
use crate::model::execution::End;
use crate::runners::{Begin, Ended, Job, Outcome, Piece, Stream, Tools};

/// How often a dead supervisor is replaced within one attempt.
const REPLACEMENTS: u32 = 3;

/// Variables that decide which code runs or whose keys are used: values from outside never set them.
const RESERVED: &[&str] = &["PATH", "BASH_ENV", "ENV", "IFS", "NODE_OPTIONS"];
const RESERVED_STARTS: &[&str] = &["LD_", "PYTHON", "PERL5", "GIT_", "SSH_", "IFSO_", "ST2_"];

/// A program that ran to its end.
pub(super) struct Finished {
    pub(super) exit: Exit,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Finished {
    /// How it ended, as an execution sees it.
    pub(super) fn end(&self) -> End {
        match self.exit.cause {
            ExitCause::Timeout => End::TimedOut,
            ExitCause::Cancel => End::Canceled,
            ExitCause::Itself if self.exit.code == 0 => End::Succeeded,
            ExitCause::Itself | ExitCause::Processes => End::Failed,
        }
    }

    /// StackStorm's exit code: that of a program whose time was up is always that of a kill.
    pub(super) fn code(&self) -> i32 {
        if self.exit.cause == ExitCause::Timeout { -9 } else { self.exit.code }
    }

    /// Why it failed, for people; nothing where it went well.
    pub(super) fn reason(&self, timeout: Duration) -> Option<String> {
        let note = self.exit.note.as_deref();
        let what = match self.exit.cause {
            ExitCause::Itself if self.exit.code == 0 => return note.map(str::to_owned),
            ExitCause::Timeout => format!("it took longer than {timeout:?}"),
            ExitCause::Cancel => "it was cancelled".to_owned(),
            ExitCause::Processes => String::new(),
            ExitCause::Itself if self.exit.code < 0 => {
                format!("signal {} ended it", -self.exit.code)
            }
            ExitCause::Itself => format!("it ended with exit code {}", self.exit.code),
        };
        let last = self.stderr.lines().rev().find(|line| !line.trim().is_empty());
        let last = last.filter(|_| self.exit.cause == ExitCause::Itself);
        let parts = [Some(what.as_str()).filter(|what| !what.is_empty()), note, last];
        Some(parts.into_iter().flatten().collect::<Vec<_>>().join(": "))
    }
}

impl Tools {
    /// The environment of a program: the clean one, what the job adds, and whose attempt it is.
    pub(super) fn environment(&self, job: &Job) -> BTreeMap<String, String> {
        let mut all = self.environment.clone();
        all.extend(job.environment.clone());
        all.insert("IFSO_EXECUTION_ID".to_owned(), job.execution.to_string());
        all.insert("IFSO_ATTEMPT".to_owned(), job.attempt.to_string());
        all
    }

    /// Lets the supervisor forget an attempt whose outcome is stored.
    pub(super) async fn release(&self, id: AttemptId) {
        if let Err(error) = self.supervisor.release(id).await {
            tracing::debug!(%id, %error, "An outcome is kept by the supervisor until it is old");
        }
    }

    /// Carries `program` to its end, or re-attaches to it; whatever is not an end is an outcome already.
    pub(super) async fn carry_out(
        &self,
        job: &Job,
        program: Program,
        stop: &CancellationToken,
    ) -> Result<Finished, Outcome> {
        let id = AttemptId { execution: job.execution, attempt: job.attempt };
        self.carry_out_as(id, job, program, stop).await
    }

    /// The same for one of several programs of an attempt.
    pub(super) async fn carry_out_as(
        &self,
        id: AttemptId,
        job: &Job,
        program: Program,
        stop: &CancellationToken,
    ) -> Result<Finished, Outcome> {
        if job.begin == Begin::Fresh && stop.is_cancelled() {
            return Err(Outcome::ended(Ended::So(End::Canceled), "it was cancelled"));
        }
        let hold = Hold { wanted: job.brake.wanted.clone(), asked: None, order: 0 };
        let follow = Follow { supervisor: &self.supervisor, job, id, stop, asked: false, hold };
        follow.through(program).await
    }
}

/// The variables that the parameter `env` declares.
///
/// # Errors
/// The reason, where it may not.
pub(super) fn declared(job: &Job) -> Result<BTreeMap<String, String>, String> {
    let Some(Value::Object(given)) = job.parameters.get("env") else { return Ok(BTreeMap::new()) };
    let authored = job.action.parameters.iter().find(|(name, _)| name == "env");
    let authored = authored.and_then(|(_, parameter)| parameter.default.as_ref());
    let by_author = |name: &str, value: &Value| {
        authored.and_then(|default| default.get(name)).is_some_and(|default| default == value)
    };
    let mut variables = BTreeMap::new();
    for (name, value) in given {
        let reserved = RESERVED.contains(&name.as_str())
            || RESERVED_STARTS.iter().any(|start| name.starts_with(start));
        if reserved && !by_author(name, value) {
            return Err(format!(
                "parameter `env` may not set `{name}`; only the action's own file may, as a default"
            ));
        }
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(format!("parameter `env` names {name:?}, which no variable can be called"));
        }
        variables.insert(name.clone(), text(value));
    }
    Ok(variables)
}

/// A value as programs read it: StackStorm's `1` and `0`, lists with commas, objects as JSON.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(yes) => u8::from(*yes).to_string(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// A span for the supervisor.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The shorter of the job's time and the parameter `timeout`, in seconds.
pub(super) fn timeout(job: &Job) -> Duration {
    let seconds = job.parameters.get("timeout").and_then(Value::as_f64).filter(|s| *s > 0.0);
    let own = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    own.map_or(job.timeout, |own| own.min(job.timeout))
}

/// The parameters that the action itself has, without its runner's.
pub(super) fn own_parameters(
    job: &Job,
    runner: &crate::model::parameter::Parameters,
) -> Map<String, Value> {
    let own = |name: &str| runner.iter().all(|(known, _)| known != name);
    let all = job.parameters.iter().filter(|(name, _)| own(name));
    all.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Following one attempt.
struct Follow<'a> {
    supervisor: &'a Supervisor,
    job: &'a Job,
    id: AttemptId,
    stop: &'a CancellationToken,
    /// Whether the supervisor was asked to stop it.
    asked: bool,
    hold: Hold,
}

/// What is known of an attempt's standing still.
struct Hold {
    wanted: watch::Receiver<bool>,
    /// What the supervisor was asked for last, or said of it; nothing while it is not attached.
    asked: Option<bool>,
    /// The number of the last order: what came of older ones no longer counts.
    order: u64,
}

impl Hold {
    /// Until something else is wanted than was asked for last: what is wanted.
    ///
    /// Cancel-safe.
    async fn changed(&mut self) -> bool {
        let asked = self.asked;
        let other = self.wanted.wait_for(|want| asked.is_some_and(|asked| asked != *want)).await;
        let Ok(want) = other.map(|want| *want) else {
            // Nobody wants anything any more.
            return std::future::pending().await;
        };
        want
    }
}

/// What was heard of the streams so far.
#[derive(Default)]
struct Text {
    stdout: String,
    stderr: String,
}

impl Text {
    fn stream(&mut self, stream: Stream) -> &mut String {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

/// Where one conversation led.
enum Turn {
    Ended(Exit),
    Other(Outcome),
    /// It surely never began.
    NeverBegan,
    /// The supervisor is gone.
    Silence,
}

impl Follow<'_> {
    async fn through(mut self, program: Program) -> Result<Finished, Outcome> {
        let mut known = Text::default();
        let fresh = self.job.begin == Begin::Fresh;
        let mut start = fresh;
        for _ in 0..=REPLACEMENTS {
            let talk = if start {
                self.supervisor.start(self.id, program.clone()).await
            } else {
                self.supervisor.attach(self.id).await
            };
            let turn = match talk {
                Ok(talk) => self.follow(talk, &mut known).await,
                Err(Error::Protocol(_)) => Turn::Silence,
                Err(error) if start => {
                    return Err(Outcome::failed(format!("{error}; {}", error.help())));
                }
                Err(error) => return Err(lost(&error.to_string())),
            };
            match turn {
                Turn::Ended(exit) => {
                    return Ok(Finished { exit, stdout: known.stdout, stderr: known.stderr });
                }
                Turn::Other(outcome) => return Err(outcome),
                // The order to stop it came before the one to start it.
                Turn::NeverBegan if fresh && self.asked => {
                    return Err(Outcome::ended(Ended::So(End::Canceled), "it was cancelled"));
                }
                Turn::NeverBegan if fresh => start = true,
                Turn::NeverBegan => {
                    return Err(Outcome::ended(Ended::NeverBegan, "it never began"));
                }
                Turn::Silence => start = false,
            }
        }
        Err(lost("the supervisor died again and again"))
    }

    async fn follow(&mut self, mut talk: Conversation, known: &mut Text) -> Turn {
        let mut now = Text::default();
        self.hold.asked = None;
        loop {
            let heard = tokio::select! {
                biased;
                () = self.stop.cancelled(), if !self.asked => {
                    self.ask().await;
                    continue;
                }
                want = self.hold.changed(), if !self.asked => {
                    self.brake(want).await;
                    continue;
                }
                heard = talk.hear() => heard,
            };
            match heard {
                Ok(Heard::Reply(Reply::Output { stream, text })) => {
                    now.stream(stream).push_str(&text);
                    let known = known.stream(stream);
                    // After a break everything comes again: only what is new is passed on.
                    let new = now.stream(stream).get(known.len()..).unwrap_or_default().to_owned();
                    if !new.is_empty() {
                        known.push_str(&new);
                        self.say(Piece { stream, text: new }).await;
                    }
                }
                Ok(Heard::Reply(Reply::Known { held, .. })) => {
                    self.hold.asked = Some(held);
                    self.job.brake.stands.send_replace(Some(held));
                }
                Ok(Heard::Reply(Reply::Held { order, held })) => {
                    if order >= self.hold.order {
                        self.job.brake.stands.send_replace(Some(held));
                    }
                }
                Ok(Heard::Reply(Reply::Released | Reply::Ordered { .. })) => {}
                Ok(Heard::Reply(Reply::Ended(exit))) => return Turn::Ended(exit),
                Ok(Heard::Reply(Reply::Lost)) => {
                    return Turn::Other(lost("the supervisor that held it is gone"));
                }
                Ok(Heard::Reply(Reply::NeverBegan)) => return Turn::NeverBegan,
                Ok(Heard::Reply(Reply::Refused { reason })) => {
                    return Turn::Other(Outcome::failed(reason));
                }
                Ok(Heard::Reply(Reply::Full { reason })) => {
                    tracing::warn!(id = %self.id, %reason, "An attempt waits for room on the disk");
                    return Turn::Other(Outcome::ended(Ended::NeverBegan, reason));
                }
                Ok(Heard::Silence) => return Turn::Silence,
                Err(error) => return Turn::Other(lost(&error.to_string())),
            }
        }
    }

    /// Passes a piece on, and hears a stop while nobody takes it.
    async fn say(&mut self, piece: Piece) {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled(), if !self.asked => self.ask().await,
                room = self.job.output.reserve() => {
                    if let Ok(room) = room {
                        room.send(piece);
                    }
                    return;
                }
            }
        }
    }

    /// Asks that it stand still, or go on.
    async fn brake(&mut self, want: bool) {
        self.hold.asked = Some(want);
        self.job.brake.stands.send_replace(None);
        match self.supervisor.hold(self.id, want).await {
            Ok(order) => self.hold.order = order.unwrap_or(self.hold.order),
            Err(error) => {
                tracing::warn!(id = %self.id, %error, "An attempt could not be held or let go");
            }
        }
    }

    async fn ask(&mut self) {
        self.asked = true;
        if let Err(error) = self.supervisor.cancel(self.id).await {
            tracing::warn!(id = %self.id, %error, "An attempt could not be cancelled");
        }
    }
}

fn lost(why: &str) -> Outcome {
    Outcome::ended(Ended::Lost, format!("nobody can know how it ended: {why}"))
}
