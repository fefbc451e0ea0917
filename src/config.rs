//! Settings: defaults, then `<home>/ifso.toml`, then `IFSO_*` in the environment, then flags.
//!
//! Nobody else reads the environment.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::model::problem::{Place, Problem, nearest};
use crate::model::span;
use crate::store::retention;
use crate::telemetry::logs;
use crate::vault;

/// The settings' file in a home.
pub const FILE: &str = "ifso.toml";
/// The folder of the store, the first key and what running actions leave, in a home.
pub const DATA: &str = "data";

/// Every setting, as `ifso.toml` has it. `deploy/config.toml` says what each does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where to listen.
    #[serde(deserialize_with = "address")]
    pub listen: String,
    /// Consent to listen on an address that others can reach, without TLS.
    pub insecure_listen: bool,
    /// The address under which people reach this Ifso, without a slash at its end. Empty: the one where
    /// it listens.
    #[serde(deserialize_with = "public")]
    pub public_url: String,
    /// The data folder; relative to the home.
    pub data: PathBuf,
    /// Log levels: `info`, `warn,ifso::rules=debug`, ….
    #[serde(deserialize_with = "levels")]
    pub log: String,
    /// The form of log lines.
    pub log_format: LogFormat,
    /// Executions.
    pub executions: Executions,
    /// The master key with which secrets are sealed.
    pub vault: Master,
    /// How long records are kept.
    pub keep: Keep,
    /// What others are told of what goes on.
    pub telemetry: Telemetry,
}

/// Settings of telemetry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// The OTLP collector that traces go to, over HTTP. Empty: nowhere.
    #[serde(deserialize_with = "public")]
    pub otlp: String,
}

/// Where the master key comes from. A systemd credential `ifso-master-key` comes before both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Master {
    /// The file, made at the first start; relative to the data folder.
    pub key_file: PathBuf,
    /// The name of an environment variable that holds the key, and comes before the file. Empty: none.
    pub key_env: String,
}

impl Default for Master {
    fn default() -> Self {
        Self { key_file: "master.key".into(), key_env: String::new() }
    }
}

/// Settings of executions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Executions {
    /// Attempts under way at once at most.
    #[serde(deserialize_with = "concurrency")]
    pub concurrency: usize,
    /// How long an attempt may take where neither caller nor action nor runner say so.
    pub timeout: Length,
}

impl Default for Executions {
    fn default() -> Self {
        Self { concurrency: 64, timeout: Length(Duration::from_mins(5)) }
    }
}

/// How long records are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keep {
    /// Events with what the rules made of them.
    pub events: Length,
    /// MiB of such events at most, compressed; the oldest go first. Without: as many as come.
    pub events_mib: Option<u64>,
    /// Executions with their output.
    pub executions: Length,
    /// Inputs that could not become events.
    pub dead_letters: Length,
    /// The audit log.
    pub audit: Length,
}

impl Default for Keep {
    fn default() -> Self {
        let days = |days: u64| Length(Duration::from_hours(24 * days));
        Self {
            events: days(7),
            events_mib: None,
            executions: days(30),
            dead_letters: days(30),
            audit: days(365),
        }
    }
}

impl Keep {
    /// The same by table of the store.
    #[must_use]
    pub fn retention(&self) -> retention::Settings {
        let keep = [
            ("blocks", self.events),
            ("executions", self.executions),
            ("outputs", self.executions),
            ("dead_letters", self.dead_letters),
            ("audit", self.audit),
        ];
        let keep = keep.into_iter().map(|(table, length)| (table.to_owned(), length.0)).collect();
        let events_bytes = self.events_mib.map(|mib| mib.saturating_mul(1024 * 1024));
        retention::Settings { keep, events_bytes }
    }
}

/// A span of time, as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length(pub Duration);

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seconds = self.0.as_secs();
        let whole = [(86_400, "d"), (3600, "h"), (60, "m")];
        let unit = whole.iter().find(|(size, _)| seconds > 0 && seconds.is_multiple_of(*size));
        let (size, letter) = unit.copied().unwrap_or((1, "s"));
        serializer.collect_str(&format_args!("{}{letter}", seconds / size))
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let length = span::parse(&text).map_err(de::Error::custom)?;
        if length.is_zero() {
            return Err(de::Error::custom(format!(
                "`{text}` is no time at all; expected `1s` or more"
            )));
        }
        Ok(Self(length))
    }
}

