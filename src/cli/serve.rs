//! `ifso serve`.

use std::io::IsTerminal;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::app;
use crate::cli::Whereabouts;
use crate::cli::client::URL_FILE;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::config::{Config, Flags, LogFormat};
use crate::telemetry::traces::Traces;

/// Serve a home. Prints `ready http://…` on stdout once work is accepted; logs go to stderr. SIGTERM
/// drains and ends with code 0; a second one ends at once.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen [default: 127.0.0.1:9101].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Listen on an address that other machines can reach, although nothing is encrypted.
    #[arg(long)]
    insecure_listen: bool,
    /// Log levels, such as `info` or `warn,ifso::rules=debug`.
    #[arg(long, value_name = "LEVELS")]
    log: Option<String>,
    /// The form of log lines.
    #[arg(long, value_enum)]
    log_format: Option<Form>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    Text,
    Json,
}

impl Serve {
    pub(crate) fn run(
        self,
        whereabouts: &Whereabouts,
        output: &mut Output,
    ) -> Result<ExitCode, Failure> {
        let home = whereabouts.home.clone().unwrap_or_else(|| PathBuf::from("."));
        let config = Config::load(&home, std::env::vars(), &self.flags(whereabouts))?;
        config.begin_logs(output.has_colours())?;
        let url_file = config.data.join(URL_FILE);
        let notify = config.notify.clone();
        let format = config.settings.log_format;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::machine("no thread could be started", &error))?;
        let mut announced = false;
        let traces = traces(&config)?;
        let served = runtime.block_on(app::serve(config, traces.clone(), |ready: &app::Ready| {
            announced = true;
            announce(ready, &url_file, format, output);
            tell(notify.as_deref());
        }));
        traces.end();
        // Gone when it serves no longer; but a second Ifso that never did leaves the first one's.
        if announced && let Err(error) = std::fs::remove_file(&url_file) {
            tracing::debug!(%error, "there was no address to take back");
        }
        served?;
        Ok(ExitCode::SUCCESS)
    }

    fn flags(&self, whereabouts: &Whereabouts) -> Flags {
        Flags {
            listen: self.listen.clone(),
            insecure_listen: self.insecure_listen,
            data: whereabouts.data.clone(),
            log: self.log.clone(),
            log_format: self.log_format.map(|form| match form {
                Form::Text => LogFormat::Text,
                Form::Json => LogFormat::Json,
            }),
        }
    }
}

/// Where spans go. Made before any task runs and ended after the last: its client blocks.
fn traces(config: &Config) -> Result<Traces, Failure> {
    let otlp = &config.settings.telemetry.otlp;
    if otlp.is_empty() {
        return Ok(Traces::off());
    }
    // Fails where it was done before, which is fine: there is one kind of cryptography here.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    Traces::to(otlp).map_err(|error| {
        Failure::new(error.to_string()).help("name an OTLP collector over HTTP in `[telemetry]`")
    })
}

/// Tells systemd that work is accepted (`sd_notify(3)`), where it wants to know.
fn tell(socket: Option<&str>) {
    let Some(socket) = socket else { return };
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(socket),
    };
    let told = address
        .and_then(|address| UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address).map(drop));
    if let Err(error) = told {
        tracing::warn!(%error, "systemd was not told that work is accepted");
    }
}

/// Says that work is accepted: one line on stdout, and the first key once on stderr.
fn announce(
    ready: &app::Ready,
    url_file: &std::path::Path,
    format: LogFormat,
    output: &mut Output,
) {
    if let Err(error) = std::fs::write(url_file, format!("{}\n", ready.url)) {
        tracing::warn!(%error, "clients will not find this Ifso by its home");
    }
    let mut said = Ok(());
    if let Some(key) = &ready.first_key {
        let file = url_file.with_file_name("admin.key");
        // What goes to a log or a journal is read by others.
        said = if std::io::stderr().is_terminal() {
            output.notice(&format!("the first admin key, shown once: {key}"))
        } else {
            Ok(())
        };
        said = said.and_then(|()| match format {
            LogFormat::Text => output.note(&format!(
                "the first admin key stands in `{}`, for you alone",
                file.display()
            )),
            // Whoever reads objects reads nothing else.
            LogFormat::Json => {
                tracing::info!(file = %file.display(), "the first admin key stands in a file");
                Ok(())
            }
        });
    }
    if said.and_then(|()| output.line(&format!("ready {}", ready.url))).is_err() {
        tracing::warn!("nobody reads standard output");
    }
}
