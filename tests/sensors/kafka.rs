//! The Kafka sensor against a real broker: whatever restarts, leaves or is deleted, no record is lost
//! and none becomes an event twice.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ifso::clock::{self, Ids};
use ifso::intake::history::{self, Filter};
use ifso::model::event::Event;
use ifso::model::problem::Place;
use ifso::model::reference::Reference;
use ifso::model::sensor::{Definition, Health, HealthState};
use ifso::model::time::Time;
use ifso::model::trigger::Trigger;
use ifso::packs::catalog::{Catalog, Current};
use ifso::sensors::hooks::Hooks;
use ifso::sensors::supervisor::{self, Registry, Supervisor};
use ifso::store::Handle;
use ifso::store::redb::Redb;
use ifso::store::table::{self, Rows};
use ifso::store::tables::DeadLetter;
use ifso::tasks::Tasks;
use ifso::telemetry::metrics::Metrics;
use rdkafka::message::Message;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::parts::kafka::{Broker, Record, shared};
use crate::sensors::client;

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(90);

fn definition(settings: Value) -> Arc<Definition> {
    Arc::new(Definition {
        reference: "site.estate".parse().unwrap(),
        kind: "kafka".to_owned(),
        enabled: true,
        description: String::new(),
        settings,
        folder: "/nonexistent".into(),
        place: Place::file("sensors/estate.yaml"),
    })
}

fn store() -> Handle {
    Arc::new(Redb::in_memory().unwrap())
}

/// One engine with one sensor, on a runtime of its own, so that it can be stopped dead.
struct Engine {
    runtime: Runtime,
    store: Handle,
    registry: Registry,
    tasks: Tasks,
}

impl Engine {
    fn start(store: &Handle, settings: Value) -> Self {
        Self::with(store, settings, BTreeMap::new())
    }

    fn with(store: &Handle, settings: Value, triggers: BTreeMap<Reference, Arc<Trigger>>) -> Self {
        let definition = definition(settings);
        let sensors = BTreeMap::from([(definition.reference.clone(), definition)]);
        let catalog = Catalog { sensors, triggers, generation: 1, ..Catalog::default() };
        let catalog: Current = Arc::new(ArcSwap::from_pointee(catalog));
        let runtime = Runtime::new().unwrap();
        let clock = clock::system();
        let (tasks, registry) = (Tasks::new(), Registry::new());
        let ids = Ids::new(clock.clone());
        let (door, stage) = ifso::intake::open(ifso::intake::Parts {
            store: store.clone(),
            catalog: catalog.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            metrics: Metrics::new(),
        });
        let (generation, changes) = watch::channel(1);
        let supervisor = Supervisor {
            catalog,
            changes,
            door,
            clock,
            ids,
            tasks: tasks.clone(),
            hooks: Hooks::new(),
            registry: registry.clone(),
            client: client(),
            metrics: Metrics::new(),
        };
        let guard = runtime.enter();
        tasks.spawn(stage.run(tasks.stop().clone()));
        tasks.spawn({
            let stop = tasks.stop().clone();
            async move {
                supervisor.run(stop).await;
                drop(generation);
            }
        });
        drop(guard);
        Self { runtime, store: store.clone(), registry, tasks }
    }

    /// Ends it in the middle of whatever it is doing.
    fn crash(self) {
        self.runtime.shutdown_background();
    }

    /// Ends it in good order.
    fn stop(self) {
        let came_home = self.runtime.block_on(self.tasks.drain(PATIENCE));
        assert!(came_home, "the sensor did not stop");
    }

    fn health(&self) -> Health {
        let listed = self.registry.list();
        listed.first().map_or_else(|| Health::starting(Time::default()), |one| one.health.clone())
    }

    fn events(&self) -> Vec<Event> {
        events(&self.runtime, &self.store)
    }

    fn dead_letters(&self) -> Vec<DeadLetter> {
        let rows = Rows::first(1000);
        let found = self.runtime.block_on(table::scan::<DeadLetter>(&self.store, rows)).unwrap();
        found.into_iter().map(|held| held.row).collect()
    }

