//! Alerts as Alertmanager's webhook (version 4), Prometheus (`/api/v2/alerts`) and delfin
//! (`/api/v1/alerts`) write them, read into one form. Pure. Unknown keys are left alone.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::model::time::Time;

/// One alert, and what makes it the same one when it comes again.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// The event's data.
    pub data: Value,
    /// What the alert is about; firing and resolved have the same.
    pub key: String,
    /// When it began, in milliseconds since 1970; nothing where nobody says.
    pub began: Option<Time>,
    /// Whether it is over.
    pub resolved: bool,
    /// When that happened which is reported here, where the reporter orders what it reports.
    pub happened: Option<Time>,
}

/// One thing in a list of alerts that is none.
#[derive(Debug, Clone, PartialEq)]
pub struct NoAlert {
    /// What is wrong with it, and where it stood.
    pub reason: String,
    /// It, as JSON.
    pub content: String,
}

/// A list of alerts, read; one that is none does not spoil the others.
pub type Read = Vec<Result<Alert, NoAlert>>;

type Labels = BTreeMap<String, String>;

/// More alerts in one request are refused.
const ALERTS_LIMIT: usize = 10_000;
/// What Alertmanager writes while an alert fires.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The body of Alertmanager's webhook.
///
/// # Errors
/// Why it is no list of alerts.
pub fn notified(body: &Value, now: Time) -> Result<Read, String> {
    let alerts = list(body.get("alerts"), "`alerts`")?;
    let group = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let of_group = [
        ("receiver", json!(group("receiver"))),
        ("groupKey", json!(group("groupKey"))),
        ("externalURL", json!(group("externalURL"))),
    ];
    let read = |(place, alert): (usize, &Value)| {
        let status = alert.get("status").and_then(Value::as_str);
        alert_of(alert, status.or(Some(group("status"))), &of_group, now)
            .map_err(|what| NoAlert::new(format!("`alerts[{place}]`: {what}"), alert))
    };
    Ok(alerts.iter().enumerate().map(read).collect())
}

/// The body of a post to `/api/v1/alerts` or `/api/v2/alerts`.
///
/// # Errors
/// Why it is no list of alerts.
pub fn pushed(body: &Value, now: Time) -> Result<Read, String> {
    let alerts = list(Some(body), "the body")?;
    let of_group = ["receiver", "groupKey", "externalURL"].map(|key| (key, json!("")));
    let read = |(place, alert): (usize, &Value)| {
        alert_of(alert, None, &of_group, now)
            .map_err(|what| NoAlert::new(format!("alert {place}: {what}"), alert))
    };
    Ok(alerts.iter().enumerate().map(read).collect())
}

impl NoAlert {
    fn new(reason: String, alert: &Value) -> Self {
        Self { reason, content: alert.to_string() }
    }
}

fn list<'a>(value: Option<&'a Value>, what: &str) -> Result<&'a Vec<Value>, String> {
    match value {
        Some(Value::Array(list)) if list.len() <= ALERTS_LIMIT => Ok(list),
        Some(Value::Array(list)) => {
            Err(format!("{what} holds {} alerts; at most {ALERTS_LIMIT} are taken", list.len()))
        }
        _ => Err(format!("{what} must be a list of alerts")),
    }
}

