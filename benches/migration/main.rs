//! How fast objects migrate, beside rclone on the same servers, and whether a migration of 100,000 small
//! and 20 large objects is whole after 20 `kill -9` and 20 pauses. Prints the rows of
//! `benches/README.md`; `cargo bench --bench migration -- compare` measures only that part, and
//! `-- full 1000 2` takes so many small and large objects.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[path = "../flow/figure.rs"]
mod figure;
mod parts;

/// What `parts` asks of the tests.
mod sensors {
    pub(crate) fn client() -> reqwest::Client {
        reqwest::Client::builder().no_proxy().build().unwrap()
    }
}

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use figure::{count, median, row};
use parts::s3::{ACCESS_KEY, Files, SECRET_KEY};

/// Rounds of which the median counts.
const ROUNDS: usize = 5;
/// Copies at once, for both programs.
const CONCURRENCY: usize = 16;
/// Bytes of a small object, about.
const SMALL: usize = 2000;
/// Bytes of a large one.
const LARGE: usize = 40 << 20;

fn main() {
    // Cargo adds `--bench`; whatever else is given names the parts and counts that are wanted.
    let given: Vec<String> = std::env::args().skip(1).filter(|name| name != "--bench").collect();
    let wanted = |part: &str| {
        let named = given.iter().any(|word| word.parse::<usize>().is_err());
        !named || given.iter().any(|word| word == part)
    };
    let counts: Vec<usize> = given.iter().filter_map(|word| word.parse().ok()).collect();
    let counts = |small, large| match counts[..] {
        [small, large] => (small, large),
        _ => (small, large),
    };
    println!("| what | result | rclone, in the same run |");
    println!("|---|---|---|");
    if wanted("compare") {
        compare("small objects", counts(10_000, 0));
        compare("large objects", (0, 10));
    }
    if wanted("full") {
        full(counts(100_000, 20));
    }
}

/// Both ends, the first with objects.
struct Ends {
    old: Files,
    new: Files,
    objects: usize,
    bytes: usize,
}

impl Ends {
    fn new((small, large): (usize, usize)) -> Self {
        let (old, new) = (Files::start(&["old"]), Files::start(&["new"]));
        let made = tempfile::tempdir().unwrap();
        let mut bytes = 0;
        let mut put = |key: String, size: usize, seed: usize| {
            let path = made.path().join(key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut state = seed as u64 + 1;
            let mut content = Vec::with_capacity(size + 8);
            while content.len() < size {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                content.extend(state.to_be_bytes());
            }
            content.truncate(size);
            bytes += size;
            fs::write(path, content).unwrap();
        };
        for number in 0..small {
            put(format!("small/{}/{number}", number / 1000), number % (2 * SMALL), number);
        }
        for number in 0..large {
            put(format!("large/{number}"), LARGE + number, small + number);
        }
        let ends = Self { old, new, objects: small + large, bytes };
        // Sent, not laid there: an object that the server never saw has no ETag, and the server would read
        // all of it for each answer.
        rclone(&ends, made.path().to_str().unwrap(), "old:old");
        ends
    }

    /// Makes the target empty again.
    fn clear(&self) {
        let bucket = self.new.bucket("new");
        fs::remove_dir_all(&bucket).unwrap();
        fs::create_dir(bucket).unwrap();
    }

    /// Compares both byte by byte.
    fn same(&self) {
        let buckets = [self.old.bucket("old"), self.new.bucket("new")];
        let output = Command::new("diff").arg("-rq").args(buckets).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}", said.lines().take(5).collect::<Vec<_>>().join("\n"));
    }

    /// A row of both programs' figures, from seconds.
    fn tell(&self, what: &str, ours: &mut [f64], theirs: &mut [f64]) {
        let megabytes = count(self.bytes / 1000) / 1000.0;
        let speed = |seconds: f64| {
            format!("{:.0}/s, {:.1} MB/s", count(self.objects) / seconds, megabytes / seconds)
        };
        row(what, &speed(median(ours)), &speed(median(theirs)));
    }
}

/// A served home with pack objects.
struct Served {
    home: tempfile::TempDir,
    running: Option<(Child, String)>,
}

impl Served {
    fn new(ends: &Ends) -> Self {
        let home = tempfile::tempdir().unwrap();
        for folder in ["packs", "configs"] {
            fs::create_dir(home.path().join(folder)).unwrap();
        }
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("packs/objects");
        let copied = Command::new("cp").arg("-r").arg(pack).arg(home.path().join("packs")).status();
        assert!(copied.unwrap().success());
        let store = |files: &Files| json!({ "kind": "s3", "endpoint": files.endpoint, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY });
        let config = json!({ "stores": { "old": store(&ends.old), "new": store(&ends.new) } });
        fs::write(home.path().join("configs/objects.yaml"), config.to_string()).unwrap();
        let mut served = Self { home, running: None };
        served.start();
        served
    }

    fn start(&mut self) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ifso"))
            .args(["serve", "--listen", "127.0.0.1:0", "--home"])
            .arg(self.home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("ready ").unwrap().to_owned();
        self.running = Some((child, url));
    }

