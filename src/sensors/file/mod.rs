//! `file`: a watched folder. A file that is still being written does not become an event early; what
//! came while Ifso was down becomes one at the next start.
//!
//! The system's notices (inotify) only say where to look; what is reported is what stands there. A
//! regular look at the whole folder finds what notices miss, as on network file systems.

mod folder;
mod tracker;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use globset::GlobBuilder;
use notify::event::{AccessKind, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::intake::Submission;
use crate::model::event::{Origin, Report};
use crate::model::problem::Problem;
use crate::model::reference::Reference;
use crate::model::sensor::Definition;
use crate::model::time::Time;
use crate::sensors::file::folder::{Folder, look};
use crate::sensors::file::tracker::{Change, News, Tracker};
use crate::sensors::span::Span;
use crate::sensors::{Context, Error, Kind, Sensor, settings, wrong};

/// See the module.
pub(super) struct File;

const EXAMPLE: &str = "\
kind: file
path: /srv/inbox                # a folder, as seen from the pack's; symbolic links in it are not followed
glob: \"*.csv\"                   # default *; names that begin with a dot only count where this one does
recursive: false                # default
on: [created, changed, removed] # default
settle: 500ms                   # default: a file is complete when it stood still for so long and is closed
initial: skip                   # default; report: files that were there before the sensor
missed: report                  # default; skip: files that came while Ifso was down
poll: 30s                       # default: a look at the whole folder, besides the system's notices
trigger: inbox.file             # default: file.created, file.changed, file.removed
";

/// Notices that wait at most; where more come, the whole folder is looked at.
const NOTICES_LIMIT: usize = 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    path: PathBuf,
    #[serde(default = "any")]
    glob: String,
    #[serde(default)]
    recursive: bool,
    #[serde(default = "every", rename = "on")]
    changes: Vec<Wanted>,
    #[serde(default = "settle")]
    settle: Span,
    #[serde(default)]
    initial: Old,
    #[serde(default = "report")]
    missed: Old,
    #[serde(default = "half_a_minute")]
    poll: Span,
    #[serde(default)]
    trigger: Option<Reference>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wanted {
    Created,
    Changed,
    Removed,
}

/// What becomes of files that were there before the sensor looked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Old {
    #[default]
    Skip,
    Report,
}

fn any() -> String {
    "*".to_owned()
}

fn every() -> Vec<Wanted> {
    vec![Wanted::Created, Wanted::Changed, Wanted::Removed]
}

fn settle() -> Span {
    Span(std::time::Duration::from_millis(500))
}

fn report() -> Old {
    Old::Report
}

fn half_a_minute() -> Span {
    Span::seconds(30)
}

struct Watched {
    definition: Arc<Definition>,
    settings: Settings,
    folder: Folder,
    stream: Arc<str>,
}

impl Kind for File {
    fn name(&self) -> &'static str {
        "file"
    }

    fn about(&self) -> &'static str {
        "reports files of a folder that were created, changed or removed"
    }

    fn example(&self) -> &'static str {
        EXAMPLE
    }

    fn build(&self, definition: &Arc<Definition>) -> Result<Box<dyn Sensor>, Vec<Problem>> {
        let settings: Settings = settings(definition)?;
        let glob = GlobBuilder::new(&settings.glob).literal_separator(true).build();
        let glob = glob.map_err(|error| vec![wrong(definition, "glob", error)])?.compile_matcher();
        if settings.poll < Span::seconds(1) {
            return Err(vec![wrong(definition, "poll", "expected 1s or more")]);
        }
        let hidden = settings.glob.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
        // Without `.` in the middle: notices name paths as they were asked for.
        let root = definition.folder.join(&settings.path).components().collect();
        let folder = Folder { root, glob, recursive: settings.recursive, hidden };
        let stream = format!("file/{}/{}", definition.reference, folder.root.display()).into();
        Ok(Box::new(Watched { definition: Arc::clone(definition), settings, folder, stream }))
    }
}

/// A notice of the system: where something happened, and whether it was written to or closed.
struct Notice {
    paths: Vec<PathBuf>,
    open: Option<bool>,
}

/// The notices of one folder; dropped, they end.
struct Notices {
    _watcher: RecommendedWatcher,
    coming: mpsc::Receiver<Notice>,
    /// Some were lost: look everywhere.
    lost: Arc<AtomicBool>,
}