/// Attempts under way at once: with none nothing ever runs, and each holds a process.
const CONCURRENCY: std::ops::RangeInclusive<usize> = 1..=10_000;

fn concurrency<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let given = i64::deserialize(deserializer)?;
    let fits = usize::try_from(given).ok().filter(|count| CONCURRENCY.contains(count));
    fits.ok_or_else(|| {
        let (least, most) = (CONCURRENCY.start(), CONCURRENCY.end());
        de::Error::custom(format!("`{given}` is not between {least} and {most}"))
    })
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    shaped(&text).map_err(de::Error::custom)?;
    Ok(text)
}

/// Whether `listen` is `HOST:PORT`; nobody is asked whether there is such a host.
fn shaped(listen: &str) -> Result<(), String> {
    let port = listen.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    if port.is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        return Ok(());
    }
    Err(format!(
        "`{listen}` is not an address to listen on; expected HOST:PORT, as `127.0.0.1:9101`"
    ))
}

/// An address of the web, without the slash at its end, or nothing.
fn public<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let trimmed = text.trim_end_matches('/');
    let rest = ["http://", "https://"].iter().find_map(|scheme| trimmed.strip_prefix(scheme));
    match rest {
        _ if text.is_empty() => Ok(text),
        Some(host) if !host.is_empty() => Ok(trimmed.to_owned()),
        _ => Err(de::Error::custom(format!(
            "`{text}` is no address of the web; expected `https://HOST`"
        ))),
    }
}

fn levels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    logs::levels(&text).map_err(de::Error::custom)?;
    Ok(text)
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl From<LogFormat> for logs::Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9101".to_owned(),
            insecure_listen: false,
            public_url: String::new(),
            data: DATA.into(),
            log: "info".to_owned(),
            log_format: LogFormat::Text,
            executions: Executions::default(),
            vault: Master::default(),
            keep: Keep::default(),
            telemetry: Telemetry::default(),
        }
    }
}

/// What flags say; nothing where a flag is not given.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--listen`.
    pub listen: Option<String>,
    /// `--insecure-listen`.
    pub insecure_listen: bool,
    /// `--data`; relative to the current folder.
    pub data: Option<PathBuf>,
    /// `--log`.
    pub log: Option<String>,
    /// `--log-format`.
    pub log_format: Option<LogFormat>,
}

/// Everything that a process needs to know before it begins.
#[derive(Debug, Clone)]
pub struct Config {
    /// The home folder, absolute.
    pub home: PathBuf,
    /// The data folder, absolute.
    pub data: PathBuf,
    /// Every setting.
    pub settings: Settings,
    /// What works, but probably not as meant.
    pub warnings: Vec<String>,
    /// Where the master key comes from.
    pub master: vault::Source,
    /// The variables that running actions inherit: `HOME`.
    pub inherited: BTreeMap<String, String>,
    /// The variables that installers of packs' requirements inherit: `PIP_*`, certificates, proxies.
    pub installing: BTreeMap<String, String>,
    /// Where whoever started this process wants to hear that it is ready: `NOTIFY_SOCKET`, of systemd.
    pub notify: Option<String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such home.
    #[error("`{}` is not a folder", home.display())]
    NoHome {
        /// The folder.
        home: PathBuf,
    },
    /// The file cannot be read.
    #[error("`{}` cannot be read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file says something that is no setting.
    #[error("{}: {}", .0.place, .0.message)]
    File(Problem),
    /// The environment says something that is no setting.
    #[error("environment variable `{name}`: {what}")]
    Environment {
        /// The variable.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// `log` says no log levels.
    #[error(transparent)]
    NotLevels(#[from] logs::NotLevels),
    /// `listen` is no address.
    #[error("`{listen}` is not an address to listen on: {what}")]
    NotAnAddress {
        /// What was given.
        listen: String,
        /// Why not.
        what: String,
    },
    /// Others could reach it, unencrypted, and nobody said that this is meant.
    #[error("`{listen}` can be reached from other machines, and Ifso does not encrypt")]
    Exposed {
        /// The address.
        listen: String,
    },
}

impl Error {
    /// The next step.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::NoHome { .. } => "name the folder that holds `packs/`, `rules/` and `sensors/` \
                                    with `--home`"
                .to_owned(),
            Self::Unreadable { .. } => "look at the file's owner and rights".to_owned(),
            Self::File(problem) => problem
                .help
                .clone()
                .unwrap_or_else(|| "`deploy/config.toml` shows every setting".to_owned()),
            Self::Environment { .. } => "correct or unset the variable".to_owned(),
            Self::NotLevels(_) => "write `info`, or `warn,ifso::rules=debug`".to_owned(),
            Self::NotAnAddress { .. } => "write it as `127.0.0.1:9101`".to_owned(),
            Self::Exposed { .. } => "listen on `127.0.0.1` behind a proxy that encrypts, or say \
                                     `--insecure-listen` (`insecure_listen = true`)"
                .to_owned(),
        }
    }
}

