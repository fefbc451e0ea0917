//! Producing, to librdkafka's own mock of a cluster.

use std::time::Duration;

use ifso::model::execution::End;
use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::Headers;
use rdkafka::mocking::MockCluster;
use serde_json::json;

use super::desk::Desk;

#[tokio::test]
async fn a_record_arrives_with_key_value_and_headers() {
    let desk = Desk::new();
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("pools", 3, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let produce = desk
        .attempt("kafka")
        .given("brokers", brokers.clone())
        .given("topic", "pools")
        .given("key", "gold")
        .given("partition", 2)
        .given("value", json!({ "used": 81 }))
        .given("headers", json!({ "from": "ifso", "n": 1 }))
        .environment("TRACEPARENT", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let result = produce.run().await.succeeded();
    assert_eq!(result, json!({ "topic": "pools", "partition": 2, "offset": 0 }));

    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &brokers)
        .set("group.id", "test")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&["pools"]).unwrap();
    let record = tokio::time::timeout(Duration::from_secs(20), consumer.recv()).await;
    let record = record.expect("a record within 20 s").unwrap();
    assert_eq!(record.key(), Some(&b"gold"[..]));
    assert_eq!(record.payload(), Some(&b"{\"used\":81}"[..]));
    let headers = record.headers().unwrap();
    assert_eq!((headers.get(0).key, headers.get(0).value), ("from", Some(&b"ifso"[..])));
    assert_eq!((headers.get(1).key, headers.get(1).value), ("n", Some(&b"1"[..])));
    let parent = &b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"[..];
    assert_eq!((headers.get(2).key, headers.get(2).value), ("traceparent", Some(parent)));
}

#[tokio::test]
async fn a_cluster_that_is_away_ends_in_a_time_out() {
    let desk = Desk::new();
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let produce = desk.attempt("kafka").given("brokers", free.to_string()).given("topic", "t");
    let came = produce.within(Duration::from_millis(500)).run().await;
    assert_eq!(came.end(), End::TimedOut);
    assert!(came.reason().contains("did not acknowledge within 500ms"), "{}", came.reason());
}

#[tokio::test]
async fn bad_parameters_are_named() {
    let desk = Desk::new();
    let came = desk.attempt("kafka").given("brokers", "localhost:1").run().await;
    assert_eq!(came.reason(), "parameter `topic` is missing; say to which topic");
    let came = desk.attempt("kafka").given("topic", "t").run().await;
    assert!(came.reason().contains("`brokers`"), "{}", came.reason());
    let odd = desk.attempt("kafka").given("topic", "t").given("brokers", "localhost:1");
    let came = odd.given("settings", json!({ "no.such.setting": 1 })).run().await;
    assert!(came.reason().contains("no.such.setting"), "{}", came.reason());
}
