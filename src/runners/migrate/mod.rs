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
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::copy::{Copier, Held};
use self::limits::{Limits, Note, notes};
use self::manifest::{Change, Head};
use self::meter::Meter;
use self::order::{Order, Verify, text};
use self::pace::{Gate, Pace};
use self::run::{Broken, Run};
use self::store::{Fault, Store};
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
    /// Who changes limits.
    notes: Arc<Mutex<()>>,
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
        Self { clock: clock::system(), live: Arc::default(), notes: Arc::default() }
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
            "copy" => Box::pin(self.copy(&job, &stop)).await,
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
        let order = Order::read(&job.parameters, &job.config, home(&job.data))?;
        if stop.is_cancelled() {
            return Ok(Outcome::ended(Ended::So(End::Canceled), "it was cancelled"));
        }
        if order.dry_run {
            return preview::preview(&order, &folder(&job.data, &order.name), &self.clock).await;
        }
        let requests = Arc::new(Pace::new(self.clock.clone()));
        let ends = Ends {
            source: store::open(&order.from, requests.clone(), &self.clock)?,
            target: store::open(&order.to, requests.clone(), &self.clock)?,
            requests,
        };
        let (limits, _listed) = self.enlisted(job, &order)?;
        // A migration that cannot begin leaves nothing behind.
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                return Ok(Outcome::ended(Ended::So(End::Canceled), "it was cancelled"));
            }
            looked = ends.probe(&self.clock) => looked.map_err(|fault| told(&fault))?,
        }
        let fresh = job.begin == Begin::Fresh;
        let (folder, asked) = (folder(&job.data, &order.name), job.parameters.clone());
        let (name, from, to) = (order.name.clone(), order.from.to_string(), order.to.to_string());
        let (notes, file) = (self.notes.clone(), folder.join(MANIFEST));
        let note = Note { name, from, to, limits: order.limits };
        let note = blocking(move || {
            let _one = notes.lock().unwrap_or_else(PoisonError::into_inner);
            noted(&folder, note, fresh.then_some(&asked))
        });
        let note = note.await?;
        limits.send_replace(note.limits);
        let db = blocking(move || manifest::open(&file)).await?;
        if let Some(live) = locked(&self.live).get_mut(&order.name) {
            live.db = Some(db.clone());
        }
        let (began, execution) = (self.clock.now().millis(), job.execution.to_string());
        let known = db.clone();
        let (head, meter) =
            blocking(move || taken_up(&known, &note, &execution, (fresh, began))).await?;
        let carried = Carried { order, ends, db, head, meter, limits };
        Box::pin(self.carry(job, stop, carried)).await
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
        let Carried { order, ends, db, head, meter, limits } = carried;
        let Ends { source, target, requests } = ends;
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
            read_back: order.verify == Verify::Full,
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
        let driven = Box::pin(run.drive(job, head, timeout, stop)).await;
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
        // A rule may ask before the first run: then there is nothing to slow, and that is no failure.
        let (meant, message) = match self.meant(job).await {
            Ok(meant) => (meant, None),
            Err(message) => (Vec::new(), Some(message)),
        };
        Limits::default().with(&job.parameters)?;
        let (live, notes, asked) = (self.live.clone(), self.notes.clone(), job.parameters.clone());
        let told = blocking(move || {
            // One after the other: each starts from what the last one set.
            let _one = notes.lock().unwrap_or_else(PoisonError::into_inner);
            let throttled = |(folder, note): (PathBuf, Note)| {
                let mut note = Note::load(&folder).unwrap_or(note);
                note.limits = note.limits.with(&asked)?;
                note.save(&folder).map_err(|error| format!("`{}`: {error}", folder.display()))?;
                let live = locked(&live);
                let before = live.get(&note.name).map(|live| live.limits.send_replace(note.limits));
                Ok(json!({
                    "name": note.name,
                    "running": before.is_some(),
                    "limits": note.limits,
                }))
            };
            meant.into_iter().map(throttled).collect::<Result<Vec<_>, String>>()
        });
        Ok(json!({ "migrations": told.await?, "message": message }))
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
    ends: Ends,
    db: Arc<Database>,
    head: Head,
    meter: Arc<Meter>,
    limits: watch::Sender<Limits>,
}

/// The two ends, and what paces requests to both.
struct Ends {
    source: Arc<dyn Store>,
    target: Arc<dyn Store>,
    requests: Arc<Pace>,
}

impl Ends {
    /// Looks whether both can be used.
    async fn probe(&self, clock: &Clock) -> Result<(), Fault> {
        copy::tried(clock, || self.source.gives()).await?;
        copy::tried(clock, || self.target.probe()).await
    }
}

/// The home: the data folder is in it, unless somebody moved that.
fn home(data: &Path) -> &Path {
    data.parent().unwrap_or(data)
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

/// The note beside the manifest, made or brought up to date: what was set while it ran holds when it
/// goes on, and in later runs where those do not say otherwise (`asked`). Blocks.
fn noted(
    folder: &Path,
    mut note: Note,
    asked: Option<&Map<String, Value>>,
) -> Result<Note, String> {
    if let Some(known) = Note::load(folder) {
        if known.from != note.from || known.to != note.to {
            let Note { name, from, to, .. } = known;
            return Err(format!(
                "migration `{name}` goes from `{from}` to `{to}`; give this one another `name`"
            ));
        }
        note.limits = match asked {
            Some(asked) => known.limits.with(asked)?,
            None => known.limits,
        };
    }
    note.save(folder).map_err(|error| format!("`{}`: {error}", folder.display()))?;
    Ok(note)
}

/// The head of the run to carry out, and what its manifest says was done. Blocks.
fn taken_up(
    db: &Database,
    note: &Note,
    execution: &str,
    (fresh, began): (bool, i64),
) -> Result<(Head, Arc<Meter>), String> {
    let known = manifest::read_head(db)?;
    let head = match known {
        Some(head) if !fresh && head.execution == execution => head,
        known => known.unwrap_or_else(|| Head::new(&note.from, &note.to)).renewed(execution, began),
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