    fn kill(&mut self) {
        let (mut child, _) = self.running.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// What a command prints as JSON.
    fn ifso(&self, arguments: &[&str]) -> Value {
        let said = self.does(&[arguments, &["--json"]].concat());
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{arguments:?}: {said}"))
    }

    /// What a command prints, which has to succeed.
    fn does(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_ifso"))
            .args(arguments)
            .env("IFSO_URL", &self.running.as_ref().unwrap().1)
            .env("IFSO_HOME", self.home.path())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Begins a migration with these parameters; gives its id.
    fn begin(&self, name: &str, more: &[&str]) -> String {
        let begun = self.carry_out(name, &[more, &["--async"]].concat());
        begun["id"].as_str().unwrap().to_owned()
    }

    /// Carries out a migration with these parameters.
    fn carry_out(&self, name: &str, more: &[&str]) -> Value {
        let name = format!("name={name}");
        let order = ["run", "objects.migrate", "from=old:old", "to=new:new", &name];
        self.ifso(&[&order[..], more].concat())
    }

    /// Where an execution stands, and how far it is.
    fn stands(&self, id: &str) -> (String, f64) {
        let row = self.ifso(&["execution", "show", id]);
        let part = row["progress"]["progress"].as_f64().unwrap_or_default();
        (row["status"].as_str().unwrap().to_owned(), part)
    }

    /// Waits until `there` says that it is so.
    fn until(&self, id: &str, there: impl Fn(&str, f64) -> bool) -> (String, f64) {
        loop {
            let (status, part) = self.stands(id);
            assert!(
                !["failed", "timeout"].contains(&&*status),
                "{}",
                self.ifso(&["execution", "show", id])
            );
            if there(&status, part) {
                return (status, part);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.kill();
        }
    }
}

/// Both programs after each other, each to an empty target.
fn compare(what: &str, counts: (usize, usize)) {
    let ends = Ends::new(counts);
    let served = Served::new(&ends);
    let (mut ours, mut theirs) = ([0.0; ROUNDS], [0.0; ROUNDS]);
    let concurrency = format!("concurrency={CONCURRENCY}");
    for round in 0..ROUNDS {
        ends.clear();
        let begun = Instant::now();
        // Whoever waits asks nothing meanwhile, as with the other program.
        served.carry_out(&format!("round-{round}"), &[&concurrency, "second_pass=false"]);
        ours[round] = begun.elapsed().as_secs_f64();
        ends.same();
        ends.clear();
        let begun = Instant::now();
        rclone(&ends, "old:old", "new:new");
        theirs[round] = begun.elapsed().as_secs_f64();
        ends.same();
    }
    ends.tell(&format!("{} {what}, copied and verified", ends.objects), &mut ours, &mut theirs);
}

fn rclone(ends: &Ends, from: &str, to: &str) {
    let mut command = Command::new("rclone");
    command.args(["copy", from, to, "--config", "/dev/null", "--s3-no-check-bucket"]);
    command.args(["--transfers", &CONCURRENCY.to_string(), "--checkers", &CONCURRENCY.to_string()]);
    // With it, this version refuses to start.
    command.env_remove("AWS_CA_BUNDLE").stdin(Stdio::null());
    for (name, files) in [("OLD", &ends.old), ("NEW", &ends.new)] {
        for (setting, value) in [
            ("TYPE", "s3"),
            ("PROVIDER", "Other"),
            ("ENDPOINT", files.endpoint.as_str()),
            ("ACCESS_KEY_ID", ACCESS_KEY),
            ("SECRET_ACCESS_KEY", SECRET_KEY),
        ] {
            command.env(format!("RCLONE_CONFIG_{name}_{setting}"), value);
        }
    }
    let output = command.output().expect("`rclone` is there; `./dev test` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A large migration, killed and paused so often, each time after it has got on.
fn full(counts: (usize, usize)) {
    const TIMES: u32 = 20;
    let ends = Ends::new(counts);
    let mut served = Served::new(&ends);
    let begun = Instant::now();
    let id = served.begin("full", &[]);
    let mut done = 0;
    for time in 0..TIMES {
        let wanted = f64::from(time + 1) / f64::from(TIMES + 2);
        let (status, _) = served.until(&id, |status, part| status == "succeeded" || part >= wanted);
        if status == "succeeded" {
            break;
        }
        served.does(&["execution", "pause", &id]);
        served.until(&id, |status, _| status == "paused" || status == "succeeded");
        served.does(&["execution", "resume", &id]);
        served.kill();
        served.start();
        done += 1;
    }
    served.until(&id, |status, _| status == "succeeded");
    let seconds = begun.elapsed().as_secs_f64();
    ends.same();
    let puts = ends.new.calls().iter().filter(|call| call.starts_with("PUT ")).count();
    let gigabytes = count(ends.bytes / 1_000_000) / 1000.0;
    row(
        &format!("{} objects, {gigabytes:.2} GB, {done} `kill -9` and {done} pauses", ends.objects),
        &format!("{seconds:.0} s, trees equal, {puts} writes"),
        "–",
    );
}
