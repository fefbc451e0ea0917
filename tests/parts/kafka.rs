//! A real Apache Kafka broker, by `deploy/kafka/broker`. Where Java, Maven or Maven Central cannot be
//! had, librdkafka's mock cluster stands in and says so loudly: it knows neither restarts nor topics
//! that are deleted, so the tests of those do nothing then, and say so too.

use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use tempfile::TempDir;

/// How long a broker may take to start; the first time it is fetched as well.
const START: Duration = Duration::from_mins(5);
/// How long the broker may take to answer a question.
const ANSWER: Duration = Duration::from_secs(20);
/// `deploy/kafka/broker` exits with this where something it needs cannot be had.
const UNAVAILABLE: i32 = 69;

/// The broker that all tests of this process share. It ends with the process, by its parent's death.
pub fn shared() -> &'static Broker {
    static SHARED: OnceLock<Broker> = OnceLock::new();
    SHARED.get_or_init(Broker::start)
}

/// A broker.
pub struct Broker {
    port: u16,
    controller: u16,
    /// A second listener, with TLS and passwords, where there is one.
    secure: u16,
    folder: TempDir,
    /// Where clients begin; itself, or all nodes of its cluster.
    bootstrap: String,
    replicas: i32,
    running: Mutex<Option<Process>>,
    /// A client that plays the broker.
    mock: Option<BaseProducer>,
}

/// A record to produce.
#[derive(Debug, Clone, Default)]
pub struct Record<'a> {
    pub partition: i32,
    pub key: Option<&'a [u8]>,
    pub payload: Option<&'a [u8]>,
    pub headers: Vec<(&'a str, &'a [u8])>,
}

impl Broker {
    /// A broker of its own, ready.
    pub fn start() -> Self {
        let broker = Self::absent();
        if broker.launch() {
            return broker;
        }
        shout("Kafka cannot be started here: tests run on librdkafka's MOCK cluster");
        Self::mock(1)
    }

    /// librdkafka's mock cluster, which can be told to fail.
    pub fn mock(brokers: i32) -> Self {
        let mut host = ClientConfig::new();
        host.set("test.mock.num.brokers", brokers.to_string());
        let host: BaseProducer = host.create().unwrap();
        let bootstrap = host.client().mock_cluster().unwrap().bootstrap_servers();
        Self { mock: Some(host), bootstrap, ..Self::absent() }
    }

