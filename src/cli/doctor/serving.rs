//! The store, and the Ifso that serves it, where one does.

use std::net::TcpListener;

use crate::app;
use crate::cli::Whereabouts;
use crate::cli::client::Client;
use crate::cli::doctor::finding::{Finding, State};
use crate::cli::failure::Failure;
use crate::config::Config;
use crate::store;
use crate::store::redb::Report;

/// Looks at every record, unless a process has the store.
pub(super) fn store(config: &Config) -> (Finding, Option<Report>) {
    let report = match app::doctor(config) {
        Ok(report) => report,
        Err(app::Error::NoStore { .. }) => {
            return (Finding::ok("store", "there is none yet; `ifso serve` makes one"), None);
        }
        // Who has it is asked instead.
        Err(app::Error::Store(error @ store::Error::InUse { .. })) => {
            return (Finding::look("store", error.to_string()), None);
        }
        Err(error) => {
            let next = error.help().unwrap_or_else(|| "look at the disk".to_owned());
            return (Finding::wrong("store", error.to_string()).next(next), None);
        }
    };
    let records: u64 = report.tables.iter().map(|table| table.records).sum();
    let what = format!(
        "{records} records in {} MiB, format {}, commit {}",
        report.file_bytes >> 20,
        report.format,
        report.revision
    );
    let finding = if report.is_sound() {
        Finding::ok("store", format!("{what}, all sound"))
    } else {
        let first = report.damaged.first().map(|first| format!("; the first: {first}"));
        let what = format!("{what}, {} damaged{}", report.damaged.len(), first.unwrap_or_default());
        Finding::wrong("store", what).next("restore a backup with `ifso restore FILE`")
    };
    (finding, Some(report))
}

/// Asks the Ifso that serves this home; where none does, whether one could. `store` says whether a
/// process has the store (`Look`).
pub(super) async fn server(
    whereabouts: &Whereabouts,
    config: &Config,
    store: State,
) -> Result<Vec<Finding>, Failure> {
    let client = Client::find(whereabouts)?;
    let asked = store == State::Look || whereabouts.url.is_some();
    if !asked {
        return Ok(vec![Finding::ok("server", "none serves this home"), port(config)]);
    }
    let ready = match client.get("/readyz", &[]).await {
        Ok(ready) => ready,
        Err(failure) => {
            let next = failure.help.unwrap_or_else(|| "look at its log".to_owned());
            return Ok(vec![Finding::wrong("server", failure.message).next(next)]);
        }
    };
    let mut found = vec![Finding::ok("server", format!("answers at {}", client.url()))];
    let parts = ready["parts"].as_object().into_iter().flatten();
    found.extend(parts.filter(|(_, part)| part["state"] != "ok").map(|(_, part)| {
        let words = |name: &str| part[name].as_str().unwrap_or_default().to_owned();
        Finding::look("server", words("what")).next(words("help"))
    }));
    Ok(found)
}

/// Whether the address is free that the next start wants.
fn port(config: &Config) -> Finding {
    let listen = &config.settings.listen;
    match config.address().map(|(address, _)| TcpListener::bind(address)) {
        Ok(Ok(_)) => Finding::ok("port", format!("`{listen}` is free")),
        Ok(Err(error)) => {
            Finding::wrong("port", format!("`{listen}` cannot be listened on: {error}"))
                .next("end the program that listens there (`ss -ltnp`), or change `listen`")
        }
        // Said already, of the home.
        Err(_) => Finding::look("port", format!("`{listen}` was not tried")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_wrong() {
        let home = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = taken.local_addr().unwrap().to_string();
        let pairs = [("IFSO_LISTEN".to_owned(), listen)];
        let config = Config::load(home.path(), pairs, &crate::config::Flags::default()).unwrap();
        assert_eq!(port(&config).state, State::Wrong);
        drop(taken);
        assert_eq!(port(&config).state, State::Ok);
        assert_eq!(store(&config).0.what, "there is none yet; `ifso serve` makes one");
        assert!(store(&config).1.is_none());
    }
}
