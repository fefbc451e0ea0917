//! Traces: a real program sends what it did to a small collector, and hands the trace on.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::cli::alone::Served;
use crate::cli::home;
use crate::parts::call::until_it_listens;

const PATIENCE: Duration = Duration::from_secs(20);
/// Where the world outside stands: a trace, and a span in it.
const OUTSIDE: (&str, &str) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");

/// One request that was answered with 200.
struct Heard {
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// Takes whatever is sent, on a port of its own.
struct Collector {
    url: String,
    heard: Receiver<Heard>,
    spans: Vec<Span>,
}

/// What a span says.
#[derive(Debug, Default, Clone, PartialEq)]
struct Span {
    trace: String,
    id: String,
    above: String,
    name: String,
    failed: bool,
    service: String,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (said, heard) = channel();
        std::thread::spawn(move || {
            let calls = listener.incoming().map_while(Result::ok);
            calls.map(answer).try_for_each(|heard| said.send(heard))
        });
        Self { url, heard, spans: Vec::new() }
    }

    /// The next request to `path`; spans that come meanwhile are kept.
    fn asked(&mut self, path: &str) -> Heard {
        loop {
            let heard = self.heard.recv_timeout(PATIENCE).unwrap_or_else(|error| {
                panic!("nobody asked for {path} ({error}); spans: {:#?}", self.spans)
            });
            if heard.path == "/v1/traces" {
                assert_eq!(heard.headers["content-type"], "application/x-protobuf");
                self.spans.extend(spans(&heard.body));
            }
            if heard.path == path {
                return heard;
            }
        }
    }

    /// The first span whose name begins so, once it has come.
    fn span(&mut self, name: &str) -> Span {
        loop {
            if let Some(span) = self.spans.iter().find(|span| span.name.starts_with(name)) {
                return span.clone();
            }
            self.asked("/v1/traces");
        }
    }
}

fn answer(mut stream: TcpStream) -> Heard {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    Heard { path, headers, body }
}

/// The fields of a message of protocol buffers: numbers, and bytes where there are any.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let length = match tag & 7 {
            0 => {
                varint(&mut bytes);
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)).unwrap(),
            5 => 4,
            other => panic!("no type {other}"),
        };
        let (value, rest) = bytes.split_at(length);
        found.push((tag >> 3, value.to_vec()));
        bytes = rest;
    }
    found
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        shift += 7;
        if first & 0x80 == 0 {
            return value;
        }
    }
}

/// opentelemetry-proto, `trace/v1/trace.proto`: `ResourceSpans` 1 { resource 1, `ScopeSpans` 2 { `Span` 2 } }.
fn spans(request: &[u8]) -> Vec<Span> {
    let of = |bytes: &[u8], number| {
        fields(bytes).into_iter().filter(move |(n, _)| *n == number).map(|(_, value)| value)
    };
    let hex = |bytes: &[u8]| ifso::store::table::hex(bytes);
    let mut all = Vec::new();
    for resource in of(request, 1) {
        let service: String =
            of(&resource, 1).map(|about| String::from_utf8_lossy(&about).into_owned()).collect();
        for span in of(&resource, 2).flat_map(|scope| of(&scope, 2).collect::<Vec<_>>()) {
            let mut read = Span { service: service.clone(), ..Span::default() };
            for (number, value) in fields(&span) {
                match number {
                    1 => read.trace = hex(&value),
                    2 => read.id = hex(&value),
                    4 => read.above = hex(&value),
                    5 => read.name = String::from_utf8(value).unwrap(),
                    // A status without a code is no failure.
                    15 => read.failed = !value.is_empty(),
                    _ => {}
                }
            }
            all.push(read);
        }
    }
    all
}

/// A home that calls `url` on every event of its webhook, and writes what its programs find.
fn calling(url: &str) -> tempfile::TempDir {
    let home = home();
    std::fs::create_dir_all(home.path().join("sensors")).unwrap();
    std::fs::write(
        home.path().join("sensors/door.yaml"),
        "kind: webhook\nauth: none\ntrigger: demo.rang\n",
    )
    .unwrap();
    let rule = format!(
        "rule(\"call\", #{{ on: \"demo.rang\", then: |e| [\n\
             run(\"core.http\", #{{ url: \"{url}/called\" }}),\n\
             run(\"core.local\", #{{ cmd: \"printf %s \\\"$TRACEPARENT\\\" > '{}/found'; false\" }}),\n\
         ] }});\n",
        home.path().display()
    );
    std::fs::write(home.path().join("rules/call.rhai"), rule).unwrap();
    home
}

