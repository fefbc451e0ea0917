//! A program of the system, started for one test and ended with it.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// How long a program may take to answer for the first time.
const START: Duration = Duration::from_mins(1);

/// A running program with a folder of its own.
pub struct Program {
    child: Child,
    folder: TempDir,
    /// Where it answers: `http://127.0.0.1:…`.
    pub url: String,
}

impl Program {
    /// Starts Debian's `program` with these arguments, in each of which `{folder}` is the folder that
    /// holds `file`, and `{address}` is where it is to listen (its port alone: `{port}`); waits until
    /// `ready` there says 200.
    pub async fn start(program: &str, file: (&str, &str), arguments: &[&str], ready: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(file.0), file.1).unwrap();
        let port = free_port().to_string();
        let address = format!("127.0.0.1:{port}");
        let path = folder.path().to_str().unwrap();
        let filled = arguments.iter().map(|a| {
            a.replace("{folder}", path).replace("{address}", &address).replace("{port}", &port)
        });
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new(program)
            .args(filled)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("`{program}`: {error}; `./dev test` installs it"));
        let url = format!("http://{address}");
        let mut started = Self { child, folder, url };
        started.answers(ready).await;
        started
    }

    async fn answers(&mut self, ready: &str) {
        let client = crate::sensors::client();
        let mut tries = tokio::time::interval(Duration::from_millis(50));
        let answered = async {
            loop {
                tries.tick().await;
                let answer = client.get(format!("{}{ready}", self.url)).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    return true;
                }
                if self.child.try_wait().unwrap().is_some() {
                    return false;
                }
            }
        };
        let answered = tokio::time::timeout(START, answered).await.unwrap_or(false);
        assert!(answered, "{} never answered: {}", self.url, read(&self.folder.path().join("log")));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that nobody listens on at this moment.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