impl Config {
    /// Reads the settings of `home`; `environment` is every variable of the process.
    ///
    /// # Errors
    /// Where the home is no folder, or a setting is not one; each names its place.
    pub fn load(
        home: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &Flags,
    ) -> Result<Self, Error> {
        let absolute = std::path::absolute(home).unwrap_or_else(|_| home.to_owned());
        if !absolute.is_dir() {
            return Err(Error::NoHome { home: home.to_owned() });
        }
        let mut settings = read(&absolute)?;
        let mut warnings = Vec::new();
        let (mut inherited, mut installing) = (BTreeMap::new(), BTreeMap::new());
        let mut notify = None;
        let environment: BTreeMap<String, String> = environment.into_iter().collect();
        for (name, value) in environment.clone() {
            if name == "HOME" {
                inherited.insert(name.clone(), value.clone());
            } else if name.starts_with("PIP_") || INSTALLING.contains(&name.as_str()) {
                installing.insert(name.clone(), value.clone());
            } else if name == "NOTIFY_SOCKET" {
                notify = Some(value.clone());
            }
            if let Some(key) = name.strip_prefix("IFSO_") {
                overlay(&mut settings, &name, key, &value, &mut warnings)?;
            }
        }
        if let Some(listen) = &flags.listen {
            settings.listen.clone_from(listen);
        }
        settings.insecure_listen |= flags.insecure_listen;
        if let Some(log) = &flags.log {
            settings.log.clone_from(log);
        }
        settings.log_format = flags.log_format.unwrap_or(settings.log_format);
        let data = match &flags.data {
            Some(data) => std::path::absolute(data).unwrap_or_else(|_| data.clone()),
            None => absolute.join(&settings.data),
        };
        let master = master(&settings.vault, &data, &environment);
        Ok(Self { home: absolute, data, settings, warnings, master, inherited, installing, notify })
    }

    /// Sends log lines to stderr, as the settings say, once for the process.
    ///
    /// # Errors
    /// `NotLevels`.
    pub fn begin_logs(&self, colours: bool) -> Result<(), Error> {
        logs::begin(logs::levels(&self.settings.log)?, self.settings.log_format.into(), colours);
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
        Ok(())
    }

    /// The address to listen on. Warns, in words for the log, where others can reach it.
    ///
    /// # Errors
    /// `NotAnAddress`; `Exposed` where others can reach it and nobody consented.
    pub fn address(&self) -> Result<(SocketAddr, Option<&'static str>), Error> {
        let listen = &self.settings.listen;
        let wrong = |what: String| Error::NotAnAddress { listen: listen.clone(), what };
        shaped(listen).map_err(|_| wrong("expected HOST:PORT".to_owned()))?;
        let mut found = listen.to_socket_addrs().map_err(|error| wrong(error.to_string()))?;
        let address = found.next().ok_or_else(|| wrong("no address has this name".to_owned()))?;
        if address.ip().is_loopback() {
            return Ok((address, None));
        }
        if !self.settings.insecure_listen {
            return Err(Error::Exposed { listen: listen.clone() });
        }
        Ok((
            address,
            Some(
                "keys and events cross the network unencrypted; anybody who listens can read and use them",
            ),
        ))
    }
}

/// The credential that systemd hands over (`LoadCredential=ifso-master-key:…`).
const CREDENTIAL: &str = "ifso-master-key";

/// Where the master key comes from: a credential, else the variable, else the file.
fn master(settings: &Master, data: &Path, environment: &BTreeMap<String, String>) -> vault::Source {
    let folder = environment.get("CREDENTIALS_DIRECTORY");
    let credential = folder.map(|folder| Path::new(folder).join(CREDENTIAL));
    if let Some(credential) = credential.filter(|credential| credential.exists()) {
        return vault::Source::Credential(credential);
    }
    let name = settings.key_env.trim();
    if name.is_empty() {
        return vault::Source::File(data.join(&settings.key_file));
    }
    // A key that was promised and is not there is told where it is needed: a new one would be a surprise.
    let text = environment.get(name).cloned().unwrap_or_default();
    vault::Source::Variable(name.to_owned(), vault::Text::new(text))
}

