//! OpenSSH's server on loopback, run by and for whoever runs the test, with keys of its own.

use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::program::free_port;

/// How long it may take to answer for the first time.
const START: Duration = Duration::from_mins(1);

/// Stands before the real one on the servers' `PATH`: it leaves the password that it reads beside
/// itself, and makes nobody root.
const SUDO: &str = r#"#!/bin/sh
if [ "$1" = -S ]; then
    IFS= read -r password
    echo "$password" >"${0%/*}/password"
    shift 2
fi
shift
[ "$1" = -- ] && shift
IFSO_SUDO=yes exec "$@"
"#;

/// A running server, ended with its test.
pub struct Sshd {
    child: Child,
    folder: TempDir,
    /// Where it listens, on `127.0.0.1`.
    pub port: u16,
}

impl Sshd {
    /// One with new keys, at a port of its own.
    pub fn start() -> Self {
        Self::at(free_port())
    }

    /// One with new keys at `port`.
    pub fn at(port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        keygen(&at("host"), "");
        keygen(&at("key"), "");
        keygen(&at("locked"), "open sesame");
        let known = |name: &str| fs::read_to_string(at(name)).unwrap();
        fs::write(at("authorized_keys"), known("key.pub") + &known("locked.pub")).unwrap();
        fs::write(at("known_hosts"), format!("[127.0.0.1]:{port} {}", known("host.pub"))).unwrap();
        fs::create_dir(at("bin")).unwrap();
        fs::write(at("bin/sudo"), SUDO).unwrap();
        fs::set_permissions(at("bin/sudo"), fs::Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().display();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nPidFile none\nHostKey {path}/host\n\
             AuthorizedKeysFile {path}/authorized_keys\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nPermitRootLogin yes\nMaxStartups 100\n\
             SetEnv PATH={path}/bin:/usr/local/bin:/usr/bin:/bin\n"
        );
        fs::write(at("config"), config).unwrap();
        if rustix::process::geteuid().is_root() {
            // Where the server of root shuts its unprivileged part in.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(at("config"))
            .stdin(Stdio::null())
            .stderr(File::create(at("log")).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("sshd: {error}; `./dev test` installs openssh-server"));
        let mut started = Self { child, folder, port };
        started.answers();
        started
    }

    fn answers(&mut self) {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.child.try_wait().unwrap().is_some();
            assert!(!ended && start.elapsed() < START, "no sshd: {}", self.log());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// How hosts are written: `127.0.0.1:2222`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The path of `key` (what it lets in), `locked` (the same, opened by `open sesame`), `known_hosts`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The content of such a file.
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// What it has said.
    pub fn log(&self) -> String {
        self.text("log")
    }

    /// Lets in whoever `other` lets in.
    pub fn trust(&self, other: &Self) {
        let all = self.text("authorized_keys") + &other.text("authorized_keys");
        fs::write(self.path("authorized_keys"), all).unwrap();
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn keygen(file: &Path, passphrase: &str) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f"])
        .arg(file)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
