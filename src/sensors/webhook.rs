//! `webhook`: one event per POST to `/api/v1/webhooks/<name>`.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::intake::{Outcome, Submission};
use crate::model::event::Report;
use crate::model::problem::Problem;
use crate::model::reference::Reference;
use crate::model::sensor::Definition;
use crate::sensors::hooks::{Answer, Delivery, Hook};
use crate::sensors::proof::{Auth, Guard, Proof, Signature};
use crate::sensors::secret::Secret;
use crate::sensors::{Context, Error, Kind, Sensor, settings, wrong};

/// See the module.
pub(super) struct Webhook;

const EXAMPLE: &str = "\
kind: webhook
name: deploy                    # POST /api/v1/webhooks/deploy; default: the file's name
trigger: webhook.deploy         # default: webhook.<name>
auth: hmac                      # key (default: an API key) | bearer | hmac | none
signature:
  form: github                  # github (default): sha256=<hex> | stripe: t=<seconds>,v1=<hex>
  header: X-Hub-Signature-256   # default of the form
secrets:                        # bearer and hmac: one, or two while it is being replaced
  - inline: change-me           # better { file: secrets/deploy } or { config: deploy_secret }
shape: body                     # the event's data: body (as sent; a list under `value`) | request (body, headers, headers_lower, query)
delivery_id: X-GitHub-Delivery  # a delivery that comes again with this header is no new event
";

/// The headers that name a delivery unless the file names one.
const DELIVERY_IDS: [&str; 4] =
    ["idempotency-key", "x-github-delivery", "x-gitea-delivery", "webhook-id"];
/// The longest name of a delivery, in bytes.
const DELIVERY_ID_LIMIT: usize = 255;
/// Headers that carry credentials; no event holds them.
const CREDENTIALS: [&str; 6] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "st2-api-key",
    "x-auth-token",
    "x-gitlab-token",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    trigger: Option<Reference>,
    #[serde(default)]
    auth: Auth,
    #[serde(default)]
    signature: Option<Signature>,
    #[serde(default)]
    secrets: Vec<Secret>,
    #[serde(default)]
    shape: Shape,
    #[serde(default)]
    delivery_id: Option<String>,
}

/// What becomes the event's data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shape {
    /// The body: a rule cannot tell, and need not, whether it came by webhook, Kafka or API. What is no
    /// object stands under `value`.
    #[default]
    Body,
    /// `body`, `headers`, `headers_lower`, `query`: as `StackStorm`'s webhooks.
    #[serde(alias = "st2")]
    Request,
}

struct Listener {
    definition: Arc<Definition>,
    name: String,
    trigger: Reference,
    proof: Proof,
    shape: Shape,
    delivery_id: Option<HeaderName>,
}

impl Kind for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn about(&self) -> &'static str {
        "reports what is posted to an address of its own"
    }

    fn example(&self) -> &'static str {
        EXAMPLE
    }

    fn hooks(&self, definition: &Definition) -> Vec<String> {
        let name = definition.settings["name"].as_str().unwrap_or(definition.reference.name());
        vec![format!("/api/v1/webhooks/{}", name.trim_matches('/'))]
    }

    fn build(&self, definition: &Arc<Definition>) -> Result<Box<dyn Sensor>, Vec<Problem>> {
        let settings: Settings = settings(definition)?;
        let name = settings.name.as_deref().unwrap_or(definition.reference.name());
        let name = name.trim_matches('/').to_owned();
        let default: Result<Reference, _> = format!("webhook.{}", name.replace('/', ".")).parse();
        let default = default.map_err(|_| {
            let message =
                format!("`{name}` is no name; expected letters, digits, `_`, `-` and `/`");
            vec![wrong(definition, "name", message)]
        })?;
        let Ok(delivery_id) = settings.delivery_id.as_deref().map(str::parse).transpose() else {
            return Err(vec![wrong(definition, "delivery_id", "it is no name of a header")]);
        };
        let proof = Proof::new(definition, settings.auth, settings.secrets, settings.signature)?;
        Ok(Box::new(Listener {
            definition: Arc::clone(definition),
            name,
            trigger: settings.trigger.unwrap_or(default),
            proof,
            shape: settings.shape,
            delivery_id,
        }))
    }
}

#[async_trait]
impl Sensor for Listener {
    async fn run(&self, context: Context, stop: CancellationToken) -> Result<(), Error> {
        let guard = self.proof.open(&self.definition.folder, &context.config).await?;
        let hook = Receiver {
            sensor: self.definition.reference.as_str().into(),
            trigger: self.trigger.clone(),
            shape: self.shape,
            delivery_id: self.delivery_id.clone(),
            guard,
            context: context.clone(),
        };
        let _open = context.hooks.open(&self.name, &self.definition.reference, Arc::new(hook))?;
        context.health.running();
        stop.cancelled().await;
        Ok(())
    }

    fn hooks(&self) -> Vec<String> {
        vec![self.name.clone()]
    }
}

