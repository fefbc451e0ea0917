//! `alertmanager`: one event per alert and change of state, from Alertmanager's webhook, and from
//! Prometheus or delfin pointed straight at Ifso.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::intake::{Outcome, Submission};
use crate::model::event::Report;
use crate::model::problem::Problem;
use crate::model::reference::Reference;
use crate::model::sensor::Definition;
use crate::model::time::Time;
use crate::sensors::alerts::{Alert, NoAlert, Read, notified, pushed};
use crate::sensors::hooks::{ALERTS, ALERTS_LIMIT_BYTES, Answer, Delivery, Hook};
use crate::sensors::proof::{Auth, Guard, Proof};
use crate::sensors::secret::Secret;
use crate::sensors::{Context, Error, Kind, Sensor, settings, wrong};

/// See the module.
pub(super) struct Alertmanager;

const EXAMPLE: &str = "\
kind: alertmanager
name: alertmanager              # default: POST /api/v1/webhooks/alertmanager
trigger: prometheus.alert       # default
auth: bearer                    # key (default: an API key) | bearer | none
secrets:                        # bearer: one, or two while it is being replaced
  - inline: change-me           # better { file: secrets/alertmanager } or { config: alertmanager_token }
ingest: true                    # default: also takes POST /api/v2/alerts and /api/v1/alerts
";

/// Alerts whose state is remembered at most; the one that was quiet longest is forgotten first. The
/// store remembers each reported change for a day beside this.
const KNOWN_LIMIT: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default = "name")]
    name: String,
    #[serde(default)]
    trigger: Option<Reference>,
    #[serde(default)]
    auth: Auth,
    #[serde(default)]
    secrets: Vec<Secret>,
    #[serde(default = "yes")]
    ingest: bool,
}

fn name() -> String {
    "alertmanager".to_owned()
}

fn yes() -> bool {
    true
}

struct Listener {
    definition: Arc<Definition>,
    name: String,
    trigger: Reference,
    proof: Proof,
    ingest: bool,
}

impl Kind for Alertmanager {
    fn name(&self) -> &'static str {
        "alertmanager"
    }

    fn about(&self) -> &'static str {
        "reports alerts of Alertmanager, Prometheus and delfin, one event per alert and change"
    }

    fn example(&self) -> &'static str {
        EXAMPLE
    }

    fn hooks(&self, definition: &Definition) -> Vec<String> {
        let given = &definition.settings;
        let name = given["name"].as_str().map_or_else(name, str::to_owned);
        let ingest = given["ingest"].as_bool().unwrap_or_else(yes);
        let own = format!("/api/v1/webhooks/{}", name.trim_matches('/'));
        std::iter::once(own).chain(ingest.then(|| "/api/v2/alerts".to_owned())).collect()
    }

    fn build(&self, definition: &Arc<Definition>) -> Result<Box<dyn Sensor>, Vec<Problem>> {
        let settings: Settings = settings(definition)?;
        if settings.auth == Auth::Hmac {
            let problem = wrong(definition, "auth", "Alertmanager signs nothing");
            return Err(vec![problem.help("write `bearer`, `key` or `none`")]);
        }
        let proof = Proof::new(definition, settings.auth, settings.secrets, None)?;
        let trigger = settings.trigger;
        Ok(Box::new(Listener {
            definition: Arc::clone(definition),
            name: settings.name.trim_matches('/').to_owned(),
            trigger: trigger
                .unwrap_or_else(|| "prometheus.alert".parse().expect("a whole reference")),
            proof,
            ingest: settings.ingest,
        }))
    }
}

#[async_trait]
impl Sensor for Listener {
    async fn run(&self, context: Context, stop: CancellationToken) -> Result<(), Error> {
        let sensor = &self.definition.reference;
        let receiver = Arc::new(Receiver {
            sensor: sensor.as_str().into(),
            trigger: self.trigger.clone(),
            guard: self.proof.open(&self.definition.folder, &context.config).await?,
            known: Mutex::default(),
            context: context.clone(),
        });
        let notifications = Arc::new(Notifications(Arc::clone(&receiver)));
        let _webhook = context.hooks.open(&self.name, sensor, notifications)?;
        let _ingest = if self.ingest {
            Some(context.hooks.open_alerts(sensor, Arc::new(Pushes(receiver)))?)
        } else {
            None
        };
        context.health.running();
        stop.cancelled().await;
        Ok(())
    }

    fn hooks(&self) -> Vec<String> {
        let ingest = self.ingest.then(|| ALERTS.to_owned());
        [self.name.clone()].into_iter().chain(ingest).collect()
    }
}

/// What Alertmanager posts to the webhook.
struct Notifications(Arc<Receiver>);

/// What Prometheus and delfin post to `/api/v2/alerts` and `/api/v1/alerts`.
struct Pushes(Arc<Receiver>);

#[async_trait]
impl Hook for Notifications {
    async fn receive(&self, delivery: Delivery) -> Answer {
        self.0.receive(delivery, notified).await
    }

    fn limit_bytes(&self) -> usize {
        ALERTS_LIMIT_BYTES
    }
}

#[async_trait]
impl Hook for Pushes {
    async fn receive(&self, delivery: Delivery) -> Answer {
        self.0.receive(delivery, pushed).await
    }