    /// What a mock cluster can be told.
    pub fn mocking(&self) -> MockCluster<'_, DefaultProducerContext> {
        self.mock.as_ref().unwrap().client().mock_cluster().unwrap()
    }

    /// Three brokers that keep every record three times. Not started yet.
    pub fn trio() -> [Self; 3] {
        let mut nodes = [Self::absent(), Self::absent(), Self::absent()];
        let join = |text: &dyn Fn(usize, &Self) -> String| {
            nodes
                .iter()
                .enumerate()
                .map(|(at, one)| text(at + 1, one))
                .collect::<Vec<_>>()
                .join(",")
        };
        let bootstrap = join(&|_, one| one.bootstrap.clone());
        let voters = join(&|id, one| format!("{id}@127.0.0.1:{}", one.controller));
        for (at, node) in nodes.iter_mut().enumerate() {
            node.bootstrap.clone_from(&bootstrap);
            node.replicas = 3;
            node.extra(&format!(
                "node.id={}\ncontroller.quorum.voters={voters}\nmin.insync.replicas=2\n\
                 offsets.topic.replication.factor=3\n",
                at + 1
            ));
        }
        nodes
    }

    /// Which node of the cluster leads a partition, from 0.
    pub fn leader(&self, topic: &str) -> usize {
        let asker: BaseConsumer = self.config().create().unwrap();
        let told = asker.fetch_metadata(Some(topic), ANSWER).unwrap();
        usize::try_from(told.topics()[0].partitions()[0].leader() - 1).unwrap()
    }

    /// A broker with a second listener that wants TLS and the password of `ifso`. Not started yet.
    pub fn guarded(password: &str) -> Self {
        let broker = Self::absent();
        let (port, controller, secure) = (broker.port, broker.controller, broker.secure);
        let store = broker.folder.path().join("keys.p12");
        let keytool = |arguments: &[&str]| {
            let mut command = Command::new("keytool");
            command.args(arguments).args(["-storepass", "changeit", "-alias", "broker"]);
            let done = command.arg("-keystore").arg(&store).output();
            done.is_ok_and(|done| done.status.success())
        };
        let name = ["-dname", "CN=127.0.0.1", "-ext", "SAN=IP:127.0.0.1", "-keyalg", "RSA"];
        let made = keytool(&[&["-genkeypair", "-storetype", "PKCS12"], &name[..]].concat());
        let file = broker.authority();
        assert!(!made || keytool(&["-exportcert", "-rfc", "-file", file.to_str().unwrap()]));
        broker.extra(&format!(
            "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},\
             SECURE://127.0.0.1:{secure}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port},SECURE://127.0.0.1:{secure}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL\n\
             listener.name.secure.sasl.enabled.mechanisms=PLAIN\n\
             listener.name.secure.plain.sasl.jaas.config=\
             org.apache.kafka.common.security.plain.PlainLoginModule required user_ifso=\"{password}\";\n\
             ssl.keystore.type=PKCS12\nssl.keystore.location={}\n\
             ssl.keystore.password=changeit\nssl.key.password=changeit\n",
            store.display()
        ));
        broker
    }

    /// The address of the listener that wants TLS and a password.
    pub fn secure_address(&self) -> String {
        format!("127.0.0.1:{}", self.secure)
    }

    /// The certificate by which that listener is known.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    fn extra(&self, properties: &str) {
        std::fs::write(self.folder.path().join("extra"), properties).unwrap();
    }

    /// A broker of which only the address is known.
    pub fn absent() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [port, controller, secure] = free_ports();
        let broker = Self {
            port,
            controller,
            secure,
            folder,
            bootstrap: format!("127.0.0.1:{port}"),
            replicas: 1,
            running: Mutex::new(None),
            mock: None,
        };
        broker.extra("");
        broker
    }

    /// Whether it is a real one. Where it is not, the test that asks is left out, loudly.
    pub fn is_real(&self, test: &str) -> bool {
        if self.mock.is_some() {
            shout(&format!("LEFT OUT, since there is no real Kafka: {test}"));
        }
        self.mock.is_none()
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        self.bootstrap.clone()
    }

    /// Starts it, on what it has kept. Says whether a real broker could be had.
    pub fn launch(&self) -> bool {
        self.begin();
        self.wait_ready()
    }

    /// Starts it without waiting for it.
    pub fn begin(&self) {
        let process = Process::start(self.folder.path(), self.port, self.controller);
        *self.running.lock().unwrap() = Some(process);
    }

    /// Ends it by SIGKILL.
    pub fn kill(&self) {
        drop(self.running.lock().unwrap().take());
    }

    /// Waits until it answers. Says whether a real broker could be had.
    pub fn wait_ready(&self) -> bool {
        let held = self.running.lock().unwrap();
        let process = held.as_ref().unwrap();
        let deadline = Instant::now() + START;
        let asker: BaseConsumer = self.config().create().unwrap();
        while asker.fetch_metadata(None, Duration::from_millis(500)).is_err() {
            match process.exited() {
                Some(UNAVAILABLE) => {
                    shout("Kafka cannot be started here; a test of it is LEFT OUT or on the mock");
                    return false;
                }
                Some(status) => panic!("the broker ended with {status}: {}", process.log()),
                None => assert!(Instant::now() < deadline, "no broker: {}", process.log()),
            }
        }
        true
    }

    /// A client's configuration.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address()).set("reconnect.backoff.max.ms", "200");
        config.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().unwrap()
    }

    /// Makes a topic.
    pub async fn create(&self, topic: &str, partitions: i32) {
        if self.mock.is_some() {
            return self.mocking().create_topic(topic, partitions, 1).unwrap();
        }
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(self.replicas));
        // A topic of that name may be on its way out.
        let deadline = Instant::now() + ANSWER;
        loop {
            let made = self.admin().create_topics([&new], &options()).await.unwrap();
            match &made[0] {
                Ok(_) => return,
                Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
            }
        }
    }

    /// Gives a topic more partitions.
    pub async fn grow(&self, topic: &str, partitions: usize) {
        let new = NewPartitions::new(topic, partitions);
        let grown = self.admin().create_partitions(&[new], &options()).await.unwrap();
        assert!(grown[0].is_ok(), "{grown:?}");
    }

    /// Deletes a topic.
    pub async fn delete(&self, topic: &str) {
        let deleted = self.admin().delete_topics(&[topic], &options()).await.unwrap();
        assert!(deleted[0].is_ok(), "{deleted:?}");
    }

    /// Removes every record of a partition before `offset`, as retention does.
    pub async fn truncate(&self, topic: &str, partition: i32, offset: i64) {
        let mut list = rdkafka::TopicPartitionList::new();
        let offset = rdkafka::Offset::Offset(offset);
        list.add_partition_offset(topic, partition, offset).unwrap();
        self.admin().delete_records(&list, &options()).await.unwrap();
    }

    /// Produces records in their order and waits until the broker has all of them.
    pub fn produce(&self, topic: &str, records: &[Record<'_>]) {
        let mut config = self.config();
        config.set("enable.idempotence", "true").set("linger.ms", "5");
        config.set("queue.buffering.max.messages", "1000000");
        config.set("message.max.bytes", "8000000");
        let producer: BaseProducer = config.create().unwrap();
        for record in records {
            let mut headers = OwnedHeaders::new();
            for (key, value) in &record.headers {
                headers = headers.insert(Header { key, value: Some(*value) });
            }
            let mut new = BaseRecord::<[u8], [u8]>::to(topic).partition(record.partition);
            new.key = record.key;
            new.payload = record.payload;
            if !record.headers.is_empty() {
                new = new.headers(headers);
            }
            producer.send(new).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(START).unwrap();
        assert_eq!(producer.in_flight_count(), 0);
    }

    /// Produces one record that is far smaller on its way than it is.
    pub fn produce_compressed(&self, topic: &str, payload: &[u8]) {
        let mut config = self.config();
        config.set("compression.type", "gzip").set("message.max.bytes", "8000000");
        let producer: BaseProducer = config.create().unwrap();
        let record = BaseRecord::<[u8], [u8]>::to(topic).payload(payload).partition(0);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(ANSWER).unwrap();
    }

    /// Every record of a topic's first partition: key, payload, headers.
    pub fn consume(&self, topic: &str) -> Vec<rdkafka::message::OwnedMessage> {
        let mut config = self.config();
        config.set("group.id", "reader").set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().unwrap();
        let (low, high) = consumer.fetch_watermarks(topic, 0, ANSWER).unwrap();
        let mut list = rdkafka::TopicPartitionList::new();
        list.add_partition_offset(topic, 0, rdkafka::Offset::Beginning).unwrap();
        consumer.assign(&list).unwrap();
        let count = usize::try_from(high - low).unwrap();
        let record = || consumer.poll(ANSWER).expect("a record in time").unwrap().detach();
        (0..count).map(|_| record()).collect()
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(ANSWER))
}

/// Ports that nobody listens on; all are held while they are chosen, so that they differ.
fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let held: [TcpListener; COUNT] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

#[expect(clippy::print_stderr, reason = "whoever runs the tests has to know")]
fn shout(what: &str) {
    eprintln!("\n!!! {what}\n");
}

/// The broker's process. It dies with the thread that started it, so that thread waits for its end;
/// and so a test run that is killed leaves no broker behind.
struct Process {
    stop: Option<Sender<()>>,
    keeper: Option<JoinHandle<()>>,
    exits: Mutex<Receiver<i32>>,
    log: PathBuf,
}

impl Process {
    fn start(folder: &Path, port: u16, controller: u16) -> Self {
        let (stop, stopped) = channel::<()>();
        let (exit, exits) = channel();
        let log = folder.join("broker.log");
        let child = {
            let (folder, log) = (folder.to_owned(), log.clone());
            move || -> Child {
                let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kafka/broker");
                let log = std::fs::File::create(log).unwrap();
                Command::new("setpriv")
                    .args(["--pdeathsig", "KILL", "--"])
                    .arg(script)
                    .arg(folder.join("kept"))
                    .args([port.to_string(), controller.to_string()])
                    .env("IFSO_KAFKA_EXTRA", folder.join("extra"))
                    .env("IFSO_KAFKA_CLUSTER", "IfsoTestsIfsoTestsIfsA")
                    .stdin(Stdio::null())
                    .stdout(log.try_clone().unwrap())
                    .stderr(log)
                    .spawn()
                    .unwrap()
            }
        };
        let keeper = std::thread::spawn(move || {
            let mut child = child();
            loop {
                if let Some(status) = child.try_wait().unwrap() {
                    exit.send(status.code().unwrap_or(-1)).unwrap_or_default();
                    return;
                }
                match stopped.recv_timeout(Duration::from_millis(50)) {
                    Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                    _ => break,
                }
            }
            child.kill().unwrap();
            child.wait().unwrap();
        });
        Self { stop: Some(stop), keeper: Some(keeper), exits: Mutex::new(exits), log }
    }

    fn exited(&self) -> Option<i32> {
        self.exits.lock().unwrap().try_recv().ok()
    }

    fn log(&self) -> String {
        let mut text = String::new();
        std::fs::File::open(&self.log).unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.keeper.take().unwrap().join().unwrap();
    }
}
