//! How OpenSSH's client is called: who logs in where, with which key, and whom it trusts.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::orders::{Call, quoted};
use crate::runners::Job;

/// Seconds that reaching a host may take.
const CONNECT: u64 = 20;

/// Into which the client writes what it has to say itself, apart from what the host's program writes.
pub(super) const LOG: &str = "ssh.log";

/// Answers the client's questions for a password or a passphrase, each from its own file.
const ASKPASS: &str = "#!/bin/sh
case $1 in
*assphrase*) exec cat passphrase ;;
*) exec cat password ;;
esac
";

/// A host as people write it: `name`, `name:port`, `user@name`, `[2001:db8::1]:22`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    /// As it was written; what the result calls it.
    pub(super) given: String,
    name: String,
    user: Option<String>,
    port: Option<u16>,
}

impl Host {
    /// # Errors
    /// Why it cannot be a host, for people.
    pub(super) fn parse(given: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{given}` is no host; write `name`, `name:port`, `user@name` or `[2001:db8::1]:22`"
            )
        };
        let (user, rest) = match given.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, given),
        };
        let (name, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, "")) => (name, None),
            Some((name, port)) => (name, Some(port.strip_prefix(':').ok_or_else(wrong)?)),
            // More than one colon: an address of IPv6.
            None => match rest.split_once(':').filter(|(_, port)| !port.contains(':')) {
                Some((name, port)) => (name, Some(port)),
                None => (rest, None),
            },
        };
        let port = port.map(|port| port.parse::<u16>().ok().filter(|port| *port > 0));
        let port = port.map(|port| port.ok_or_else(wrong)).transpose()?;
        // Names reach a shell where a bastion is between; an option must not pass for a name.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        if name.is_empty() || name.starts_with('-') || !name.chars().all(plain) {
            return Err(wrong());
        }
        let user = user.map(person).transpose()?;
        Ok(Self { given: given.to_owned(), name: name.to_owned(), user, port })
    }

    /// As `known_hosts` names it.
    pub(super) fn known_as(&self, port: Option<u16>) -> String {
        match self.port.or(port).filter(|port| *port != 22) {
            Some(port) => format!("[{}]:{port}", self.name),
            None => self.name.clone(),
        }
    }
}

/// The name of a user, which must be neither an option nor code.
fn person(name: &str) -> Result<String, String> {
    let plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '+' | '\\' | '$')
    };
    if name.is_empty() || name.starts_with('-') || !name.chars().all(plain) {
        return Err(format!("{name:?} cannot be the name of a user"));
    }
    Ok(name.to_owned())
}

/// How to log in, the same for all hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Client {
    user: Option<String>,
    pub(super) port: Option<u16>,
    key: Option<Key>,
    passphrase: Option<String>,
    password: Option<String>,
    /// Nothing: the user's own and the machine's.
    pub(super) known_hosts: Option<String>,
    accept_new: bool,
    bastion: Option<Host>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Text(String),
    File(String),
}

impl Client {
    /// From the parameters, else `ssh` of the pack's configuration.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub(super) fn of(job: &Job) -> Result<Self, String> {
        let find = |name: &str| {
            let some = |value: &&Value| !value.is_null() && value.as_str() != Some("");
            let configured = || job.config.get("ssh")?.get(name).filter(some);
            job.parameters.get(name).filter(some).or_else(configured)
        };
        let text = |name: &str| find(name).and_then(Value::as_str);
        let port = find("port").map(|port| {
            let number = port.as_u64().or_else(|| port.as_str()?.parse().ok());
            let number =
                number.and_then(|number| u16::try_from(number).ok()).filter(|port| *port > 0);
            number.ok_or_else(|| format!("`port` is {port}; expected 1 to 65535"))
        });
        let accept_new = match text("host_key_checking").unwrap_or("yes") {
            "yes" => false,
            "accept-new" => true,
            other => {
                return Err(format!(
                    "`host_key_checking` is {other:?}; expected `yes` or `accept-new`: \
                     a key that is not checked protects nobody"
                ));
            }
        };
        Ok(Self {
            user: text("username").map(person).transpose()?,
            port: port.transpose()?,
            key: text("private_key").map(key).transpose()?,
            passphrase: text("passphrase").map(|text| line("passphrase", text)).transpose()?,
            password: text("password").map(|text| line("password", text)).transpose()?,
            known_hosts: text("known_hosts").map(|file| path("known_hosts", file)).transpose()?,
            accept_new,
            bastion: text("bastion_host").map(Host::parse).transpose()?,
        })
    }

    /// Whether the client will ask for something.
    pub(super) fn asks(&self) -> bool {
        self.password.is_some() || self.passphrase.is_some()
    }

    /// The program and its arguments that make `call` on `host`.
    pub(super) fn program(&self, host: &Host, call: &Call) -> (String, Vec<String>) {
        let mut arguments = self.options(host);
        if let Some(bastion) = &self.bastion {
            let mut through = self.options(bastion);
            through.extend(["-W".to_owned(), "[HOST]:PORT".to_owned(), "--".to_owned()]);
            through.push(bastion.name.clone());
            let words: Vec<_> = through.iter().map(|word| quoted(word)).collect();
            let words = words.join(" ").replace('%', "%%").replace("[HOST]:PORT", "[%h]:%p");
            arguments.extend(["-o".to_owned(), format!("ProxyCommand=ssh {words}")]);
        }
        arguments.extend(["--".to_owned(), host.name.clone(), call.line.clone()]);
        if !self.asks() {
            return ("ssh".to_owned(), arguments);
        }
        let start = "chmod 0700 askpass && SSH_ASKPASS=\"$PWD/askpass\" exec ssh \"$@\"";
        let first = ["-c", start, "ssh"].map(str::to_owned);
        ("/bin/sh".to_owned(), first.into_iter().chain(arguments).collect())
    }

    /// Files that lie in the client's own folder while it runs, readable by nobody else.
    pub(super) fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        if let Some(Key::Text(text)) = &self.key {
            files.insert("identity".to_owned(), text.clone());
        }
        if self.asks() {
            files.insert("askpass".to_owned(), ASKPASS.to_owned());
            for (name, text) in [("passphrase", &self.passphrase), ("password", &self.password)] {
                files.extend(text.iter().map(|text| (name.to_owned(), format!("{text}\n"))));
            }
        }
        files
    }

    /// What makes the client ask us and not a terminal.
    pub(super) fn variables(&self) -> BTreeMap<String, String> {
        let all = [("SSH_ASKPASS_REQUIRE", "force"), ("DISPLAY", "none:0")];
        let all = all.into_iter().filter(|_| self.asks());
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn options(&self, host: &Host) -> Vec<String> {
        let mut all: Vec<String> = ["-T", "-a", "-x", "-E", LOG].map(str::to_owned).into();
        let mut set = |name: &str, value: &str| {
            all.extend(["-o".to_owned(), format!("{name}={value}")]);
        };
        set("BatchMode", if self.asks() { "no" } else { "yes" });
        set("NumberOfPasswordPrompts", "1");
        set("StrictHostKeyChecking", if self.accept_new { "accept-new" } else { "yes" });
        set("UpdateHostKeys", "no");
        set("LogLevel", "ERROR");
        set("ConnectTimeout", &CONNECT.to_string());
        // A host that falls silent is given up after a minute.
        set("ServerAliveInterval", "15");
        set("ServerAliveCountMax", "4");
        // One connection for one call, whatever the user's own settings say.
        for (name, value) in
            [("ControlMaster", "no"), ("ControlPath", "none"), ("RemoteCommand", "none")]
        {
            set(name, value);
        }
        set("ClearAllForwardings", "yes");
        set("PermitLocalCommand", "no");
        if let Some(file) = &self.known_hosts {
            set("UserKnownHostsFile", &format!("\"{file}\""));
        }
        match &self.key {
            Some(Key::Text(_)) => set("IdentityFile", "identity"),
            Some(Key::File(file)) => set("IdentityFile", &format!("\"{file}\"")),
            None => {}
        }
        if self.key.is_some() {
            set("IdentitiesOnly", "yes");
        }
        for (flag, value) in [
            ("-l", host.user.clone().or_else(|| self.user.clone())),
            ("-p", host.port.or(self.port).map(|port| port.to_string())),
        ] {
            all.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
        }
        all
    }
}

/// A key: its text, or the path of its file.
fn key(given: &str) -> Result<Key, String> {
    if given.contains("PRIVATE KEY-----") {
        // What was pasted may lack its last line break, and the client wants it.
        let text = given.trim().replace('\r', "");
        return Ok(Key::Text(format!("{text}\n")));
    }
    let file = path("private_key", given)
        .map_err(|_| "parameter `private_key` is neither a key nor the path of one".to_owned())?;
    if file.starts_with('/') && !Path::new(given).is_file() {
        return Err(format!("parameter `private_key`: there is no file `{given}`"));
    }
    Ok(Key::File(file))
}

/// A path as the client's settings take it: it reads `%`, `$` and quotes in them its own way.
fn path(name: &str, given: &str) -> Result<String, String> {
    let odd = given.contains(['"', '\\', '$']) || given.contains(char::is_control);
    if odd || !(given.starts_with('/') || given.starts_with("~/")) {
        return Err(format!("parameter `{name}`: {given:?} is no absolute path of plain letters"));
    }
    Ok(given.replace('%', "%%"))
}

/// A secret of one line.
fn line(name: &str, given: &str) -> Result<String, String> {
    if given.contains(['\n', '\0']) {
        return Err(format!("parameter `{name}` holds a line break or a NUL byte"));
    }
    Ok(given.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_people_write_them() {
        let read = |given: &str| {
            let host = Host::parse(given).unwrap();
            (host.user, host.name, host.port)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read("db1"), (None, "db1".to_owned(), None));
        assert_eq!(read("ann@db1:2222"), (some("ann"), "db1".to_owned(), Some(2222)));
        assert_eq!(read("2001:db8::1"), (None, "2001:db8::1".to_owned(), None));
        assert_eq!(read("[2001:db8::1]:22"), (None, "2001:db8::1".to_owned(), Some(22)));
        assert_eq!(Host::parse("db1:2222").unwrap().known_as(None), "[db1]:2222");
        assert_eq!(Host::parse("db1").unwrap().known_as(Some(22)), "db1");
    }

    #[test]
    fn no_host_is_an_option_or_code() {
        for given in [
            "-oProxyCommand=id",
            "a b",
            "$(id)",
            "x;id",
            "-l@x",
            "a`id`@x",
            "",
            "x:0",
            "x:port",
            "[::1]22",
            "x\n",
        ] {
            assert!(Host::parse(given).is_err(), "{given:?}");
        }
    }
}
