//! The composition root: the only file that knows every room. It builds them in the order of the
//! river, starts the loops, and stops them in the same order, the store last.

mod stages;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::api::inside::Inside;
use crate::app::stages::Stages;
use crate::clock::{self, Clock, Ids};
use crate::config::Config;
use crate::model::execution::Execution;
use crate::packs::catalog::{Catalog, Current};
use crate::packs::watch::{Reload, Watch};
use crate::runners::supervisor::{self, Supervisor as Holder};
use crate::runners::{Runners, Tools};
use crate::sensors::hooks::Hooks;
use crate::sensors::supervisor::{Registry, Supervisor};
use crate::store::measured::measured;
use crate::store::redb::{self, Redb};
use crate::store::{Handle, retention};
use crate::tasks::Tasks;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;
use crate::vault::{self, Vault};
use crate::{api, audit, auth, executions, incidents, intake, packs, sensors, store, web};

/// The store's file in the data folder.
const STORE: &str = "store.redb";
/// How often what may be forgotten is forgotten.
const SWEEP: Duration = Duration::from_mins(5);
/// How long each stage may take to finish what it has in hand.
const GRACE: Duration = Duration::from_secs(10);
/// How long a token of an action lives beyond the attempt's own time.
const TOKEN_SLACK: Duration = Duration::from_mins(1);

/// What is known once work is accepted.
#[derive(Debug)]
pub struct Ready {
    /// Where: `http://127.0.0.1:9101`.
    pub url: String,
    /// The first admin key, where it was made just now: to be shown once.
    pub first_key: Option<String>,
}

/// Why Ifso does not serve, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration does not allow it.
    #[error(transparent)]
    Config(#[from] crate::config::Error),
    /// The store does not open or does not work.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What somebody looks at or restores from is no sound store.
    #[error("{error}")]
    Copy {
        /// What is wrong with it.
        error: store::Error,
        /// The next step.
        help: &'static str,
    },
    /// There is no store in the data folder.
    #[error("there is no store in `{}` yet", .data.display())]
    NoStore {
        /// The data folder.
        data: PathBuf,
    },
    /// A key cannot be made.
    #[error(transparent)]
    Auth(#[from] auth::Error),
    /// There is no master key that can be used.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// Something of the machine does not work.
    #[error("{what}")]
    Machine {
        /// What, with the thing in backticks.
        what: String,
        /// The next step.
        help: String,
    },
    /// A stage ended that never ends: a bug.
    #[error("the stage `{stage}` ended: {what}")]
    Stage {
        /// Which.
        stage: &'static str,
        /// What it said.
        what: String,
    },
}

impl Error {
    /// The next step.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Config(error) => Some(error.help()),
            Self::Store(error) => error.help().map(str::to_owned),
            Self::Copy { help, .. } => Some((*help).to_owned()),
            Self::NoStore { .. } => Some(
                "`ifso serve` makes one; name another home with `--home`, or restore a backup \
                 with `ifso restore FILE`"
                    .to_owned(),
            ),
            Self::Auth(error) => error.help().map(str::to_owned),
            Self::Vault(error) => error.help(),
            Self::Machine { help, .. } => Some(help.clone()),
            Self::Stage { .. } => {
                Some("please report this with the log; what was accepted is kept".to_owned())
            }
        }
    }
}

fn machine(what: &str, error: &io::Error, help: &str) -> Error {
    Error::Machine { what: format!("{what}: {error}"), help: help.to_owned() }
}

/// Serves until SIGTERM or SIGINT; calls `ready` once work is accepted, and sends spans to `traces`. A
/// second signal ends the process at once, whatever is under way.
///
/// # Errors
/// Why it could not begin, or why it ended.
pub async fn serve(
    config: Config,
    traces: Traces,
    ready: impl FnOnce(&Ready) + Send,
) -> Result<(), Error> {
    let (address, exposed) = config.address()?;
    if let Some(warning) = exposed {
        tracing::warn!(%address, "{warning}");
    }
    // Fails where it was done before, which is fine: there is one kind of cryptography here.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let mut signals = Signals::new()?;
    let listener = listen(address).await?;
    let store = open(&config)?;
    let house = House::build(&config, Arc::clone(&store), traces, &listener).await?;
    let url = house.url.clone();
    let first_key = house.first_key.clone();
    let mut stages = house.start(listener);
    ready(&Ready { url, first_key });
    let ended = tokio::select! {
        biased;
        () = signals.one() => Ok(()),
        error = store.fatal() => Err(Error::Store(error)),
        error = stages.failed() => Err(error),
    };
    tracing::info!("stopping");
    tokio::select! {
        () = stages.stop() => {}
        () = signals.one() => tracing::warn!("stopping at once"),
    }
    ended
}