#[async_trait]
impl Sensor for Watched {
    async fn run(&self, context: Context, stop: CancellationToken) -> Result<(), Error> {
        let mut notices = self.listen()?;
        let mut tracker = self.begin(&context).await?;
        context.health.running();
        let mut scan = context.clock.now().plus(self.settings.poll.0);
        loop {
            let due = tracker.next(self.settings.settle.0).map_or(scan, |next| next.min(scan));
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                notice = notices.coming.recv() => {
                    let notice = notice.ok_or_else(|| self.away(&"its notices ended"))?;
                    self.follow(&mut tracker, &mut notices, notice, &context).await?;
                }
                () = context.clock.sleep_until(due) => {}
            }
            let now = context.clock.now();
            if now >= scan || notices.lost.swap(false, Ordering::Relaxed) {
                self.look_everywhere(&mut tracker, now).await?;
                scan = now.plus(self.settings.poll.0);
            }
            let still = tracker.still(now, self.settings.settle.0);
            self.look_at(&mut tracker, still, now).await?;
            self.tell(&mut tracker, &context, now).await?;
        }
    }
}

impl Watched {
    fn listen(&self) -> Result<Notices, Error> {
        let (sender, coming) = mpsc::channel(NOTICES_LIMIT);
        let lost = Arc::new(AtomicBool::new(false));
        let missed = Arc::clone(&lost);
        let heard = move |event: notify::Result<notify::Event>| {
            let notice = match event {
                Ok(event) if event.need_rescan() => None,
                Ok(event) => match open(event.kind) {
                    Some(open) => Some(Notice { paths: event.paths, open }),
                    None => return,
                },
                Err(_) => None,
            };
            let lost = notice.is_none_or(|notice| sender.try_send(notice).is_err());
            if lost {
                missed.store(true, Ordering::Relaxed);
            }
        };
        let mode = if self.folder.recursive {
            RecursiveMode::Recursive
        } else {
            RecursiveMode::NonRecursive
        };
        let mut watcher =
            RecommendedWatcher::new(heard, notify::Config::default().with_follow_symlinks(false))
                .map_err(|error| self.away(&error))?;
        watcher.watch(&self.folder.root, mode).map_err(|error| self.away(&error))?;
        Ok(Notices { _watcher: watcher, coming, lost })
    }

    /// The first look: what was settled before is known, the rest is news or is left alone.
    async fn begin(&self, context: &Context) -> Result<Tracker, Error> {
        let (found, now) = (self.scan().await?, context.clock.now());
        let position = context.door.position(&self.stream).await?;
        let old = if position.is_some() { self.settings.missed } else { self.settings.initial };
        let settled = match (old, position) {
            (Old::Report, position) => position.unwrap_or(i64::MIN),
            (Old::Skip, _) => i64::MAX,
        };
        let mut tracker = Tracker::default();
        for (path, print) in &found {
            if print.touched <= settled {
                tracker.know(path.clone(), *print);
            } else {
                tracker.observe(path, Some(*print), now);
            }
        }
        if settled == i64::MAX || position.is_none() {
            let newest = found.iter().map(|(_, print)| print.touched).max().unwrap_or(0);
            let at = if settled == i64::MAX { newest } else { 0 };
            let advance = vec![Origin { stream: Arc::clone(&self.stream), at }];
            context.report(Submission { advance, ..Submission::default() }).await?;
        }
        Ok(tracker)
    }

    /// Looks where notices say, at all that wait.
    async fn follow(
        &self,
        tracker: &mut Tracker,
        notices: &mut Notices,
        first: Notice,
        context: &Context,
    ) -> Result<(), Error> {
        let (mut paths, mut open) = (BTreeSet::new(), Vec::new());
        let mut next = Some(first);
        while let Some(notice) = next {
            for path in notice.paths.into_iter().filter(|path| self.folder.has(path)) {
                open.extend(notice.open.map(|open| (path.clone(), open)));
                paths.insert(path);
            }
            next = notices.coming.try_recv().ok();
        }
        self.look_at(tracker, paths.into_iter().collect(), context.clock.now()).await?;
        for (path, open) in open {
            tracker.written(&path, open);
        }
        Ok(())
    }

