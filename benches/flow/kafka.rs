//! From a record in Kafka to its decision on disk: a real broker, a sensor, 1, 100 and 1,000 rules.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::ROUNDS;
use crate::broker::{self, Record};
use crate::figure::{count, median, row};
use crate::program::Program;

const TOPIC: &str = "bench";
const PARTITIONS: i32 = 4;
const RECORDS: usize = 200_000;
/// Records are spread over so many pools; a rule is for one of them, so that 1 in 100 matches.
const POOLS: usize = 100;

/// Each row: rules, and the records that are waited for.
const ROWS: [(usize, usize); 3] = [(1, RECORDS), (100, RECORDS), (1_000, RECORDS / 10)];

/// Produces the records once, then has every number of rules decide about them.
pub(crate) fn records() {
    let broker = broker::shared();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(broker.create(TOPIC, PARTITIONS));
    let payloads: Vec<String> = (0..RECORDS).map(payload).collect();
    let records: Vec<Record<'_>> = payloads
        .iter()
        .zip((0..PARTITIONS).cycle())
        .map(|(payload, partition)| Record {
            partition,
            payload: Some(payload.as_bytes()),
            ..Record::default()
        })
        .collect();
    broker.produce(TOPIC, &records);
    let own = format!("librdkafka alone reads {:.0}/s", bare(broker));
    for (rules, wanted) in ROWS {
        let mut rates: Vec<f64> = (0..ROUNDS).map(|_| rate(broker, rules, wanted)).collect();
        let what = format!("Kafka record → decided and committed, {rules} rules, 1 % match");
        row(&what, &format!("{:.0}/s", median(&mut rates)), &own);
    }
}

/// A pool's metric, about 600 bytes.
fn payload(number: usize) -> String {
    let pool = number % POOLS;
    format!(
        "{{\"id\":\"m-{number:012}\",\"source\":\"prober/ds8900-07\",\"ts\":1763632800,\
         \"severity\":\"minor\",\"tenant\":\"tenant-3\",\"pool\":\"pool-{pool}\",\
         \"array\":\"array-017\",\"site\":\"site-2\",\"tier\":\"gold\",\"used_pct\":91.5,\
         \"free_gb\":870,\"total_gb\":10240,\"iops\":120000,\"latency_ms\":4.25,\"thin\":true,\
         \"tags\":[\"prod\",\"db\",\"critical\"],\"labels\":{{\"rack\":\"r12\",\"owner\":\"team-4\",\
         \"env\":\"prod\",\"cost\":\"c-1001\"}},\"metrics\":{{\"read_mbps\":812.5,\
         \"write_mbps\":340.25,\"queue\":12}},\"message\":\"Pool utilisation crossed the configured \
         warning threshold; see the runbook of the array for what to do\"}}"
    )
}

/// Records a second that a bare consumer reads.
fn bare(broker: &broker::Broker) -> f64 {
    let mut rates = [0.0; ROUNDS];
    for rate in &mut rates {
        let mut config = broker.config();
        config.set("group.id", "bare").set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let patience = Duration::from_secs(20);
        consumer.poll(patience).expect("a first record").unwrap();
        let begun = Instant::now();
        for _ in 1..RECORDS {
            consumer.poll(patience).expect("a record").unwrap();
        }
        *rate = count(RECORDS) / begun.elapsed().as_secs_f64();
    }
    median(&mut rates)
}

/// Records a second from the first that is on disk to the last that is wanted.
fn rate(broker: &broker::Broker, rules: usize, wanted: usize) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new(folder.path());
    for file in 0..rules.div_ceil(POOLS) {
        let mut text = String::new();
        for number in file * POOLS..rules.min((file + 1) * POOLS) {
            let pool = number % POOLS;
            writeln!(
                text,
                "rule(\"r-{number}\", #{{ on: \"bench.metric\", \
                 when: |e| e.pool == \"pool-{pool}\" && e.used_pct > 85, then: |e| log(e.pool) }});"
            )
            .unwrap();
        }
        fs::write(program.home.join(format!("rules/kafka-{file}.rhai")), text).unwrap();
    }
    fs::create_dir_all(program.home.join("sensors")).unwrap();
    let sensor = format!(
        "kind: kafka\nbrokers: [\"{}\"]\ntopics: [{TOPIC}]\nstart: earliest\n\
         decode:\n  {TOPIC}: {{as: json, trigger: bench.metric}}\n",
        broker.address()
    );
    fs::write(program.home.join("sensors/bench.yaml"), sensor).unwrap();
    let running = program.start();
    let mut connection = running.connect();
    let mut taken = |least: usize| {
        let patience = Instant::now() + Duration::from_mins(3);
        loop {
            let now = connection.metric("ifso_events_taken_total{outcome=\"accepted\"}");
            if now >= count(least) {
                return (now, Instant::now());
            }
            assert!(Instant::now() < patience, "{least} records were not taken in");
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    let (first, begun) = taken(1);
    let (last, ended) = taken(wanted);
    running.stop();
    (last - first) / (ended - begun).as_secs_f64()
}