    /// Waits until the sensor's health is as wanted. Health tells nobody that it changed, so it is
    /// looked at again and again.
    fn until(&self, what: &str, wanted: impl Fn(&Health) -> bool) -> Health {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let health = self.health();
            if wanted(&health) {
                return health;
            }
            assert!(Instant::now() < deadline, "never {what}: {health:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the store holds so many events.
    fn until_events(&self, count: usize) -> Vec<Event> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut changes = self.store.changes();
        loop {
            changes.mark_unchanged();
            let events = self.events();
            if events.len() >= count {
                return events;
            }
            let next = async { tokio::time::timeout_at(deadline, changes.changed()).await };
            let in_time = self.runtime.block_on(next).is_ok();
            assert!(in_time, "{} of {count} events: {:?}", events.len(), self.health());
        }
    }
}

/// Every event of the store, oldest first.
fn events(runtime: &Runtime, store: &Handle) -> Vec<Event> {
    let filter = Filter { limit: usize::MAX, ..Filter::default() };
    let kept = runtime.block_on(history::list(store, &filter)).unwrap();
    kept.into_iter().rev().map(|kept| kept.event).collect()
}

fn number(event: &Event) -> u64 {
    event.data["n"].as_u64().unwrap()
}

/// Produces `{"n": …}` for each number, spread over partitions in turn.
fn produce(broker: &Broker, topic: &str, partitions: i32, numbers: std::ops::Range<u64>) {
    let payloads: Vec<String> =
        numbers.clone().map(|n| json!({ "n": n, "pool": "gold" }).to_string()).collect();
    let records: Vec<Record<'_>> = numbers
        .zip(&payloads)
        .map(|(n, payload)| Record {
            partition: i32::try_from(n % u64::try_from(partitions).unwrap()).unwrap(),
            payload: Some(payload.as_bytes()),
            ..Record::default()
        })
        .collect();
    broker.produce(topic, &records);
}

/// How many of the numbers 0 to `count` are missing, and how many came more than once.
fn lost_and_twice(events: &[Event], count: u64) -> (usize, usize) {
    let mut seen: HashMap<u64, usize> = HashMap::new();
    for event in events {
        *seen.entry(number(event)).or_default() += 1;
    }
    let lost = (0..count).filter(|n| !seen.contains_key(n)).count();
    (lost, seen.values().filter(|times| **times > 1).count())
}

fn settings(broker: &Broker, topic: &str) -> Value {
    json!({
        "brokers": broker.address(),
        "topics": [topic],
        "group": format!("group-{topic}"),
        "start": "earliest",
        "settings": {
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 500,
            "topic.metadata.refresh.interval.ms": 1000,
            "reconnect.backoff.max.ms": 500,
        },
    })
}

#[expect(clippy::print_stderr, reason = "the figures are for whoever runs the tests")]
fn tell(figures: &str) {
    eprintln!("{figures}");
}

#[test]
fn records_become_events_in_their_order_and_the_store_keeps_the_place() {
    let broker = shared();
    let engine_store = store();
    let engine = Engine::start(&engine_store, settings(broker, "order"));
    engine.runtime.block_on(broker.create("order", 1));
    produce(broker, "order", 1, 0..500);
    let found = engine.until_events(500);
    assert_eq!(found.iter().map(number).collect::<Vec<_>>(), (0..500).collect::<Vec<_>>());
    let event = &found[0];
    assert_eq!((event.trigger.as_str(), &*event.source), ("kafka.message", "kafka:order"));
    let health = engine.until("without lag", |health| health.lag == Some(0));
    assert_eq!((health.state, health.events), (HealthState::Running, 500));
    engine.stop();
    produce(broker, "order", 1, 500..600);
    let engine = Engine::start(&engine_store, settings(broker, "order"));
    assert_eq!(lost_and_twice(&engine.until_events(600), 600), (0, 0));
    engine.stop();
}

/// T9 of the test plan at its size for every run.
#[test]
fn fifty_thousand_records_pass_crashes_and_rebalances_once_each() {
    const RECORDS: u64 = 50_000;
    const REBALANCES: usize = 20;
    let broker = shared();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(broker.create("t9", 8));
    let mut settings = settings(broker, "t9");
    settings["limits"] = json!({ "batch_records": 100 });
    let engine_store = store();
    let began = Instant::now();
    let mut engines = vec![Engine::start(&engine_store, settings.clone())];
    let (mut rebalances, mut crashes, mut sent) = (0, 0, 0);
    let mut chance = 0x2545_f491_4f6c_dd1d_u64;
    while rebalances < REBALANCES {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        let next = (sent + RECORDS / REBALANCES as u64).min(RECORDS);
        produce(broker, "t9", 8, sent..next);
        sent = next;
        std::thread::sleep(Duration::from_millis(chance % 700));
        // Members come and go; at least one is left, and every third goes without a word.
        if engines.len() < 2 || chance.is_multiple_of(5) && engines.len() < 3 {
            engines.push(Engine::start(&engine_store, settings.clone()));
        } else {
            let one = engines.remove(usize::try_from(chance >> 8).unwrap() % engines.len());
            if chance.is_multiple_of(3) {
                one.stop();
            } else {
                one.crash();
                crashes += 1;
            }
        }
        rebalances += 1;
    }
    produce(broker, "t9", 8, sent..RECORDS);
    let found = engines[0].until_events(usize::try_from(RECORDS).unwrap());
    let (lost, twice) = lost_and_twice(&found, RECORDS);
    tell(&format!(
        "T9 {RECORDS} records, 8 partitions, {rebalances} rebalances of which {crashes} crashes, \
         in {:.1} s: {lost} lost, {twice} twice",
        began.elapsed().as_secs_f64()
    ));
    assert_eq!((lost, twice), (0, 0));
    for engine in engines {
        engine.stop();
    }
}

#[test]
fn a_broker_that_is_killed_and_comes_back_loses_and_repeats_nothing() {
    let broker = Broker::start();
    if !broker.is_real("a broker that is killed and comes back") {
        return;
    }
    let engine = Engine::start(&store(), settings(&broker, "killed"));
    engine.runtime.block_on(broker.create("killed", 4));
    produce(&broker, "killed", 4, 0..5000);
    engine.until_events(100);
    broker.kill();
    let health = engine
        .until("waiting", |health| health.state == HealthState::Waiting && health.lag.is_none());
    assert!(
        health.reason.as_ref().is_some_and(|why| why.contains(&broker.address())),
        "{health:?}"
    );
    broker.launch();
    let back = Instant::now();
    produce(&broker, "killed", 4, 5000..8000);
    let (lost, twice) = lost_and_twice(&engine.until_events(8000), 8000);
    engine.until("running", |health| health.state == HealthState::Running);
    let recovered = back.elapsed();
    tell(&format!(
        "T9 broker killed by SIGKILL, 8000 records: {lost} lost, {twice} twice, working again in {:.1} s",
        recovered.as_secs_f64()
    ));
    assert_eq!((lost, twice), (0, 0));
    assert!(recovered < Duration::from_secs(30), "P26");
    engine.stop();
}

#[test]
fn a_member_without_partitions_says_that_it_is_idle() {
    let broker = shared();
    let engines = [(); 2].map(|()| Engine::start(&store(), settings(broker, "alone")));
    engines[0].runtime.block_on(broker.create("alone", 1));
    let idle = "idle: other members of group `group-alone` hold all partitions of `alone`";
    let limit = Instant::now() + PATIENCE;
    loop {
        let seen: Vec<_> = engines.iter().map(Engine::health).collect();
        let is_idle =
            |health: &&Health| health.reason.as_deref() == Some(idle) && health.lag.is_none();
        let reading = |health: &&Health| health.lag == Some(0) && health.reason.is_none();
        if seen.iter().filter(is_idle).count() == 1 && seen.iter().filter(reading).count() == 1 {
            break;
        }
        assert!(Instant::now() < limit, "{seen:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    for engine in engines {
        engine.stop();
    }
}

#[test]
fn a_broker_that_is_absent_at_start_is_waited_for() {
    let broker = Broker::absent();
    let engine = Engine::start(&store(), settings(&broker, "late"));
    let health = engine.until("waiting", |health| health.state == HealthState::Waiting);
    assert!(
        health.reason.as_ref().is_some_and(|why| why.contains(&broker.address())),
        "{health:?}"
    );
    if broker.launch() {
        engine.runtime.block_on(broker.create("late", 1));
        produce(&broker, "late", 1, 0..10);
        assert_eq!(lost_and_twice(&engine.until_events(10), 10), (0, 0));
        engine.until("running", |health| health.state == HealthState::Running);
    }
    engine.stop();
}

#[test]
fn a_cluster_that_loses_the_leader_of_a_partition_is_read_on() {
    let nodes = Broker::trio();
    nodes.iter().for_each(Broker::begin);
    if !nodes.iter().all(Broker::wait_ready) {
        return;
    }
    let engine = Engine::start(&store(), settings(&nodes[0], "trio"));
    engine.runtime.block_on(nodes[0].create("trio", 3));
    produce(&nodes[0], "trio", 3, 0..3000);
    engine.until_events(500);
    let leader = nodes[0].leader("trio");
    nodes[leader].kill();
    produce(&nodes[0], "trio", 3, 3000..6000);
    let (lost, twice) = lost_and_twice(&engine.until_events(6000), 6000);
    tell(&format!("T9 3 nodes, the leader killed, 6000 records: {lost} lost, {twice} twice"));
    assert_eq!((lost, twice), (0, 0));
    engine.until("running", |health| health.state == HealthState::Running);
    engine.stop();
}

#[test]
fn coordinators_that_move_and_requests_that_fail_lose_and_repeat_nothing() {
    use rdkafka::mocking::MockCoordinator;
    use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr as Code};
    let broker = Broker::mock(3);
    let runtime = Runtime::new().unwrap();
    runtime.block_on(broker.create("moves", 4));
    let engine = Engine::start(&store(), settings(&broker, "moves"));
    let mut sent = 0;
    for node in [1, 2, 3, 1, 2, 3] {
        produce(&broker, "moves", 4, sent..sent + 500);
        sent += 500;
        let mock = broker.mocking();
        let group = MockCoordinator::Group("group-moves".to_owned());
        mock.coordinator(group, node).unwrap();
        mock.partition_leader("moves", 0, Some(node)).unwrap();
        mock.request_errors(
            Api::Fetch,
            &[
                Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                Code::RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
                Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            ],
        );
        mock.request_errors(Api::Heartbeat, &[Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR]);
        mock.broker_down(node).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        mock.broker_up(node).unwrap();
    }
    let (lost, twice) = lost_and_twice(&engine.until_events(3000), 3000);
    tell(&format!(
        "T9 mock cluster, 6 moves of coordinator and leader, 24 failed requests, 6 outages, 3000 \
         records: {lost} lost, {twice} twice"
    ));
    assert_eq!((lost, twice), (0, 0));
    engine.until("running", |health| health.state == HealthState::Running);
    engine.stop();
}

#[test]
fn tls_and_passwords_are_passed_through_and_a_wrong_one_is_named() {
    let broker = Broker::guarded("open-sesame");
    if !broker.launch() {
        return;
    }
    let mut wanted = settings(&broker, "guarded");
    wanted["brokers"] = json!([broker.secure_address()]);
    for (key, value) in [
        ("security.protocol", "sasl_ssl"),
        ("ssl.ca.location", broker.authority().to_str().unwrap()),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "ifso"),
        ("sasl.password", "wrong"),
    ] {
        wanted["settings"][key] = value.into();
    }
    let engine = Engine::start(&store(), wanted.clone());
    let health = engine.until("waiting", |health| health.state == HealthState::Waiting);
    let reason = health.reason.unwrap();
    assert!(reason.contains("SASL authentication error"), "{reason}");
    assert!(!reason.contains("wrong"), "the password: {reason}");
    engine.stop();
    wanted["settings"]["sasl.password"] = "open-sesame".into();
    let engine = Engine::start(&store(), wanted);
    engine.runtime.block_on(broker.create("guarded", 1));
    produce(&broker, "guarded", 1, 0..10);
    assert_eq!(lost_and_twice(&engine.until_events(10), 10), (0, 0));
    engine.stop();
}