/// Reads the home as a start would, and starts nothing.
///
/// # Errors
/// Where this program cannot be found, which runners need to know.
pub fn catalog(config: &Config) -> Result<Catalog, Error> {
    let runners = runners(config)?;
    Ok(reload(config, &runners)(&Catalog::default()))
}

/// Puts a backup in the place of a store that does not exist.
///
/// # Errors
/// Where the backup is none, or the data folder holds a store already.
pub fn restore(config: &Config, backup: &Path) -> Result<redb::Copied, Error> {
    private(config)?;
    if !backup.is_file() {
        return Err(Error::Machine {
            what: format!("there is no backup `{}`", backup.display()),
            help: "name a file that `ifso backup` wrote".to_owned(),
        });
    }
    let name = backup.display().to_string();
    redb::restore(backup, &config.data.join(STORE)).map_err(|error| match error {
        store::Error::Broken { ref path, .. } if *path == name => {
            Error::Copy { error, help: "use another backup" }
        }
        other => Error::Store(other),
    })
}

/// Looks at every record of the store without serving.
///
/// # Errors
/// Where the store cannot be opened.
pub fn doctor(config: &Config) -> Result<redb::Report, Error> {
    // Without its master key it is looked at as far as that goes.
    let opener = config.master.opener().ok();
    let open = |table: &str, key: &[u8], content: &[u8]| opener.as_ref()?(table, key, content);
    redb::doctor(&there(config)?, &open).map_err(|error| match error {
        store::Error::Broken { .. } | store::Error::Damaged { .. } => {
            let help = "move it away and restore from a backup: `ifso restore FILE`";
            Error::Copy { error, help }
        }
        other => Error::Store(other),
    })
}

/// Makes an admin key for whoever has the data folder, and writes it where the first one stood.
///
/// # Errors
/// `NoStore`; `Store` where a process serves it; `Auth` where the file cannot be written.
pub async fn recover_key(config: &Config) -> Result<PathBuf, Error> {
    let store: Handle = Arc::new(Redb::open(&there(config)?, redb::Settings::default())?);
    let clock = clock::system();
    let entry = audit::Entry::offline("ifso token create --offline");
    audit::append(&store, &[entry], clock.now()).await?;
    let keys = auth::Keys::new(store, clock.clone(), Ids::new(clock));
    Ok(keys.recover(&config.data).await?)
}

/// Names of master keys with which a store was sealed that nobody serves, and which are not here.
///
/// # Errors
/// `NoStore`; `Store`; `Vault` where the master key cannot be read.
pub async fn missing_masters(config: &Config) -> Result<Vec<String>, Error> {
    let store: Handle = Arc::new(Redb::open(&there(config)?, redb::Settings::default())?);
    Ok(vault::missing(&config.master, &store).await?)
}

/// The store's file, which must be there.
fn there(config: &Config) -> Result<PathBuf, Error> {
    let path = config.data.join(STORE);
    if path.exists() { Ok(path) } else { Err(Error::NoStore { data: config.data.clone() }) }
}

fn open(config: &Config) -> Result<Arc<Redb>, Error> {
    private(config)?;
    Ok(Arc::new(Redb::open(&config.data.join(STORE), redb::Settings::default())?))
}

/// Makes the data folder, for its owner alone, where there is none.
fn private(config: &Config) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.data);
    made.map_err(|error| {
        let what = format!("data folder `{}` cannot be made", config.data.display());
        machine(&what, &error, "choose another folder with `--data`, or give this user the right")
    })
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|error| {
        let help = "end the program that listens there, or choose another port with `--listen`";
        machine(&format!("`{address}` cannot be listened on"), &error, help)
    })
}

