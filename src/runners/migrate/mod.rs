//! `migrate`: moves the objects of a bucket or folder to another, whatever happens meanwhile. What is done
//! is in a durable manifest; whoever comes next goes on where the last one stopped.

mod copy;
mod hash;
mod limits;
mod manifest;
mod meter;
mod order;
mod pace;
mod place;
mod preview;
mod report;
mod row;
mod run;
mod store;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use redb::Database;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::copy::{Copier, Held};
use self::limits::{Limits, Note, notes};
use self::manifest::{Change, Head};
use self::meter::Meter;
use self::order::{Order, text};
use self::pace::{Gate, Pace};
use self::run::{Broken, Run};
use self::store::Fault;
use super::process;
use crate::clock::{self, Clock};
use crate::model::execution::End;
use crate::model::parameter::Parameters;
use crate::runners::{Begin, Ended, Job, Outcome, Runner};
use crate::tasks::Tasks;

/// Where manifests are, below the data folder.
const FOLDER: &str = "migrations";
/// The manifest, in the folder of its migration.
const MANIFEST: &str = "manifest.redb";

/// Migrates objects.
pub(super) struct Migrate {
    clock: Clock,
    /// Migrations that this process carries out, by name.
    live: Arc<Mutex<BTreeMap<String, Live>>>,
}

/// A migration that is carried out.
struct Live {
    execution: String,
    db: Option<Arc<Database>>,
    limits: watch::Sender<Limits>,
}

/// Takes a migration off the list of the live ones.
struct Listed {
    live: Arc<Mutex<BTreeMap<String, Live>>>,
    name: String,
}

impl Drop for Listed {
    fn drop(&mut self) {
        locked(&self.live).remove(&self.name);
    }
}

fn locked(live: &Mutex<BTreeMap<String, Live>>) -> MutexGuard<'_, BTreeMap<String, Live>> {
    live.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Migrate {
    pub(super) fn new() -> Self {
        // Whoever came first has installed the same one.
        if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
            tracing::trace!("The provider for TLS is installed already");
        }
        Self { clock: clock::system(), live: Arc::default() }
    }
}

#[async_trait]
impl Runner for Migrate {
    fn name(&self) -> &'static str {
        "migrate"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    fn about(&self) -> &'static str {
        "Migrates the objects of a bucket or folder to another, verified, at a limited rate, and goes on where it stopped"
    }

    fn parameters(&self, _runner_type: &str) -> Parameters {
        order::parameters()
    }

    fn survives(&self) -> bool {
        true
    }

    fn holds(&self) -> bool {
        true
    }

    async fn run(&self, job: Job, stop: CancellationToken) -> Outcome {
        let done = match text(&job.parameters, "operation").unwrap_or("copy") {
            "copy" => self.copy(&job, &stop).await,
            "throttle" => self.throttle(&job).await.map(Outcome::succeeded),
            "report" => self.report(&job).await.map(Outcome::succeeded),
            other => Err(format!(
                "parameter `operation`: there is no `{other}`; choose `copy`, `throttle` or `report`"
            )),
        };
        done.unwrap_or_else(Outcome::failed)
    }
}

impl Migrate {
    async fn copy(&self, job: &Job, stop: &CancellationToken) -> Result<Outcome, String> {
        let order = Order::read(&job.parameters, &job.config)?;
        if stop.is_cancelled() {
            return Ok(Outcome::ended(Ended::So(End::Canceled), "it was cancelled"));
        }
        if order.dry_run {
            return preview::preview(&order, &folder(&job.data, &order.name), &self.clock).await;
        }
        let (limits, listed) = self.enlisted(job, &order)?;
        let folder = folder(&job.data, &order.name);
        let fresh = job.begin == Begin::Fresh;
        let note = blocking({
            let (folder, order) = (
                folder.clone(),
                (order.name.clone(), order.from.to_string(), order.to.to_string(), order.limits),
            );
            move || noted(&folder, order, fresh)
        })
        .await?;
        // What was set while it ran holds when it goes on.
        limits.send_replace(note.limits);
        let file = folder.join(MANIFEST);
        let db = blocking(move || manifest::open(&file)).await?;
        if let Some(live) = locked(&self.live).get_mut(&order.name) {
            live.db = Some(db.clone());
        }
        let (began, execution) = (self.clock.now().millis(), job.execution.to_string());
        let (places, known) = ((order.from.to_string(), order.to.to_string()), db.clone());
        let (head, meter) =
            blocking(move || taken_up(&known, &places, &execution, (fresh, began))).await?;
        let carried = self.carry(job, stop, Carried { order, db, head, meter, limits }).await;
        drop(listed);
        carried
    }