#[test]
fn the_newer_group_protocol_works_as_well() {
    let broker = shared();
    let mut wanted = settings(broker, "newer");
    wanted["settings"] = json!({ "group.protocol": "consumer" });
    let engine_store = store();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(broker.create("newer", 4));
    let engine = Engine::start(&engine_store, wanted.clone());
    produce(broker, "newer", 4, 0..1000);
    engine.until_events(200);
    let second = Engine::start(&engine_store, wanted);
    produce(broker, "newer", 4, 1000..2000);
    engine.stop();
    produce(broker, "newer", 4, 2000..3000);
    assert_eq!(lost_and_twice(&second.until_events(3000), 3000), (0, 0));
    second.stop();
}

#[test]
fn a_partition_that_is_added_later_is_read_from_its_beginning() {
    let broker = shared();
    if !broker.is_real("a partition that is added later") {
        return;
    }
    let mut wanted = settings(broker, "grows");
    wanted["start"] = "latest".into();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(broker.create("grows", 1));
    produce(broker, "grows", 1, 100..110);
    let engine_store = store();
    let engine = Engine::start(&engine_store, wanted.clone());
    engine.until("running", |health| health.lag == Some(0));
    engine.stop();
    runtime.block_on(broker.grow("grows", 2));
    produce(broker, "grows", 2, 0..10);
    let engine = Engine::start(&engine_store, wanted);
    assert_eq!(lost_and_twice(&engine.until_events(10), 10), (0, 0));
    engine.stop();
}