/// SIGTERM and SIGINT, as often as they come.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Error> {
        let hear = |kind| {
            signal(kind).map_err(|error| machine("signals cannot be heard", &error, "start anew"))
        };
        Ok(Self {
            terminate: hear(SignalKind::terminate())?,
            interrupt: hear(SignalKind::interrupt())?,
        })
    }

    async fn one(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Every room, built and not yet running.
struct House {
    tasks: Tasks,
    clock: Clock,
    store: Handle,
    watch: Watch,
    intake: intake::Stage,
    dispatcher: executions::Dispatcher,
    conductor: executions::Conductor,
    keeper: incidents::Stage,
    scribe: audit::Stage,
    supervisor: Supervisor,
    uses: auth::Keys,
    state: api::State,
    pages: web::Parts,
    url: String,
    first_key: Option<String>,
    keep: retention::Settings,
}

impl House {
    #[expect(clippy::too_many_lines, reason = "the one place where every room meets every other")]
    async fn build(
        config: &Config,
        redb: Arc<Redb>,
        traces: Traces,
        listener: &TcpListener,
    ) -> Result<Self, Error> {
        let url = url(listener)?;
        let clock = clock::system();
        let ids = Ids::new(clock.clone());
        let tasks = Tasks::new();
        let metrics = Metrics::new().traced(traces);
        metrics.kept().stands(config.data.join(STORE));
        let vault = Vault::open(config.master.clone(), redb.clone(), clock.now()).await?;
        vault.tell_of_missing().await?;
        let store = measured(vault.store(), metrics.clone());
        let (book, scribe) = audit::open(Arc::clone(&store), clock.clone());
        let keys = auth::Keys::new(Arc::clone(&store), clock.clone(), ids.clone());
        let first_key = keys.first(&config.data).await?.map(|key| key.reveal().clone());
        let runners = runners(config)?;
        let reload = reload(config, &runners);
        let catalog = load(&reload).await;
        let (door, intake) = intake::open(intake::Parts {
            store: Arc::clone(&store),
            catalog: catalog.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            metrics: metrics.clone(),
        });
        let (executions, dispatcher, conductor) = executions::open(executions::Parts {
            store: Arc::clone(&store),
            catalog: catalog.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            tasks: tasks.clone(),
            runners: runners.iter().map(|runner| (runner.name(), Arc::clone(runner))).collect(),
            tokens: tokens(&keys),
            metrics: metrics.clone(),
            settings: executions::Settings {
                concurrency: config.settings.executions.concurrency,
                timeout: config.settings.executions.timeout.0,
                data: config.data.clone(),
                api_url: url.clone(),
                public_url: public_url(config, &url),
            },
        });
        let (incidents, keeper) = incidents::open(incidents::Parts {
            store: Arc::clone(&store),
            catalog: catalog.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            executions: executions.clone(),
            public_url: public_url(config, &url),
        });
        let watch = Watch::new(&config.home, catalog.clone(), reload, clock.clone());
        let intake = intake.told(watch.changes());
        let dispatcher = dispatcher.told(watch.changes());
        let keeper = keeper.told(watch.changes());
        let hooks = Hooks::new();
        let registry = Registry::new();
        let supervisor = Supervisor {
            catalog: catalog.clone(),
            changes: watch.changes(),
            door: door.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            tasks: tasks.clone(),
            hooks: hooks.clone(),
            registry: registry.clone(),
            client: client()?,
            metrics: metrics.clone(),
        };
        let uses = keys.clone();
        let state = api::State {
            clock: clock.clone(),
            ids,
            tasks: tasks.clone(),
            metrics,
            store: Arc::clone(&store),
            keys,
            book,
            vault,
            catalog,
            door,
            executions,
            incidents,
            hooks,
            sensors: registry,
            runners: Arc::new(known(&runners)),
            backup: backup(&redb),
        };
        let pages = web::Parts {
            clock: clock.clone(),
            keys: state.keys.clone(),
            pace: web::Pace::new(clock.clone(), state.metrics.clone()),
            public_url: public_url(config, &url),
        };
        let keep = config.settings.keep.retention();
        Ok(Self {
            tasks,
            clock,
            store,
            watch,
            intake,
            dispatcher,
            conductor,
            keeper,
            scribe,
            supervisor,
            uses,
            state,
            pages,
            url,
            first_key,
            keep,
        })
    }

    /// Starts every loop, downstream first: what comes in finds everybody at work.
    fn start(self, listener: TcpListener) -> Stages {
        let mut stages = Stages::new(self.tasks.clone());
        let vault = self.state.vault.clone();
        stages.add("executions", |stop| self.dispatcher.run(stop));
        stages.add("workflows", |stop| self.conductor.run(stop));
        stages.add("incidents", |stop| self.keeper.run(stop));
        stages.add("intake", |stop| self.intake.run(stop));
        stages.add("retention", |stop| sweep(self.store, self.clock, self.keep, stop));
        stages.add("keys", |stop| self.uses.run(stop));
        stages.add("audit", |stop| self.scribe.run(stop));
        stages.add("vault", |stop| vault.run(stop));
        let (tasks, pace) = (self.tasks, self.pages.pace.clone());
        stages.add("pace", |stop| pace.run(stop));
        stages.add("api", |stop| {
            let inside = Inside::new(api::gate::router(self.state, stop.clone()));
            api::serve(web::router(self.pages, inside), tasks, listener, stop)
        });
        stages.add("sensors", |stop| self.supervisor.run(stop));
        stages.add("packs", |stop| self.watch.run(stop));
        stages
    }
}

/// The address under which people reach this Ifso.
fn public_url(config: &Config, url: &str) -> String {
    match config.settings.public_url.as_str() {
        "" => url.to_owned(),
        public => public.to_owned(),
    }
}

fn url(listener: &TcpListener) -> Result<String, Error> {
    let address = listener
        .local_addr()
        .map_err(|error| machine("the listener has no address", &error, "start anew"))?;
    let address = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => format!("127.0.0.1:{}", v4.port()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => format!("[::1]:{}", v6.port()),
        other => other.to_string(),
    };
    Ok(format!("http://{address}"))
}

/// The runners, by short name.
fn runners(config: &Config) -> Result<Runners, Error> {
    let program = std::env::current_exe()
        .map_err(|error| machine("this program has no path", &error, "start it by its path"))?;
    let folder = config.data.join("supervisor");
    let holder = Holder::new(supervisor::Settings { program, folder });
    let mut tools = Tools::new(holder);
    tools.environment.extend(config.inherited.clone());
    tools.installing.clone_from(&config.installing);
    Ok(Runners::new(&tools))
}

/// How the home is read again.
fn reload(config: &Config, runners: &Runners) -> Reload {
    let home = config.home.clone();
    let known = types(runners);
    Arc::new(move |previous: &Catalog| {
        let kinds = packs::Kinds {
            runners: &known,
            sensor: &sensors::supervisor::check,
            hooks: &sensors::supervisor::opened,
            built_in: packs::built_in::FILES,
        };
        packs::load(&home, kinds, previous)
    })
}

/// Every runner under all its names, with the parameters that its actions have.
fn types(runners: &Runners) -> packs::Runners {
    let names = runners.iter().flat_map(|runner| {
        std::iter::once(runner.name()).chain(runner.aliases().iter().copied()).map(move |name| {
            let parameters = runner.parameters(name);
            (name.to_owned(), packs::RunnerType { name: runner.name().to_owned(), parameters })
        })
    });
    names.collect()
}

/// The same for clients.
fn known(runners: &Runners) -> Vec<api::RunnerType> {
    let mut known: Vec<_> = runners
        .iter()
        .flat_map(|runner| {
            let names = std::iter::once(runner.name()).chain(runner.aliases().iter().copied());
            names.map(|name| api::RunnerType {
                name: name.to_owned(),
                about: runner.about().to_owned(),
                parameters: runner.parameters(name),
            })
        })
        .collect();
    known.sort_by(|a, b| a.name.cmp(&b.name));
    known
}

/// Reads the home for the first time. What is wrong is told and stops nothing.
async fn load(reload: &Reload) -> Current {
    let reload = Arc::clone(reload);
    let loading = tokio::task::spawn_blocking(move || reload(&Catalog::default()));
    let catalog = loading.await.expect("reading a home does not panic");
    packs::watch::tell(&catalog.problems, &[]);
    Arc::new(ArcSwap::from_pointee(catalog))
}

/// Keys that live as long as an attempt: what an action may call the API with.
fn tokens(keys: &auth::Keys) -> executions::Tokens {
    let keys = keys.clone();
    Arc::new(move |execution: &Execution, timeout: Duration| {
        let key = keys.issue(&execution.user, auth::rights::ACTION, timeout + TOKEN_SLACK);
        let (text, id, keys) = (key.reveal().clone(), key.id, keys.clone());
        executions::Token { text, end: Box::new(move || keys.withdraw(id)) }
    })
}

/// The HTTP client that sensors share: its calls end.
fn client() -> Result<reqwest::Client, Error> {
    let built = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(10))
        .timeout(Duration::from_mins(1))
        .user_agent(concat!("ifso/", env!("CARGO_PKG_VERSION")))
        .build();
    built.map_err(|error| Error::Machine {
        what: format!("the HTTP client cannot be built: {error}"),
        help: "look at the machine's certificates and proxy settings".to_owned(),
    })
}

fn backup(redb: &Arc<Redb>) -> api::Backup {
    let redb = Arc::clone(redb);
    Arc::new(move |path| {
        let redb = Arc::clone(&redb);
        async move { redb.backup(&path).await.map(|copied| copied.file_bytes) }.boxed()
    })
}

/// Forgets what may be forgotten, from time to time.
async fn sweep(store: Handle, clock: Clock, keep: retention::Settings, stop: CancellationToken) {
    loop {
        match retention::sweep(&store, clock.now(), &keep).await {
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "old records were not forgotten; tried again later");
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = clock.sleep_until(clock.now().plus(SWEEP)) => {}
        }
    }
}
