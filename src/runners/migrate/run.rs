//! A run of a migration: lists and copies at the same time, once more for what changed meanwhile, and
//! removes sources at the end. Which objects are next is in the manifest, never in memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::copy::{Copier, Held};
use super::limits::Limits;
use super::manifest::{Brought, Change, Head, Stage};
use super::meter::Speed;
use super::order::Choice;
use super::pace::Pace;
use super::row::Wanted;
use super::store::{Fault, Page};
use crate::model::execution::End;
use crate::runners::{Job, Piece, Stream};

/// Objects that are read from the manifest at a time.
const BATCH: usize = 1000;
/// Fewer in hand than so many, and the next are read.
const LOW: usize = 200;
/// How often what changed between its copy and its removal is copied again.
const ROUNDS: usize = 6;
/// Between two lines of progress.
const TELL: Duration = Duration::from_secs(1);

/// A run under way.
pub(super) struct Run {
    pub(super) copier: Arc<Copier>,
    pub(super) choice: Choice,
    pub(super) second_pass: bool,
    pub(super) remove_source: bool,
    pub(super) limits: watch::Receiver<Limits>,
    pub(super) requests: Arc<Pace>,
}

/// Why a run ended before its end.
#[derive(Debug)]
pub(super) enum Broken {
    /// It was told to, or its time was up.
    Off(End),
    /// Nothing can be copied.
    Fault(Fault),
}

/// How far a listing is, for who copies what it brings: pages, and whether it ended.
type Listed = (u64, bool);

