//! What an attempt prints, on its way to the store: secrets struck out, pieces gathered for a moment
//! so that a chatty action does not cost a commit a line. What it says of its progress goes with them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::executions::progress::{Listener, Said};
use crate::executions::{Progressed, Room};
use crate::model::execution::Execution;
use crate::model::id::ExecutionId;
use crate::model::reference::Reference;
use crate::model::time::Time;
use crate::runners::{Piece, Stream};
use crate::store::batch::Batch;
use crate::store::table::{self, Rows};
use crate::store::tables::{Output, Progress};
use crate::store::{self, Handle};
use crate::vault::redact::Redactor;

/// Pieces on their way at most; a full channel slows the reader of the pipe, not the action.
pub(super) const PIECES_LIMIT: usize = 64;
/// Bytes that are written without waiting for more.
const ENOUGH_BYTES: usize = 64 * 1024;
/// How long a piece waits for others.
const GATHER: Duration = Duration::from_millis(200);

/// Writes one attempt's output.
pub(super) struct Printer<'a> {
    room: &'a Room,
    execution: ExecutionId,
    attempt: u32,
    action: Reference,
    next: u32,
    gathered: Vec<(Stream, String)>,
    bytes: usize,
    since: Option<Time>,
    redactors: [Redactor; 2],
    listener: Listener,
    said: Option<Said>,
}

impl<'a> Printer<'a> {
    /// Goes on after what earlier attempts printed. What this attempt had printed before the engine
    /// died is forgotten: its runner hands the whole over again.
    pub(super) async fn open(
        room: &'a Room,
        execution: &Execution,
        secrets: &[String],
    ) -> Result<Self, store::Error> {
        let action = execution.action.reference.clone();
        let (execution, attempt) = (execution.id, execution.attempt);
        let next = forget(&room.parts.store, execution, attempt).await?;
        Ok(Self {
            room,
            execution,
            attempt,
            action,
            next,
            gathered: Vec::new(),
            bytes: 0,
            since: None,
            redactors: [Redactor::new(secrets), Redactor::new(secrets)],
            listener: Listener::default(),
            said: None,
        })
    }

    /// Writes what comes until the runner is done with the channel. Gives what is still to be
    /// written: it goes with the commit that settles the attempt.
    pub(super) async fn print(mut self, mut pieces: mpsc::Receiver<Piece>) -> Batch {
        loop {
            let flush_at = self.since.map(|since| since.plus(GATHER));
            tokio::select! {
                biased;
                piece = pieces.recv() => match piece {
                    Some(piece) => self.add(&piece),
                    None => return self.rest(),
                },
                () = wait(self.room, flush_at), if flush_at.is_some() => self.flush().await,
            }
            if self.bytes >= ENOUGH_BYTES {
                self.flush().await;
            }
        }
    }

    fn add(&mut self, piece: &Piece) {
        let text = self.redactors[usize::from(piece.stream == Stream::Stderr)].push(&piece.text);
        self.keep(piece.stream, text);
    }

    fn keep(&mut self, stream: Stream, text: String) {
        if text.is_empty() {
            return;
        }
        if stream == Stream::Stdout {
            self.said = self.listener.hear(&text).or(self.said.take());
        }
        self.bytes += text.len();
        self.since.get_or_insert_with(|| self.room.parts.clock.now());
        match self.gathered.last_mut() {
            Some((last, gathered)) if *last == stream => gathered.push_str(&text),
            _ => self.gathered.push((stream, text)),
        }
    }

    fn batch(&mut self) -> (Batch, Option<Progress>) {
        let mut batch = Batch::new();
        let at = self.since.take().unwrap_or_default();
        let (execution, attempt) = (self.execution, self.attempt);
        let progress = self.said.take().map(|Said { progress, message }| Progress {
            execution,
            attempt,
            progress,
            message,
            at,
        });
        if let Some(progress) = &progress {
            table::put(&mut batch, progress);
        }
        for (stream, text) in self.gathered.drain(..) {
            let stream = match stream {
                Stream::Stdout => "stdout",
                Stream::Stderr => "stderr",
            };
            let (number, stream) = (self.next, stream.to_owned());
            table::put(&mut batch, &Output { execution, number, attempt, stream, at, text });
            self.next += 1;
        }
        self.bytes = 0;
        (batch, progress)
    }

    async fn flush(&mut self) {
        let (batch, progress) = self.batch();
        match self.room.parts.store.commit(batch).await {
            Ok(_) => {
                drop(self.room.printed.send(self.execution));
                if let Some(progress) = progress {
                    let action = self.action.clone();
                    drop(self.room.progressed.send(Arc::new(Progressed { action, progress })));
                }
            }
            // The action goes on; its result is settled when the store is back.
            Err(error) => {
                tracing::warn!(execution = %self.execution, %error, "output was not stored");
            }
        }
    }

    fn rest(mut self) -> Batch {
        for (stream, redactor) in [Stream::Stdout, Stream::Stderr].into_iter().zip(0..) {
            let held_back = self.redactors[redactor].finish();
            self.keep(stream, held_back);
        }
        if let Some(said) = self.listener.finish() {
            self.said = Some(said);
            // A line that ends with the attempt was gathered before, or is now.
            self.since.get_or_insert_with(|| self.room.parts.clock.now());
        }
        self.batch().0
    }
}

async fn wait(room: &Room, until: Option<Time>) {
    if let Some(until) = until {
        room.parts.clock.sleep_until(until).await;
    }
}

/// Removes what `attempt` had printed and gives the number of the next piece.
async fn forget(store: &Handle, execution: ExecutionId, attempt: u32) -> Result<u32, store::Error> {
    let lead = execution.to_bytes().to_vec();
    loop {
        let last = table::scan::<Output>(store, Rows::last(256).under(lead.clone())).await?;
        let keep = last.iter().find(|held| held.row.attempt != attempt).map(|held| held.row.number);
        let mut batch = Batch::new();
        for held in last.iter().filter(|held| keep.is_none_or(|keep| held.row.number > keep)) {
            table::remove(&mut batch, held);
        }
        if batch.is_empty() {
            return Ok(keep.map_or(0, |number| number + 1));
        }
        store.commit(batch).await?;
    }
}