#[test]
fn a_topic_that_does_not_exist_yet_is_named_and_read_once_it_does() {
    let broker = shared();
    let engine = Engine::start(&store(), settings(broker, "not-yet"));
    if broker.is_real("a topic that does not exist yet") {
        engine.until("waiting for the topic", |health| {
            health.state == HealthState::Waiting
                && health.reason.as_ref().is_some_and(|why| why.contains("not-yet"))
        });
    }
    engine.runtime.block_on(broker.create("not-yet", 1));
    produce(broker, "not-yet", 1, 0..10);
    assert_eq!(lost_and_twice(&engine.until_events(10), 10), (0, 0));
    let health = engine.until("running", |health| health.state == HealthState::Running);
    assert_eq!(health.reason, None);
    engine.stop();
}

#[test]
fn what_cannot_be_read_is_a_dead_letter_and_reading_goes_on() {
    let broker = shared();
    let mut settings = settings(broker, "poison");
    settings["dead_letter_topic"] = "poison-dead".into();
    settings["limits"] = json!({ "record_bytes": 100_000 });
    let engine = Engine::start(&store(), settings);
    engine.runtime.block_on(broker.create("poison", 1));
    engine.runtime.block_on(broker.create("poison-dead", 1));
    let huge = vec![b'7'; 100_001];
    let deep = "[".repeat(50_000);
    let bad: [&[u8]; 5] = [b"\xff\xfe", b"{\"n\":", deep.as_bytes(), &huge, b""];
    let good = [br#"{"n": 0}"#.as_slice(), br#"{"n": 1}"#];
    let mut records = vec![good[0], bad[0], bad[1], bad[2], bad[3], bad[4], good[1]]
        .into_iter()
        .map(|payload| Record { payload: Some(payload), key: Some(b"k"), ..Record::default() })
        .collect::<Vec<_>>();
    // A tombstone means nothing here; a compressed record that is far larger than its wire size, much.
    records.insert(1, Record { key: Some(b"gone"), ..Record::default() });
    broker.produce("poison", &records);
    assert_eq!(lost_and_twice(&engine.until_events(2), 2), (0, 0));
    let letters = engine.dead_letters();
    assert_eq!(letters.len(), bad.len(), "{letters:?}");
    let health = engine.until("counted", |health| health.bad_inputs == bad.len() as u64);
    assert_eq!((health.state, health.tombstones), (HealthState::Running, 1));
    assert_eq!(letters[0].from, "poison/0@2");
    assert!(letters[0].reason.contains("not the JSON"), "{letters:?}");
    assert!(letters[3].reason.contains("`limits.record_bytes`"), "{:?}", letters[3].reason);
    assert_eq!(letters[3].content.len(), 64 << 10);
    let dead = broker.consume("poison-dead");
    assert_eq!(dead.len(), bad.len());
    assert_eq!((dead[1].payload(), dead[1].key()), (Some(bad[1]), Some(b"k".as_slice())));
    tell("T9 8 records, 5 of them poison: 5 dead letters, 0 lost, 0 twice");
    engine.stop();
}

#[test]
fn an_event_that_does_not_fit_its_trigger_is_a_dead_letter_of_this_sensor() {
    let broker = shared();
    let reference: Reference = "kafka.message".parse().unwrap();
    let trigger = Trigger {
        reference: reference.clone(),
        description: String::new(),
        payload_schema: Arc::new(json!({ "properties": { "n": { "type": "integer" } } })),
        parameters_schema: Arc::default(),
        tags: Vec::new(),
    };
    let triggers = BTreeMap::from([(reference, Arc::new(trigger))]);
    let engine = Engine::with(&store(), settings(broker, "misfit"), triggers);
    engine.runtime.block_on(broker.create("misfit", 1));
    let records = [r#"{"n": "zero"}"#, r#"{"n": 0}"#]
        .map(|text| Record { payload: Some(text.as_bytes()), ..Record::default() });
    broker.produce("misfit", &records);
    assert_eq!(lost_and_twice(&engine.until_events(1), 1), (0, 0));
    let letters = engine.dead_letters();
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0].sensor, "site.estate");
    assert!(letters[0].reason.contains("`/n` does not fit"), "{letters:?}");
    engine.until("counted", |health| health.bad_inputs == 1);
    engine.stop();
}