    async fn look_at(
        &self,
        tracker: &mut Tracker,
        paths: Vec<PathBuf>,
        now: Time,
    ) -> Result<(), Error> {
        if paths.is_empty() {
            return Ok(());
        }
        let looks = move || paths.into_iter().map(|path| (look(&path), path)).collect::<Vec<_>>();
        let looks = tokio::task::spawn_blocking(looks).await.map_err(|error| self.away(&error))?;
        for (print, path) in looks {
            tracker.observe(&path, print, now);
        }
        Ok(())
    }

    async fn look_everywhere(&self, tracker: &mut Tracker, now: Time) -> Result<(), Error> {
        let found = self.scan().await?;
        let there: BTreeSet<_> = found.iter().map(|(path, _)| path.clone()).collect();
        for path in tracker.paths().iter().filter(|path| !there.contains(*path)) {
            tracker.observe(path, None, now);
        }
        for (path, print) in found {
            tracker.observe(&path, Some(print), now);
        }
        Ok(())
    }

    async fn scan(&self) -> Result<Vec<(PathBuf, tracker::Print)>, Error> {
        let folder = self.folder.clone();
        let scanned = tokio::task::spawn_blocking(move || folder.scan()).await;
        scanned.map_err(|error| self.away(&error))?.map_err(|error| self.away(&error))
    }

    async fn tell(&self, tracker: &mut Tracker, context: &Context, now: Time) -> Result<(), Error> {
        let news = tracker.news(now, self.settings.settle.0);
        if news.is_empty() {
            return Ok(());
        }
        let mut submission = Submission::default();
        for news in news.iter().filter(|news| self.wants(news.change)) {
            match news.path.to_str() {
                Some(_) => submission.reports.push(self.event(news)),
                None => submission.dead_letters.push(context.dead_letter(
                    self.definition.reference.as_str(),
                    &self.folder.root.display().to_string(),
                    "the file's name is no UTF-8".to_owned(),
                    news.path.as_os_str().as_encoded_bytes(),
                )),
            }
        }
        let settled = tracker.settled(&news);
        let origin = |at| Origin { stream: Arc::clone(&self.stream), at };
        submission.advance = settled.map(origin).into_iter().collect();
        context.report(submission).await?;
        tracker.reported(&news);
        Ok(())
    }

    fn wants(&self, change: Change) -> bool {
        let wanted = match change {
            Change::Created => Wanted::Created,
            Change::Changed => Wanted::Changed,
            Change::Removed => Wanted::Removed,
        };
        self.settings.changes.contains(&wanted)
    }

    fn event(&self, News { path, change, print }: &News) -> Report {
        let word = change.word();
        let trigger = self
            .settings
            .trigger
            .clone()
            .unwrap_or_else(|| format!("file.{word}").parse().expect("a whole reference"));
        let (path, sensor) = (path.to_string_lossy(), self.definition.reference.as_str());
        let modified = Time::from_millis(print.modified / 1_000_000);
        let data = json!({
            "change": word,
            "path": path,
            "name": path.rsplit('/').next(),
            "size": print.size,
            "modified": modified.to_string(),
        });
        let mut report = Report::new(trigger, sensor, data);
        report.subject = Some(path.as_ref().into());
        // The same state of the same file is one event, however often it is looked at.
        report.once = Some(format!("file/{sensor}/{word}/{}/{}/{path}", print.touched, print.size));
        report
    }

    fn away(&self, error: &dyn std::fmt::Display) -> Error {
        let what = format!("folder `{}` cannot be watched: {error}", self.folder.root.display());
        Error::Source { what }
    }
}

/// What a notice says about writing; nothing at all where it is only about reading.
#[expect(clippy::option_option, reason = "outside: whether to look; inside: whether it is known")]
fn open(kind: EventKind) -> Option<Option<bool>> {
    match kind {
        // A new file is opened in the same moment; one that is linked or moved into place is not.
        EventKind::Access(AccessKind::Open(_)) | EventKind::Modify(ModifyKind::Data(_)) => {
            Some(Some(true))
        }
        EventKind::Access(AccessKind::Close(_)) => Some(Some(false)),
        EventKind::Access(_) => None,
        _ => Some(None),
    }
}