impl Run {
    /// Carries the run on from `head` to its end, under the eyes of whoever holds, limits or stops it.
    pub(super) async fn drive(
        &self,
        job: &Job,
        head: Head,
        timeout: Duration,
        stop: &CancellationToken,
    ) -> Result<(), Broken> {
        let clock = &self.copier.clock;
        let (mut limits, mut wanted) = (self.limits.clone(), job.brake.wanted.clone());
        // Whoever let it go before this start waits to hear that it goes.
        let (mut tells, mut said) = (true, false);
        let mut holds = *wanted.borrow_and_update();
        if holds {
            self.copier.gate.hold(true);
        }
        self.limit(*limits.borrow_and_update());
        let mut deadline = clock.now().plus(timeout);
        let mut left = timeout;
        let mut speed = Speed::new(Instant::now());
        let mut tell = clock.now().plus(TELL);
        let work = self.stages(head);
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Broken::Off(End::Canceled)),
                // Its time stands still with it.
                () = clock.sleep_until(deadline), if !holds => {
                    return Err(Broken::Off(End::TimedOut));
                }
                changed = wanted.changed(), if tells => {
                    tells = changed.is_ok();
                    let want = *wanted.borrow_and_update();
                    if tells && want != holds {
                        job.brake.stands.send_replace(None);
                        left = if want { deadline.since(clock.now()) } else { left };
                        deadline = clock.now().plus(left);
                        (holds, said) = (want, false);
                        self.copier.gate.hold(holds);
                    }
                }
                () = self.copier.gate.empty(), if holds && !said => {
                    said = true;
                    job.brake.stands.send_replace(Some(true));
                }
                () = std::future::ready(()), if !holds && !said => {
                    said = true;
                    job.brake.stands.send_replace(Some(false));
                }
                // Its sender lives as long as the run.
                Ok(()) = limits.changed() => self.limit(*limits.borrow_and_update()),
                () = clock.sleep_until(tell) => {
                    tell = clock.now().plus(TELL);
                    self.tell(job, &mut speed, holds);
                }
                done = &mut work => {
                    self.tell(job, &mut speed, holds);
                    return done.map_err(Broken::Fault);
                }
            }
        }
    }

    fn limit(&self, limits: Limits) {
        self.copier.gate.limit(limits.concurrency);
        self.copier.bytes.set(limits.rate);
        self.requests.set(limits.requests);
    }

    /// A line of progress. One that nobody takes is worth nothing by the time somebody does.
    fn tell(&self, job: &Job, speed: &mut Speed, held: bool) {
        let line = speed.line(&self.copier.meter, held, Instant::now());
        let text = serde_json::to_string(&line).expect("a line is plain") + "\n";
        drop(job.output.try_send(Piece { stream: Stream::Stdout, text }));
    }

    async fn stages(&self, mut head: Head) -> Result<(), Fault> {
        let meter = &self.copier.meter;
        let in_list = matches!(head.stage, Stage::Listing { second: false, .. });
        meter.listed.store(!in_list, Ordering::Relaxed);
        loop {
            match head.stage.clone() {
                Stage::Listing { second, from } => {
                    let (tell, listed) = watch::channel((0, false));
                    let wanted = Self::wanted(&head, false);
                    tokio::try_join!(
                        self.list(head.clone(), second, from, tell),
                        self.sweep(wanted, second, Some(listed))
                    )?;
                    head.stage = Stage::Copying { second };
                }
                Stage::Copying { second } => {
                    while self.sweep(Self::wanted(&head, false), second, None).await? > 0 {}
                    head.stage = match (second, self.second_pass, self.remove_source) {
                        (false, true, _) => Stage::Listing { second: true, from: None },
                        (_, _, true) => Stage::Removing,
                        _ => Stage::Done,
                    };
                }
                Stage::Removing => {
                    let mut rounds = 0..ROUNDS;
                    while rounds.next().is_some()
                        && self.sweep(Self::wanted(&head, true), true, None).await? > 0
                    {
                    }
                    head.stage = Stage::Done;
                }
                Stage::Done => return Ok(()),
            }
            self.copier.manifest.commit(vec![Change::Head(head.clone())]).await?;
        }
    }

    fn wanted(head: &Head, removing: bool) -> Wanted {
        Wanted { run: head.run, checked_since: head.checked_since, removing }
    }

    /// Lists the source into the manifest. The next page comes while the last is written.
    async fn list(
        &self,
        mut head: Head,
        second: bool,
        from: Option<String>,
        tell: watch::Sender<Listed>,
    ) -> Result<(), Fault> {
        let (meter, manifest) = (&self.copier.meter, &self.copier.manifest);
        let mut page = self.page(from.clone()).await?;
        let mut reached = from;
        loop {
            let next = page.next.clone();
            // A key, not the service's token, which may be good for hours only.
            reached = page.entries.last().map(|last| format!("k{}", last.key)).or(reached);
            let all = page.entries.len();
            page.entries.retain(|entry| self.choice.takes(&entry.key));
            page.odd.retain(|(key, _)| self.choice.takes(key));
            if !second {
                meter.excluded.add((all - page.entries.len()) as u64);
            }
            head.stage = match &next {
                Some(_) => Stage::Listing { second, from: reached.clone() },
                None => Stage::Copying { second },
            };
            let written = manifest.commit(vec![Change::Page(page, head.clone())]);
            let Some(next) = next else {
                self.brought(written.await?);
                meter.listed.store(true, Ordering::Relaxed);
                tell.send_modify(|(pages, ended)| (*pages, *ended) = (*pages + 1, true));
                return Ok(());
            };
            let (brought, fetched) = tokio::try_join!(written, self.page(Some(next)))?;
            self.brought(brought);
            tell.send_modify(|(pages, _)| *pages += 1);
            page = fetched;
        }
    }

    fn brought(&self, brought: Brought) {
        let meter = &self.copier.meter;
        meter.objects.add(brought.objects);
        meter.bytes.add(brought.bytes);
        meter.failed.add(brought.failed);
    }

    async fn page(&self, from: Option<String>) -> Result<Page, Fault> {
        let page = self.copier.tried(|| async {
            let _pass = self.copier.gate.enter().await;
            self.copier.source.list(from.as_deref()).await
        });
        page.await
    }

    /// Goes through the manifest once and does what is wanted; while a listing goes on, behind it. Says
    /// how many objects it took up.
    async fn sweep(
        &self,
        wanted: Wanted,
        second: bool,
        mut listing: Option<watch::Receiver<Listed>>,
    ) -> Result<u64, Fault> {
        // What was done before must be seen in the manifest, or it would be done again.
        self.copier.manifest.commit(Vec::new()).await?;
        let (mut queue, mut running) = (VecDeque::new(), FuturesUnordered::new());
        let (mut cursor, mut taken) = (None, 0);
        // Whether nothing is behind the cursor now, and whether nothing will be.
        let (mut dry, mut over) = (false, false);
        loop {
            if !dry && queue.len() < LOW {
                over = listing.as_mut().is_none_or(|listing| listing.borrow_and_update().1);
                let (found, last) = self.copier.manifest.work(cursor, wanted, BATCH).await?;
                (cursor, dry) = (last, found.len() < BATCH);
                queue.extend(found.into_iter().filter(|(key, ..)| self.choice.takes(key)));
            }
            while running.len() < self.limits.borrow().concurrency {
                let Some((key, row, work)) = queue.pop_front() else { break };
                taken += 1;
                let copy = self.copier.clone().object(key, row, work, second);
                running.push(Held::new(self.copier.tasks.spawn(copy)));
            }
            if dry && over && queue.is_empty() && running.is_empty() {
                return Ok(taken);
            }
            tokio::select! {
                Some(done) = running.next() => done??,
                () = more(&mut listing), if dry && !over => dry = false,
                // Nothing of what was read is meant: on to the next.
                else => {}
            }
        }
    }
}

/// Waits until a listing brought more, or ended.
async fn more(listing: &mut Option<watch::Receiver<Listed>>) {
    let tells = match listing {
        Some(listing) => listing.changed().await.is_ok(),
        None => false,
    };
    // A sender that is gone has failed, and who joined the two knows.
    if !tells {
        std::future::pending::<()>().await;
    }
}