fn alert_of(
    alert: &Value,
    status: Option<&str>,
    of_group: &[(&str, Value)],
    now: Time,
) -> Result<Alert, String> {
    let labels = labels(alert.get("labels"), "labels")?;
    if labels.is_empty() {
        return Err("it has no labels".to_owned());
    }
    let text = |key: &str| alert.get(key).and_then(Value::as_str).unwrap_or_default();
    let (starts, ends) = (text("startsAt"), text("endsAt"));
    let delfin = Delfin::of(&labels);
    let resolved = match status {
        Some("resolved") => true,
        Some("firing") => false,
        _ => {
            let over = time(ends).is_some_and(|end| end <= now);
            over || delfin.as_ref().is_some_and(|alert| alert.recovered)
        }
    };
    let happened = delfin.as_ref().and_then(|alert| alert.occurred);
    let began = time(starts).or(happened);
    let computed = || match &delfin {
        Some(alert) => fingerprint(&alert.identity),
        None => fingerprint(&labels),
    };
    let fingerprint = match text("fingerprint") {
        "" => computed(),
        given => given.to_owned(),
    };
    let written = |text: &str, other: Option<Time>| match (text, other) {
        ("", Some(time)) => time.to_string(),
        ("", None) => NEVER.to_owned(),
        (text, _) => text.to_owned(),
    };
    let ended = resolved.then(|| happened.unwrap_or(now));
    let mut data = Map::from_iter([
        ("status".to_owned(), json!(if resolved { "resolved" } else { "firing" })),
        ("annotations".to_owned(), json!(self::labels(alert.get("annotations"), "annotations")?)),
        ("startsAt".to_owned(), json!(written(starts, Some(began.unwrap_or(now))))),
        (
            "endsAt".to_owned(),
            json!(if resolved { written(ends, ended) } else { written(ends, None) }),
        ),
        ("generatorURL".to_owned(), json!(text("generatorURL"))),
        ("fingerprint".to_owned(), json!(fingerprint)),
        ("labels".to_owned(), json!(labels)),
    ]);
    data.extend(of_group.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    Ok(Alert { data: Value::Object(data), key: fingerprint, began, resolved, happened })
}

/// A map of strings; other values are written as JSON writes them.
fn labels(value: Option<&Value>, what: &str) -> Result<Labels, String> {
    match value {
        None | Some(Value::Null) => Ok(Labels::new()),
        Some(Value::Object(map)) => Ok(map
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) => (name.clone(), text.clone()),
                other => (name.clone(), other.to_string()),
            })
            .collect()),
        Some(_) => Err(format!("`{what}` must be a map of strings")),
    }
}

fn time(text: &str) -> Option<Time> {
    let time: Time = text.parse().ok()?;
    // Alertmanager's and Go's zero time means "nobody says".
    (time.millis() > 0).then_some(time)
}

/// delfin's alerts name no `alertname`, carry the time and a number among their labels (so that each
/// occurrence has another fingerprint), and say by their category that a trouble is over.
struct Delfin {
    identity: Labels,
    recovered: bool,
    occurred: Option<Time>,
}

impl Delfin {
    fn of(labels: &Labels) -> Option<Self> {
        if labels.contains_key("alertname") {
            return None;
        }
        let part = |name: &str| labels.get(name).map(|value| (name.to_owned(), value.clone()));
        let identity = [part("storage_id")?, part("alert_id")?];
        let occurred = labels.get("occur_time").and_then(|text| text.parse::<i64>().ok());
        Some(Self {
            identity: identity.into_iter().chain(part("location")).collect(),
            recovered: labels.get("category").is_some_and(|c| c.eq_ignore_ascii_case("recovery")),
            occurred: occurred.filter(|time| *time > 0).map(|time| {
                // Drivers write milliseconds, the fake driver seconds; seconds reach 10^11 in the year 5138.
                Time::from_millis(if time < 100_000_000_000 { time * 1000 } else { time })
            }),
        })
    }
}

/// The name of a set of labels as Prometheus computes it: FNV-1a, 64 bits, over the labels in order,
/// each name and value followed by the byte 255 (`prometheus/common`, `model/signature.go`).
fn fingerprint(labels: &Labels) -> String {
    let mut sum: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |byte: u8| sum = (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for (name, value) in labels {
        name.bytes().chain([255]).chain(value.bytes()).chain([255]).for_each(&mut add);
    }
    format!("{sum:016x}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Taken from Debian's Alertmanager 0.25, which was sent these labels.
    #[test]
    fn fingerprints_are_those_of_prometheus() {
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        // The empty set is FNV's own offset.
        assert_eq!(fingerprint(&labels(&[])), "cbf29ce484222325");
        assert_ne!(fingerprint(&labels(&[("a", "bc")])), fingerprint(&labels(&[("ab", "c")])));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let keys =
            "(alerts|labels|status|startsAt|endsAt|storage_id|alert_id|occur_time|category|a)";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "(firing|resolved|Recovery|2026-01-01T00:00:00Z|-1|99999999999999999999|x)"
                .prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 64, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                proptest::collection::btree_map(keys, inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(body in any_json()) {
            let now = Time::from_millis(1_700_000_000_000);
            for alert in [notified(&body, now), pushed(&body, now)].into_iter().flatten().flatten().flatten() {
                prop_assert_eq!(alert.data.as_object().map(Map::len), Some(10));
            }
        }
    }
}
