//! A mail server of Debian's aiosmtpd that keeps what it gets, read by Python's own mail parser.

use std::fs::File;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::free_port;

/// How long it may take to answer for the first time.
const START: Duration = Duration::from_mins(1);

/// What runs: one file a mail, renamed into place before the server says 250.
const SERVER: &str = r#"
import asyncio, json, os, ssl, sys
from email import message_from_bytes, policy
from aiosmtpd.smtp import SMTP, AuthResult

want = json.loads(sys.argv[1])
folder = want["folder"]
left = want.get("put_off", 0)
count = 0

class Keeper:
    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        if name == "nobody":
            return "550 5.1.1 no such mailbox"
        if name == "later":
            return "451 4.7.1 greylisted, come back"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        global left, count
        if left > 0:
            left -= 1
            return "451 4.3.0 not now"
        mail = message_from_bytes(envelope.content, policy=policy.default)
        text, html = (mail.get_body([kind]) for kind in ("plain", "html"))
        user = session.auth_data and session.auth_data.login.decode()
        kept = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": [[name, str(value)] for name, value in mail.items()],
            "text": text and text.get_content().replace("\r\n", "\n"),
            "html": html and html.get_content().replace("\r\n", "\n"),
            "attachments": {a.get_filename(): a.get_content().decode() for a in mail.iter_attachments()},
            "raw": envelope.content.decode("latin-1"),
            "encrypted": server.transport.get_extra_info("ssl_object") is not None,
            "user": user,
        }
        count += 1
        aside = os.path.join(folder, "aside")
        with open(aside, "w") as file:
            json.dump(kept, file)
        os.rename(aside, os.path.join(folder, f"mail-{os.getpid()}-{count:06}.json"))
        return "250 kept"

def known(server, session, envelope, mechanism, data):
    ok = [data.login.decode(), data.password.decode()] == want["login"]
    return AuthResult(success=ok, handled=False, auth_data=data)

async def main():
    security = None
    if want.get("certificate"):
        security = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        security.load_cert_chain(want["certificate"], want["key"])
    whole = security if want.get("whole") else None
    login = want.get("login")
    def make():
        return SMTP(Keeper(), hostname="mail.test", enable_SMTPUTF8=True,
            tls_context=None if whole else security, require_starttls=bool(security and not whole),
            authenticator=known if login else None, auth_required=bool(login),
            auth_require_tls=bool(security and not whole))
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", want["port"], ssl=whole)
    await server.serve_forever()

asyncio.run(main())
"#;

/// A running mail server, ended with its test.
pub struct Smtp {
    child: Child,
    folder: TempDir,
    /// Where it listens, on `127.0.0.1`.
    pub port: u16,
}

impl Smtp {
    /// One that speaks plainly and takes what anybody brings.
    pub fn plain() -> Self {
        Self::at(free_port(), &json!({}))
    }

    /// One at `port`: `put_off` mails are first answered 451; `login` is the name and password it
    /// wants; `secured: true` makes it want STARTTLS, `whole: true` TLS from the first byte on.
    pub fn at(port: u16, wanted: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut want = wanted.clone();
        want["folder"] = json!(folder.path());
        want["port"] = json!(port);
        if wanted["secured"] == true || wanted["whole"] == true {
            let (certificate, key) = certificate(folder.path());
            want["certificate"] = json!(certificate);
            want["key"] = json!(key);
        }
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new("/usr/bin/python3")
            .args(["-c", SERVER, &want.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut started = Self { child, folder, port };
        started.answers();
        started
    }

    fn answers(&mut self) {
        let start = std::time::Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap();
            let ended = self.child.try_wait().unwrap().is_some();
            let help = "`./dev test` installs python3-aiosmtpd";
            assert!(!ended && start.elapsed() < START, "no mail server; {help}: {}", log());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// The certificate that it shows.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// What it keeps, in the order of arrival.
    pub fn mails(&self) -> Vec<Value> {
        let files = std::fs::read_dir(self.folder.path()).unwrap().flatten();
        let mut files: Vec<_> = files.map(|file| file.path()).collect();
        files.retain(|file| file.extension().is_some_and(|kind| kind == "json"));
        files.sort();
        files
            .iter()
            .map(|file| serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap())
            .collect()
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A certificate for `127.0.0.1` that nobody but itself vouches for, and its key.
fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=mail.test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-out"])
        .args([&certificate, Path::new("-keyout"), &key])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (certificate, key)
}