/// Rings until the sensor listens.
fn ring(url: &str, parent: &str) {
    let call = format!(
        "POST /api/v1/webhooks/door HTTP/1.0\r\nHost: x\r\nContent-Type: application/json\r\n\
         {parent}Content-Length: 2\r\n\r\n{{}}"
    );
    let said = until_it_listens(url, &call);
    assert!(said.starts_with("HTTP/1.0 20"), "{said}");
}

fn outside() -> String {
    format!("00-{}-{}-01", OUTSIDE.0, OUTSIDE.1)
}

fn found(home: &Path) -> String {
    std::fs::read_to_string(home.join("found")).unwrap()
}

#[test]
fn an_event_its_decision_executions_and_attempts_are_one_trace_from_outside_to_outside() {
    let mut collector = Collector::start();
    let home = calling(&collector.url);
    let variables = [("IFSO_TELEMETRY_OTLP", collector.url.as_str())];
    let served = Served::start_with(home.path(), &variables);
    ring(&served.url, &format!("traceparent: {}\r\n", outside()));
    let called = collector.asked("/called");
    let event = collector.span("event demo.rang");
    assert_eq!((event.trace.as_str(), event.above.as_str()), OUTSIDE);
    assert!(event.service.contains("service.name") && event.service.contains("ifso"));
    let decision = collector.span("decision site.call");
    let http = collector.span("execution core.http");
    let attempt = collector.span("attempt http");
    let local = collector.span("execution core.local");
    let failed = collector.span("attempt shell");
    for (part, above) in [
        (&decision, &event),
        (&http, &decision),
        (&local, &decision),
        (&attempt, &http),
        (&failed, &local),
    ] {
        assert_eq!((&part.trace, &part.above), (&event.trace, &above.id), "{part:?} {above:?}");
    }
    assert!(local.failed && failed.failed && !http.failed && !attempt.failed && !event.failed);
    // Whoever is called hears of the attempt, in a header or in the environment.
    assert_eq!(called.headers["traceparent"], format!("00-{}-{}-01", attempt.trace, attempt.id));
    assert_eq!(found(home.path()), format!("00-{}-{}-01", failed.trace, failed.id));
    let ids: std::collections::BTreeSet<_> = collector.spans.iter().map(|span| &span.id).collect();
    assert_eq!(ids.len(), collector.spans.len(), "{:#?}", collector.spans);
    assert!(served.stop().success());
}

#[test]
fn a_trace_begins_with_the_event_and_the_last_spans_are_sent_before_the_end() {
    let mut collector = Collector::start();
    let home = calling(&collector.url);
    let url = collector.url.clone();
    let variables = [("IFSO_TELEMETRY_OTLP", url.as_str())];
    let served = Served::start_with(home.path(), &variables);
    ring(&served.url, "");
    let called = collector.asked("/called");
    assert!(served.stop().success());
    let event = collector.span("event demo.rang");
    assert_eq!(event.above, "", "{event:?}");
    assert!(called.headers["traceparent"].contains(&event.trace), "{:?}", called.headers);
    // Whoever began a trace and does not keep it is not sent parts of it.
    let served = Served::start_with(home.path(), &variables);
    let dropped = outside().replace("-01", "-00");
    ring(&served.url, &format!("traceparent: {dropped}\r\n"));
    let called = collector.asked("/called");
    assert!(called.headers["traceparent"].ends_with("-00"), "{:?}", called.headers);
    assert!(served.stop().success());
    while let Ok(heard) = collector.heard.try_recv() {
        collector.spans.extend(spans(&heard.body));
    }
    assert!(collector.spans.iter().all(|span| span.trace != OUTSIDE.0), "{:#?}", collector.spans);
}

#[test]
fn without_a_collector_a_trace_is_handed_on_as_it_came_and_none_begins() {
    let mut collector = Collector::start();
    let home = calling(&collector.url);
    let served = Served::start(home.path());
    ring(&served.url, "");
    assert!(!collector.asked("/called").headers.contains_key("traceparent"));
    ring(&served.url, &format!("traceparent: {}\r\n", outside()));
    assert_eq!(collector.asked("/called").headers["traceparent"], outside());
    assert!(served.stop().success());
    assert!(collector.spans.is_empty(), "{:#?}", collector.spans);
}

#[test]
fn a_collector_that_is_away_holds_nobody_up() {
    let home = home();
    let gone = format!("http://127.0.0.1:{}", crate::parts::program::free_port());
    let served = Served::start_with(home.path(), &[("IFSO_TELEMETRY_OTLP", gone.as_str())]);
    assert!(served.stop().success());
}