    fn limit_bytes(&self) -> usize {
        ALERTS_LIMIT_BYTES
    }
}

/// The last that was heard of an alert.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    resolved: bool,
    began: Option<Time>,
    happened: Option<Time>,
    heard: Time,
}

impl Known {
    fn says_the_same(&self, next: &Self) -> bool {
        match (next.happened, self.happened) {
            // delfin sends everything that ever was, again and again, in the order of occurrence.
            (Some(next_happened), Some(heard)) => {
                next_happened <= heard || next.resolved == self.resolved
            }
            // Without a beginning, only the state can tell.
            _ if next.began.is_none() => next.resolved == self.resolved,
            _ => next.resolved == self.resolved && next.began == self.began,
        }
    }
}

struct Receiver {
    sensor: Arc<str>,
    trigger: Reference,
    guard: Guard,
    known: Mutex<HashMap<String, Known>>,
    context: Context,
}

type Reader = fn(&Value, Time) -> Result<Read, String>;

/// The alerts, and what is none; an error where everything is none.
fn sorted(read: Read) -> Result<(Vec<Alert>, Vec<NoAlert>), String> {
    let (mut alerts, mut wrong) = (Vec::new(), Vec::new());
    for one in read {
        match one {
            Ok(alert) => alerts.push(alert),
            Err(none) => wrong.push(none),
        }
    }
    match (&alerts[..], &wrong[..]) {
        ([], [first, ..]) => Err(first.reason.clone()),
        _ => Ok((alerts, wrong)),
    }
}

impl Receiver {
    async fn receive(&self, delivery: Delivery, read: Reader) -> Answer {
        let now = self.context.clock.now();
        if let Err(answer) = self.guard.check(&delivery, now) {
            return answer;
        }
        let body = serde_json::from_slice(&delivery.body).map_err(|error| error.to_string());
        let (alerts, wrong) = match body.and_then(|body: Value| read(&body, now)).and_then(sorted) {
            Ok(sorted) => sorted,
            Err(what) => {
                self.context.books.refused(1);
                let help =
                    "send what Alertmanager's webhook sends (version 4), or a list of alerts";
                return Answer::refusal(400, "wrong_alerts", &what, help);
            }
        };
        let all = alerts.len();
        let mut fresh = HashMap::new();
        let news: Vec<_> =
            alerts.into_iter().filter(|alert| self.is_news(alert, &mut fresh, now)).collect();
        let reports = news.iter().map(|alert| self.report(alert, now)).collect();
        // Not `offer`: Alertmanager never repeats what was refused with 429.
        let letter = |one: &NoAlert| {
            let reason = one.reason.clone();
            self.context.dead_letter(&self.sensor, "alerts", reason, one.content.as_bytes())
        };
        let dead_letters = wrong.iter().map(letter).collect();
        let submission = Submission { reports, dead_letters, ..Submission::default() };
        let mut outcomes = match self.context.report(submission).await {
            Ok(outcomes) => outcomes,
            Err(Error::Intake(refusal)) => return Answer::refused(&refusal),
            Err(error) => {
                return Answer::refusal(503, "intake", &error.to_string(), "send it again");
            }
        };
        self.learn(fresh);
        self.context.books.repeats(all - news.len());
        outcomes.extend((news.len()..all).map(|_| Outcome::Duplicate(None)));
        outcomes.extend(wrong.into_iter().map(|one| Outcome::Refused(one.reason)));
        Answer { status: 202, ..Answer::outcomes(&outcomes) }
    }

    /// Whether this alert says something that the last word about it did not; `fresh` holds what the
    /// same delivery said before it. A repeat only keeps the memory of it fresh.
    fn is_news(&self, alert: &Alert, fresh: &mut HashMap<String, Known>, now: Time) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let last = match fresh.get_mut(&alert.key) {
            Some(last) => Some(last),
            None => known.get_mut(&alert.key),
        };
        let next = Known {
            resolved: alert.resolved,
            began: alert.began,
            happened: alert.happened,
            heard: now,
        };
        match last {
            Some(last) if last.says_the_same(&next) => {
                last.heard = now;
                last.happened = last.happened.max(next.happened);
                false
            }
            _ => {
                fresh.insert(alert.key.clone(), next);
                true
            }
        }
    }

    /// Remembers what was committed.
    fn learn(&self, fresh: HashMap<String, Known>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(fresh);
        if known.len() > KNOWN_LIMIT {
            let mut heard: Vec<_> = known.values().map(|last| last.heard).collect();
            heard.sort_unstable();
            // A tenth at once, so that this is done seldom.
            let oldest = heard[known.len() - KNOWN_LIMIT * 9 / 10];
            known.retain(|_, last| last.heard > oldest);
        }
    }

    fn report(&self, alert: &Alert, now: Time) -> Report {
        let mut report = Report::new(self.trigger.clone(), &self.sensor, alert.data.clone());
        // Alerts without a beginning are told apart by their arrival.
        let began = alert.happened.or(alert.began).unwrap_or(now);
        let status = if alert.resolved { "resolved" } else { "firing" };
        report.once = Some(format!("alert/{}/{}/{began}/{status}", self.sensor, alert.key));
        report.subject = Some(alert.key.as_str().into());
        report.time = if alert.resolved { alert.happened } else { alert.began };
        report
    }
}