#[test]
fn a_compressed_bomb_is_a_dead_letter() {
    let broker = shared();
    let engine = Engine::start(&store(), settings(broker, "bomb"));
    engine.runtime.block_on(broker.create("bomb", 1));
    let bomb = vec![b' '; 7_000_000];
    broker.produce_compressed("bomb", &bomb);
    broker.produce("bomb", &[Record { payload: Some(br#"{"n": 0}"#), ..Record::default() }]);
    assert_eq!(lost_and_twice(&engine.until_events(1), 1), (0, 0));
    let letters = engine.dead_letters();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].reason.contains("7000000 bytes"), "{letters:?}");
    engine.stop();
}

#[test]
fn a_topic_that_was_made_anew_stops_the_sensor_until_told_what_to_do() {
    let broker = shared();
    if !broker.is_real("a topic that was made anew") {
        return;
    }
    let engine_store = store();
    let mut wanted = settings(broker, "anew");
    let engine = Engine::start(&engine_store, wanted.clone());
    engine.runtime.block_on(broker.create("anew", 1));
    produce(broker, "anew", 1, 0..20);
    engine.until_events(20);
    engine.runtime.block_on(broker.delete("anew"));
    engine.runtime.block_on(broker.create("anew", 1));
    // More records than before: by offsets alone the first twenty would pass for old ones.
    produce(broker, "anew", 1, 20..60);
    let health = engine.until("stopped", |health| health.state == HealthState::Stopped);
    let reason = health.reason.unwrap();
    assert!(reason.contains("`anew/0`") && reason.contains("made anew"), "{reason}");
    assert!(reason.contains("`on_reset: earliest`"), "{reason}");
    engine.stop();
    wanted["on_reset"] = "earliest".into();
    let engine = Engine::start(&engine_store, wanted.clone());
    let (lost, twice) = lost_and_twice(&engine.until_events(60), 60);
    tell(&format!("T9 topic deleted and made anew, 60 records: {lost} lost, {twice} twice"));
    assert_eq!((lost, twice), (0, 0));
    engine.crash();
    let engine = Engine::start(&engine_store, wanted);
    produce(broker, "anew", 1, 60..70);
    assert_eq!(lost_and_twice(&engine.until_events(70), 70), (0, 0));
    engine.stop();
}

#[test]
fn records_that_were_removed_unread_stop_the_sensor_until_told_what_to_do() {
    let broker = shared();
    if !broker.is_real("records removed unread") {
        return;
    }
    let engine_store = store();
    let mut wanted = settings(broker, "removed");
    let engine = Engine::start(&engine_store, wanted.clone());
    engine.runtime.block_on(broker.create("removed", 1));
    produce(broker, "removed", 1, 0..10);
    engine.until_events(10);
    engine.stop();
    produce(broker, "removed", 1, 10..30);
    let runtime = Runtime::new().unwrap();
    runtime.block_on(broker.truncate("removed", 0, 20));
    let engine = Engine::start(&engine_store, wanted.clone());
    let health = engine.until("stopped", |health| health.state == HealthState::Stopped);
    let reason = health.reason.unwrap();
    assert!(reason.contains("records 10 to 19 were removed"), "{reason}");
    engine.stop();
    wanted["on_reset"] = "earliest".into();
    let engine = Engine::start(&engine_store, wanted);
    let numbers: Vec<u64> = engine.until_events(20).iter().map(number).collect();
    assert_eq!(numbers, (0..10).chain(20..30).collect::<Vec<_>>());
    engine.stop();
}

#[test]
fn each_topic_has_its_decoder_and_a_new_sensor_starts_where_it_is_told() {
    let broker = shared();
    let runtime = Runtime::new().unwrap();
    for topic in ["d-metrics", "d-delfin", "d-cloud"] {
        runtime.block_on(broker.create(topic, 1));
    }
    let metric = br#"{"name":"iops","job":"lvm","component":"volume","metricValues":[
        {"timestamp":1561465759,"value":1},{"timestamp":1561465760,"value":2}]}"#;
    let delfin = br#"[["iops",{"storage_id":"s1","unit":"IOPS"},{"1600998817585":3}]]"#;
    let send = |topic, payload, headers| {
        broker.produce(topic, &[Record { payload: Some(payload), headers, ..Record::default() }]);
    };
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    send("d-metrics", metric.as_slice(), vec![("traceparent", parent.as_bytes())]);
    send("d-delfin", delfin.as_slice(), Vec::new());
    let headers: Vec<(&str, &[u8])> = vec![
        ("ce_specversion", b"1.0"),
        ("ce_id", b"1"),
        ("ce_source", b"/shop"),
        ("ce_type", b"shop.order"),
        ("content-type", b"application/json"),
    ];
    send("d-cloud", br#"{"n": 4}"#, headers.clone());
    let engine_store = store();
    let mut wanted = settings(broker, "");
    wanted["topics"] = json!([]);
    wanted["pattern"] = "^d-".into();
    wanted["decode"] =
        json!({ "d-metrics": "metricspec", "d-delfin": "delfin", "*": { "as": "cloudevents" } });
    let engine = Engine::start(&engine_store, wanted.clone());
    let events = engine.until_events(4);
    // The trace that a record is part of, whatever decodes it; what is in none stays so.
    let traced = events.iter().filter(|event| event.trace.as_deref() == Some(parent));
    assert_eq!(traced.filter(|event| event.source.ends_with("d-metrics")).count(), 2, "{events:?}");
    assert_eq!(events.iter().filter(|event| event.trace.is_none()).count(), 2, "{events:?}");
    let mut triggers: Vec<String> = events.iter().map(|event| event.trigger.to_string()).collect();
    triggers.sort();
    assert_eq!(triggers, ["shop.order", "storage.metric", "storage.metric", "storage.metric"]);
    // The same CloudEvent again is no second event; another one is.
    send("d-cloud", br#"{"n": 4}"#, headers.clone());
    let mut other = headers;
    other[1].1 = b"2";
    send("d-cloud", br#"{"n": 5}"#, other);
    assert_eq!(engine.until_events(5).len(), 5);
    engine.stop();
    let mut latest = wanted;
    latest["start"] = "latest".into();
    let engine = Engine::start(&store(), latest);
    engine.until("running", |health| health.lag == Some(0) && health.state == HealthState::Running);
    send("d-delfin", delfin.as_slice(), Vec::new());
    assert_eq!(engine.until_events(1).len(), 1);
    engine.stop();
}

#[test]
fn mistakes_in_a_file_are_named_with_the_next_step() {
    let mistake = |change: Value| {
        let mut settings = json!({ "brokers": ["127.0.0.1:1"], "topics": ["a"] });
        for (key, value) in change.as_object().unwrap() {
            settings[key] = value.clone();
        }
        supervisor::check(&definition(settings)).iter().map(ToString::to_string).collect::<String>()
    };
    assert_eq!(mistake(json!({})), "");
    for (change, said) in [
        (json!({ "topics": [] }), "no topics are named"),
        (json!({ "pattern": "x" }), "`topics` and `pattern` exclude each other"),
        (json!({ "topics": [], "pattern": "(" }), "`pattern`: regex parse error"),
        (json!({ "brokers": [] }), "`brokers` is empty"),
        (json!({ "start": "yesterday" }), "`yesterday` is no start"),
        (json!({ "on_reset": "ignore" }), "unknown variant `ignore`"),
        (json!({ "decode": { "b": "json" } }), "`b` is not among `topics`"),
        (json!({ "decode": { "a": "xml" } }), "unknown variant `xml`"),
        (json!({ "decode": { "a": { "as": "delfin", "wrap": true } } }), "`as: json` only"),
        (json!({ "dead_letter_topic": "a" }), "read by this sensor itself"),
        (json!({ "settings": { "group.id": "g" } }), "use `group`"),
        (json!({ "settings": { "sasl.mecanism": "PLAIN" } }), "sasl.mecanism"),
        (json!({ "settings": { "fetch.min.bytes": "many" } }), "fetch.min.bytes"),
        (json!({ "limits": { "batch_records": 0 } }), "lets nothing through"),
        (json!({ "topcs": ["a"] }), "topcs"),
    ] {
        let found = mistake(change.clone());
        assert!(found.contains(said), "{change}: {found:?}");
    }
}