/// What installers read to reach an index, `PIP_*` aside.
const INSTALLING: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
];

/// Variables that mean something else: clients' and those of running actions.
const OTHERS: &[&str] = &["URL", "KEY", "HOME", "EXECUTION_ID", "ATTEMPT"];

fn overlay(
    settings: &mut Settings,
    name: &str,
    key: &str,
    value: &str,
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    let key = key.to_ascii_lowercase();
    if OTHERS.iter().any(|other| other.eq_ignore_ascii_case(&key)) {
        return Ok(());
    }
    let mut table = toml::Table::try_from(&*settings).expect("settings are plain data");
    let known: Vec<String> = names(&table);
    let Some(old) = find(&mut table, &key) else {
        let near = nearest(&key, known.iter().map(String::as_str));
        let near = near.map(|near| format!("; did you mean `IFSO_{}`?", near.to_ascii_uppercase()));
        // Not an error: orchestrators put variables of their own making beside ours.
        warnings.push(format!("`{name}` is not a setting{}", near.unwrap_or_default()));
        return Ok(());
    };
    let wrong = |what: String| Error::Environment { name: name.to_owned(), what };
    *old = match old {
        toml::Value::Boolean(_) => value
            .parse()
            .map(toml::Value::Boolean)
            .map_err(|_| wrong(format!("`{value}` is neither `true` nor `false`")))?,
        toml::Value::Integer(_) => value
            .parse()
            .map(toml::Value::Integer)
            .map_err(|_| wrong(format!("`{value}` is not a number")))?,
        _ => toml::Value::String(value.to_owned()),
    };
    *settings =
        table.try_into().map_err(|error: toml::de::Error| wrong(error.message().to_owned()))?;
    Ok(())
}

/// The settings' names as the environment has them: `listen`, `executions_timeout`.
fn names(table: &toml::Table) -> Vec<String> {
    let mut names = Vec::new();
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) => {
                names.extend(inner.keys().map(|inner| format!("{name}_{inner}")));
            }
            _ => names.push(name.clone()),
        }
    }
    names
}

fn find<'a>(table: &'a mut toml::Table, key: &str) -> Option<&'a mut toml::Value> {
    table.iter_mut().find_map(|(name, value)| match value {
        toml::Value::Table(inner) => {
            inner.get_mut(key.strip_prefix(name.as_str())?.strip_prefix('_')?)
        }
        _ => (name == key).then_some(value),
    })
}

fn read(home: &Path) -> Result<Settings, Error> {
    let file = home.join(FILE);
    match std::fs::read_to_string(&file) {
        Ok(text) => parse(&text).map_err(Error::File),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Settings::default()),
        Err(source) => Err(Error::Unreadable { file, source }),
    }
}

/// Reads the text of an `ifso.toml`.
///
/// # Errors
/// The problem, with line and column, and the setting that was probably meant.
pub fn parse(text: &str) -> Result<Settings, Problem> {
    toml::from_str(text).map_err(|error| {
        let mut place = Place::file(FILE);
        if let Some(span) = error.span() {
            let before = text.get(..span.start).unwrap_or(text);
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
            let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            place = place.at(small(line), small(column));
        }
        let message = error.message().trim().replace('\n', " ");
        let problem = Problem::error("bad_setting", place, message.as_str());
        match suggestion(&message) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem,
        }
    })
}