/// The open hook.
struct Receiver {
    sensor: Arc<str>,
    trigger: Reference,
    shape: Shape,
    delivery_id: Option<HeaderName>,
    guard: Guard,
    context: Context,
}

#[async_trait]
impl Hook for Receiver {
    async fn receive(&self, delivery: Delivery) -> Answer {
        match self.report(&delivery) {
            Ok(report) => self.hand_over(report).await,
            Err(answer) => {
                self.context.books.refused(1);
                answer
            }
        }
    }
}

impl Receiver {
    fn report(&self, delivery: &Delivery) -> Result<Report, Answer> {
        let signature = self.guard.check(delivery, self.context.clock.now())?;
        let body = parse(&delivery.headers, &delivery.body)?;
        let data = match self.shape {
            Shape::Body if body.is_object() => body,
            Shape::Body => json!({ "value": body }),
            Shape::Request => self.request(delivery, &body),
        };
        let mut report = Report::new(self.trigger.clone(), &self.sensor, data);
        let id = self.delivery(&delivery.headers)?.or(signature);
        report.once = id.map(|id| format!("webhook/{}/{id}", self.sensor));
        report.trace = ["st2-trace-tag", "traceparent"]
            .iter()
            .find_map(|name| delivery.headers.get(*name)?.to_str().ok().map(Into::into));
        Ok(report)
    }

    /// What names this delivery, where something does.
    fn delivery(&self, headers: &HeaderMap) -> Result<Option<String>, Answer> {
        let value = match &self.delivery_id {
            Some(name) => headers.get(name),
            None => DELIVERY_IDS.iter().find_map(|name| headers.get(*name)),
        };
        let Some(value) = value else { return Ok(None) };
        match value.to_str() {
            Ok(text) if text.len() <= DELIVERY_ID_LIMIT => Ok(Some(text.to_owned())),
            _ => {
                let what = format!(
                    "the delivery's name is longer than {DELIVERY_ID_LIMIT} bytes or no text"
                );
                Err(Answer::refusal(400, "wrong_delivery_id", &what, "send a shorter one"))
            }
        }
    }

    fn request(&self, delivery: &Delivery, body: &Value) -> Value {
        let (mut headers, mut lower) = (Map::new(), Map::new());
        for (name, value) in &delivery.headers {
            if CREDENTIALS.contains(&name.as_str()) || self.guard.header() == Some(name) {
                continue;
            }
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            headers.insert(titled(name.as_str()), json!(value));
            lower.insert(name.as_str().to_owned(), json!(value));
        }
        // API keys may stand in the query as well; like those of the headers they stay outside.
        let query = pairs(delivery.query.as_deref().unwrap_or_default().as_bytes());
        let query: Map<_, _> = query
            .into_iter()
            .filter(|(name, _)| !CREDENTIALS.contains(&name.to_lowercase().as_str()))
            .collect();
        json!({ "body": body, "headers": headers, "headers_lower": lower, "query": query })
    }

    async fn hand_over(&self, report: Report) -> Answer {
        let submission = Submission { reports: vec![report], ..Submission::default() };
        let outcomes = match self.context.door.offer(submission).await {
            Ok(outcomes) => outcomes,
            Err(refusal) => return Answer::refused(&refusal),
        };
        self.context.books.outcomes(&outcomes);
        let answer = Answer::outcomes(&outcomes);
        match outcomes.first() {
            Some(Outcome::Duplicate(_)) if self.guard.is_signature() => Answer {
                status: 409,
                body: json!({
                    "faultstring": "this delivery was taken in before",
                    "code": "replayed",
                    "help": "nothing is to be done; a new delivery has a new name or signature",
                    "duplicates": answer.body["duplicates"],
                }),
                retry_after_seconds: None,
            },
            Some(Outcome::Duplicate(_)) => Answer { status: 200, ..answer },
            _ => answer,
        }
    }
}

/// `x-github-event` as people know it: `X-Github-Event`.
fn titled(name: &str) -> String {
    let part = |part: &str| {
        let mut letters = part.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_ascii_uppercase().to_string() + letters.as_str()
        })
    };
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}

/// The body as JSON; a form becomes an object.
fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Value, Answer> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/x-www-form-urlencoded") {
        return Ok(Value::Object(pairs(body)));
    }
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body).map_err(|error| {
        let what = format!("the body is no JSON: {error}");
        let help = "send JSON, or a form with `Content-Type: application/x-www-form-urlencoded`";
        Answer::refusal(400, "wrong_body", &what, help)
    })
}

/// `a=1&b=2&b=3`: a name that comes more than once becomes a list.
fn pairs(text: &[u8]) -> Map<String, Value> {
    let mut map = Map::new();
    for (name, value) in form_urlencoded::parse(text) {
        let value = Value::from(value.into_owned());
        match map.get_mut(name.as_ref()) {
            None => {
                map.insert(name.into_owned(), value);
            }
            Some(Value::Array(list)) => list.push(value),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    map
}