    /// Puts it on the list of the live ones, where it is not there already.
    fn enlisted(
        &self,
        job: &Job,
        order: &Order,
    ) -> Result<(watch::Sender<Limits>, Listed), String> {
        let mut live = locked(&self.live);
        if let Some(other) = live.get(&order.name) {
            let (name, execution) = (&order.name, &other.execution);
            return Err(format!(
                "migration `{name}` runs already, as execution `{execution}`; wait for it, or give this one another `name`"
            ));
        }
        let limits = watch::channel(order.limits).0;
        let execution = job.execution.to_string();
        live.insert(order.name.clone(), Live { execution, db: None, limits: limits.clone() });
        Ok((limits, Listed { live: self.live.clone(), name: order.name.clone() }))
    }

    async fn carry(
        &self,
        job: &Job,
        stop: &CancellationToken,
        carried: Carried,
    ) -> Result<Outcome, String> {
        let Carried { order, db, head, meter, limits } = carried;
        let requests = Arc::new(Pace::new(self.clock.clone()));
        let source = store::open(&order.from, requests.clone(), &self.clock)?;
        let target = store::open(&order.to, requests.clone(), &self.clock)?;
        let (manifest, writer) = manifest::over(db.clone(), target.clone(), self.clock.clone());
        let tasks = Tasks::new();
        let _writer = Held::new(tasks.spawn(writer.run()));
        let copier = Copier {
            source,
            target,
            manifest: manifest.clone(),
            gate: Arc::new(Gate::new(order.limits.concurrency)),
            bytes: Arc::new(Pace::new(self.clock.clone())),
            meter: meter.clone(),
            clock: self.clock.clone(),
            tasks,
            part_bytes: order.part_bytes,
            read_back: order.read_back,
            run: head.run,
        };
        let run = Run {
            copier: Arc::new(copier),
            choice: order.choice.clone(),
            second_pass: order.second_pass,
            remove_source: order.remove_source,
            limits: limits.subscribe(),
            requests,
        };
        let saved = manifest.commit(vec![Change::Head(head.clone())]).await;
        saved.map_err(|fault| fault.to_string())?;
        let timeout = process::timeout(job);
        let began = head.began;
        let driven = match run.copier.target.probe().await {
            Ok(()) => run.drive(job, head, timeout, stop).await,
            Err(fault) => Err(Broken::Fault(fault)),
        };
        // What was done so far is kept, however it ended.
        let kept = manifest.commit(Vec::new()).await.map_err(|fault| fault.to_string());
        let done = driven.is_ok();
        let failures = blocking(move || report::failures(&db, done)).await?;
        kept?;
        let seconds = self.clock.now().millis().saturating_sub(began) / 1000;
        Ok(outcome(&order, &meter, &failures, (driven, seconds)))
    }

    /// Changes the limits of migrations, also of those that run.
    async fn throttle(&self, job: &Job) -> Result<Value, String> {
        let meant = self.meant(job).await?;
        let mut told = Vec::new();
        for (folder, mut note) in meant {
            note.limits = note.limits.with(&job.parameters)?;
            let (saved, kept) = (note.clone(), folder.clone());
            blocking(move || saved.save(&kept).map_err(|error| error.to_string())).await?;
            let live = locked(&self.live);
            let running = live.get(&note.name).map(|live| live.limits.send_replace(note.limits));
            told.push(json!({
                "name": note.name,
                "running": running.is_some(),
                "before": running,
                "limits": note.limits,
            }));
        }
        Ok(json!({ "migrations": told }))
    }

    async fn report(&self, job: &Job) -> Result<Value, String> {
        let mut reports = Vec::new();
        for (folder, note) in self.meant(job).await? {
            let live = locked(&self.live).get(&note.name).map(|live| live.db.clone());
            let running = live.is_some();
            let report = blocking(move || {
                let db = match live.flatten() {
                    Some(db) => db,
                    None => manifest::open(&folder.join(MANIFEST))?,
                };
                report::report(&db, &note, running)
            });
            reports.push(report.await?);
        }
        Ok(json!({ "migrations": reports }))
    }

