//! Whatever comes as a body or a query, no route falls over.

use ifso::api::route::{Route, Verb};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::api::House;
use crate::world::catalog;

/// Text that is nearly what routes expect.
fn nearly() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"trigger\"",
        "\"action\"",
        "\"value\"",
        "\"a.b\"",
        "\"x.y\"",
        "\"parameters\"",
        "\"specversion\"",
        "\"1.0\"",
        "\"type\"",
        "\"source\"",
        "\"id\"",
        "\"ttl\"",
        "null",
        "true",
        "-1",
        "1e999",
        "18446744073709551616",
        "\"\\ud800\"",
        "\"\\u0000\"",
        "\"file\"",
        "\"/\"",
        "\"role\"",
        "\"admin\"",
        "[[[[[[[[",
        "\u{feff}",
        "\u{7f}",
    ]);
    prop_oneof![
        prop::collection::vec(words, 0..12).prop_map(|words| words.concat()),
        ".{0,64}",
        any::<f64>().prop_map(|n| format!("{{\"value\":{n}}}")),
    ]
}

#[test]
fn no_body_and_no_query_brings_a_route_down() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let house = runtime.block_on(House::new(catalog([])));
    let routes: Vec<&Route> =
        ifso::api::routes().filter(|route| !route.path.starts_with("/stream")).collect();
    let kinds = [
        "application/json",
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
        "text/plain",
        "",
    ];
    let mut runner =
        TestRunner::new(Config { cases: 600, failure_persistence: None, ..Config::default() });
    let case = (0..routes.len(), 0..kinds.len(), nearly(), nearly(), nearly());
    let outcome = runner.run(&case, |(route, kind, body, name, query)| {
        let route = routes[route];
        let part = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let parts = route
            .path
            .split('/')
            .map(|p| if p.starts_with('{') { part(&name) } else { p.to_owned() });
        let path = parts.collect::<Vec<_>>().join("/");
        let query = format!(
            "limit={}&offset={}&id={0}&timestamp={0}&filter={0}",
            part(&query),
            part(&name)
        );
        let mut call = house.call(route.verb.word(), &format!("{path}?{query}"));
        if matches!(route.verb, Verb::Post | Verb::Put) {
            call = call.header("content-type", kinds[kind]).body(body.clone());
        }
        let status = runtime.block_on(async { call.send().await.unwrap().status() });
        prop_assert!(!status.is_server_error(), "{} {path}?{query}: {status}", route.verb.word());
        Ok(())
    });
    outcome.unwrap();
}