/// The expected word nearest to the unknown one, out of "unknown field `a`, expected one of `b`, `c`".
fn suggestion(message: &str) -> Option<String> {
    let mut words = message.split('`').skip(1).step_by(2);
    let unknown = words.next()?;
    nearest(unknown, words).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(text: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(FILE), text).unwrap();
        home
    }

    fn load(text: &str, environment: &[(&str, &str)], flags: &Flags) -> Result<Config, Error> {
        let pairs = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::load(home(text).path(), pairs, flags)
    }

    #[test]
    fn later_sources_win() {
        let flags = Flags { listen: Some("127.0.0.1:3".to_owned()), ..Flags::default() };
        let file = "listen = \"127.0.0.1:1\"\nlog = \"warn\"";
        let environment = [
            ("IFSO_LISTEN", "127.0.0.1:2"),
            ("IFSO_LOG_FORMAT", "json"),
            ("IFSO_EXECUTIONS_TIMEOUT", "90s"),
        ];
        let config = load(file, &environment, &flags).unwrap();
        assert_eq!(config.settings.listen, "127.0.0.1:3");
        assert_eq!(config.settings.log, "warn");
        assert_eq!(config.settings.log_format, LogFormat::Json);
        assert_eq!(config.settings.executions.timeout, Length(Duration::from_secs(90)));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_the_one_that_was_meant() {
        let refused = load("log = \"info\"\nlisen = \"127.0.0.1:1\"", &[], &Flags::default());
        let error = refused.unwrap_err();
        assert!(error.to_string().starts_with("ifso.toml:2:1: unknown field `lisen`"), "{error}");
        assert_eq!(error.help(), "did you mean `listen`?");
    }

    #[test]
    fn what_cannot_work_is_refused_where_it_stands() {
        for (text, said) in [
            ("[executions]\nconcurrency = 0", "ifso.toml:2:15: `0` is not between 1 and 10000"),
            ("[executions]\nconcurrency = 10001", "ifso.toml:2:15: `10001` is not between"),
            ("[executions]\ntimeout = \"0s\"", "ifso.toml:2:11: `0s` is no time at all"),
            ("[keep]\nevents = \"0s\"", "ifso.toml:2:10: `0s` is no time at all"),
            ("listen = \"localhost\"", "ifso.toml:1:10: `localhost` is not an address"),
            ("listen = \":80\"", "ifso.toml:1:10: `:80` is not an address"),
            ("public_url = \"ifso.lan\"", "ifso.toml:1:14: `ifso.lan` is no address of the web"),
            ("log = \"chatty\"", "ifso.toml:1:7: `chatty` does not say log levels"),
        ] {
            let error = load(text, &[], &Flags::default()).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
        let error = load("", &[("IFSO_EXECUTIONS_CONCURRENCY", "0")], &Flags::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("`IFSO_EXECUTIONS_CONCURRENCY`: `0` is not between"), "{error}");
        for listen in ["[::1]:9101", "localhost:0", "0.0.0.0:80"] {
            assert!(load(&format!("listen = \"{listen}\""), &[], &Flags::default()).is_ok());
        }
        let flags = Flags { listen: Some("localhost".to_owned()), ..Flags::default() };
        assert!(load("", &[], &flags).unwrap().address().is_err());
    }

    #[test]
    fn a_variable_that_is_nearly_a_setting_is_warned_of() {
        let config = load("", &[("IFSO_LISTN", "x")], &Flags::default()).unwrap();
        assert_eq!(config.warnings, ["`IFSO_LISTN` is not a setting; did you mean `IFSO_LISTEN`?"]);
    }

    #[test]
    fn other_machines_are_let_in_on_consent_only() {
        let open = Flags { listen: Some("0.0.0.0:0".to_owned()), ..Flags::default() };
        let refused = load("", &[], &open).unwrap().address();
        assert!(matches!(refused, Err(Error::Exposed { .. })), "{refused:?}");
        let meant = Flags { insecure_listen: true, ..open };
        let config = load("", &[], &meant).unwrap();
        assert!(config.address().unwrap().1.is_some());
    }

    #[test]
    fn the_master_key_comes_from_the_first_place_that_has_one() {
        use crate::vault::Source;

        let master = |text: &str, environment: &[(&str, &str)]| {
            load(text, environment, &Flags::default()).unwrap().master
        };
        assert!(matches!(master("", &[]), Source::File(path) if path.ends_with("data/master.key")));
        let named = "[vault]\nkey_env = \"MASTER\"";
        let variable = master(named, &[("MASTER", "s3cr3t")]);
        assert!(matches!(&variable, Source::Variable(name, _) if name == "MASTER"));
        assert!(!format!("{variable:?}").contains("s3cr3t"));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(CREDENTIAL), "").unwrap();
        let folder = folder.path().to_str().unwrap();
        let both = [("MASTER", "s3cr3t"), ("CREDENTIALS_DIRECTORY", folder)];
        assert!(matches!(master(named, &both), Source::Credential(_)));
    }

    #[test]
    fn the_commented_default_says_what_the_defaults_are() {
        let text = include_str!("../deploy/config.toml");
        assert_eq!(parse(text).unwrap(), Settings::default());
        let written: toml::Table = text.parse().unwrap();
        let all = toml::Table::try_from(Settings::default()).unwrap();
        assert_eq!(names(&written), names(&all));
    }
}