    /// The migrations that `name` means.
    async fn meant(&self, job: &Job) -> Result<Vec<(PathBuf, Note)>, String> {
        let name = text(&job.parameters, "name").unwrap_or("*").to_owned();
        let root = job.data.join(FOLDER);
        let all = blocking(move || Ok(notes(&root))).await?;
        if name == "*" {
            return Ok(all);
        }
        let found: Vec<_> = all.iter().filter(|(_, note)| note.name == name).cloned().collect();
        if found.is_empty() {
            let known = all.iter().map(|(_, note)| note.name.as_str());
            return Err(place::unknown("name", &name, known));
        }
        Ok(found)
    }
}

/// What carries a migration.
struct Carried {
    order: Order,
    db: Arc<Database>,
    head: Head,
    meter: Arc<Meter>,
    limits: watch::Sender<Limits>,
}

/// Where a migration's files are: its name as far as a file's name can say it, and a hash.
fn folder(data: &Path, name: &str) -> PathBuf {
    let plain = |sign: char| if sign.is_ascii_alphanumeric() { sign } else { '-' };
    let readable: String = name.chars().map(plain).take(60).collect();
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    let readable = readable.trim_matches('-');
    data.join(FOLDER).join(format!("{readable}-{}", row::hex(&hash.as_ref()[..4])))
}

/// Blocking work, where waiting does no harm.
async fn blocking<T, F>(work: F) -> Result<T, String>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, String> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| format!("the work crashed: {error}"))?
}

/// The note beside the manifest, made or brought up to date. Blocks.
fn noted(
    folder: &Path,
    (name, from, to, limits): (String, String, String, Limits),
    fresh: bool,
) -> Result<Note, String> {
    let known = Note::load(folder);
    if let Some(known) = known.as_ref().filter(|known| known.from != from || known.to != to) {
        let (from, to) = (&known.from, &known.to);
        return Err(format!(
            "migration `{name}` goes from `{from}` to `{to}`; give this one another `name`"
        ));
    }
    let limits = known.filter(|_| !fresh).map_or(limits, |known| known.limits);
    let note = Note { name, from, to, limits };
    note.save(folder).map_err(|error| format!("`{}`: {error}", folder.display()))?;
    Ok(note)
}

/// The head of the run to carry out, and what its manifest says was done. Blocks.
fn taken_up(
    db: &Database,
    (from, to): &(String, String),
    execution: &str,
    (fresh, began): (bool, i64),
) -> Result<(Head, Arc<Meter>), String> {
    let known = manifest::read_head(db)?;
    let head = match known {
        Some(head) if !fresh && head.execution == execution => head,
        known => known.unwrap_or_else(|| Head::new(from, to)).renewed(execution, began),
    };
    let meter = Meter::default();
    manifest::rows(db, None, |_, row| {
        meter.found(&row, head.run, head.checked_since);
        true
    })?;
    Ok((head, Arc::new(meter)))
}

fn outcome(
    order: &Order,
    meter: &Meter,
    failures: &report::Failures,
    (driven, seconds): (Result<(), Broken>, i64),
) -> Outcome {
    let second = json!({ "objects": meter.second.get(), "bytes": meter.second_bytes.get() });
    let result = json!({
        "name": order.name,
        "from": order.from.to_string(),
        "to": order.to.to_string(),
        "objects": meter.copied.get(),
        "bytes": meter.copied_bytes.get(),
        "skipped": meter.skipped.get(),
        "excluded": meter.excluded.get(),
        "removed": meter.removed.get(),
        "gone": meter.gone.get(),
        "failed": failures.count,
        "failures": failures.to_json(),
        "seconds": seconds,
        "second_pass": if order.second_pass { second } else { Value::Null },
    });
    let goes_on = "another of the same name goes on where it stopped";
    let (end, reason) = match driven {
        Ok(()) => match failures.told.first() {
            None => (End::Succeeded, None),
            Some((key, reason)) => {
                let count = failures.count;
                let why = format!(
                    "{count} objects could not be copied, the first is `{key}`: {reason}; run it again to try them again"
                );
                (End::Failed, Some(why))
            }
        },
        Err(Broken::Off(End::Canceled)) => {
            (End::Canceled, Some(format!("it was cancelled; {goes_on}")))
        }
        Err(Broken::Off(end)) => (end, Some(format!("its time was up; {goes_on}"))),
        Err(Broken::Fault(fault)) => (End::Failed, Some(told(&fault))),
    };
    Outcome { ended: Ended::So(end), result, reason }
}

fn told(fault: &Fault) -> String {
    match fault {
        Fault::Unreachable(_) | Fault::Busy(_) => {
            format!("{fault}; what was copied so far is kept, run it again to go on")
        }
        fault => fault.to_string(),
    }
}
