//! Whether brokers and services answer that sensors and configurations name. It connects, and of object
//! stores asks the time; it logs in nowhere and sends nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use http::Uri;
use http::uri::Scheme;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cli::doctor::finding::Finding;
use crate::clock;
use crate::packs::catalog::Catalog;

/// Who does not take a connection within this is away.
const PATIENCE: Duration = Duration::from_secs(3);
/// Addresses that are tried at most, and at once.
const LIMIT: usize = 64;
/// Configurations are searched so deep.
const DEPTH_LIMIT: usize = 6;

/// What came of one address.
pub(super) struct Reached {
    pub(super) finding: Finding,
    /// How far this machine's clock is ahead of its clock, where it said its time.
    pub(super) drift_seconds: Option<i64>,
}

/// Somebody to connect to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Address {
    /// `broker`, `mail` or `service`.
    part: &'static str,
    host: String,
    port: u16,
    /// Who names it: a sensor or a pack's configuration.
    from: String,
    /// Where its time is asked for: scheme and authority of an object store.
    time: Option<String>,
}

/// Connects to everybody that the catalog names.
pub(super) async fn look(catalog: &Catalog) -> Vec<Reached> {
    let mut all = BTreeSet::new();
    for sensor in catalog.sensors.values().filter(|sensor| sensor.enabled) {
        collect(&sensor.settings, &format!("sensor {}", sensor.reference), DEPTH_LIMIT, &mut all);
    }
    for (pack, config) in catalog.configs.iter() {
        collect(config, &format!("configs/{pack}.yaml"), DEPTH_LIMIT, &mut all);
    }
    let tries = all.into_iter().take(LIMIT).map(reach);
    futures_util::stream::iter(tries).buffered(LIMIT).collect().await
}

/// The addresses in settings. Values that templates fill in later are passed over.
fn collect(value: &Value, from: &str, depth: usize, all: &mut BTreeSet<Address>) {
    if depth == 0 {
        return;
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, from, depth - 1, all)),
        Value::Object(fields) => {
            for (name, inner) in fields {
                match (name.as_str(), inner) {
                    ("brokers", Value::Array(brokers)) => {
                        let brokers = brokers.iter().filter_map(Value::as_str);
                        all.extend(brokers.filter_map(|one| broker(one, from)));
                    }
                    ("smtp", Value::Object(_)) => all.extend(mail(inner, from)),
                    (name, Value::String(text)) => all.extend(service(name, text, from)),
                    _ => collect(inner, from, depth - 1, all),
                }
            }
        }
        _ => {}
    }
}

fn broker(text: &str, from: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, "9092"));
    let host = host.trim_matches(['[', ']']).to_owned();
    let (port, from) = (port.parse().ok()?, from.to_owned());
    (!host.is_empty()).then_some(Address { part: "broker", host, port, from, time: None })
}

fn mail(smtp: &Value, from: &str) -> Option<Address> {
    let host = smtp["host"].as_str().filter(|host| !host.contains("{{"))?.to_owned();
    let given = match &smtp["port"] {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|port| u16::try_from(port).ok()),
    };
    let usual = match smtp["tls"].as_str() {
        Some("none") => 25,
        Some("tls") => 465,
        _ => 587,
    };
    let (port, from) = (given.unwrap_or(usual), from.to_owned());
    Some(Address { part: "mail", host, port, from, time: None })
}

/// An address of the web; of what stands behind its host nothing is kept, as it may be a secret.
fn service(name: &str, text: &str, from: &str) -> Option<Address> {
    let uri: Uri = text.parse().ok()?;
    let scheme = uri.scheme()?;
    let usual = match scheme {
        scheme if *scheme == Scheme::HTTP => 80,
        scheme if *scheme == Scheme::HTTPS => 443,
        _ => return None,
    };
    let host = uri.host()?.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(usual);
    let asked = name == "endpoint";
    let time = asked.then(|| format!("{scheme}://{}:{port}/", uri.host().unwrap_or_default()));
    Some(Address { part: "service", host, port, from: from.to_owned(), time })
}

async fn reach(address: Address) -> Reached {
    let Address { part, host, port, from, time } = address;
    let connecting = TcpStream::connect((host.as_str(), port));
    let problem = match timeout(PATIENCE, connecting).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    let name = format!("{host}:{port} ({from})");
    let finding = match problem {
        None => Finding::ok(part, name),
        Some(problem) => Finding::wrong(part, format!("{name}: {problem}")).next(format!(
            "is `{host}:{port}` right in {from}, and does it run? A firewall between?"
        )),
    };
    let drift_seconds = match time {
        Some(url) if finding.next.is_none() => drift(&url).await,
        _ => None,
    };
    Reached { finding, drift_seconds }
}

/// How far this machine's clock is ahead of that of the service at `url`.
async fn drift(url: &str) -> Option<i64> {
    let client = reqwest::Client::builder().timeout(PATIENCE).build().ok()?;
    let answer = client.head(url).send().await.ok()?;
    let said = answer.headers().get(http::header::DATE)?.to_str().ok()?;
    let said = jiff::fmt::rfc2822::parse(said).ok()?.timestamp().as_millisecond();
    Some((clock::system().now().millis() - said) / 1000)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_are_found_wherever_they_are_named_and_secrets_stay_out() {
        let settings = json!({
            "brokers": ["a:9092", "[::1]:9093", "b", ":1"],
            "smtp": { "host": "mail.example", "tls": "tls" },
            "stores": { "old": { "kind": "s3", "endpoint": "https://s3.example:9000" } },
            "slack": { "url": "https://hooks.example/T00/secret?x=1" },
            "later": { "url": "{{ st2kv.system.url }}", "smtp": { "host": "{{ x }}" } },
            "text": "see http://nowhere",
        });
        let mut all = BTreeSet::new();
        collect(&settings, "x", DEPTH_LIMIT, &mut all);
        let shown: Vec<String> = all
            .iter()
            .map(|one| format!("{} {}:{} {:?}", one.part, one.host, one.port, one.time))
            .collect();
        let expected = [
            "broker ::1:9093 None",
            "broker a:9092 None",
            "broker b:9092 None",
            "mail mail.example:465 None",
            "service hooks.example:443 None",
            "service s3.example:9000 Some(\"https://s3.example:9000/\")",
        ];
        assert_eq!(shown, expected);
    }
}
