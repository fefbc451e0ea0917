//! One engine's connection about one attempt: shows its output from the beginning, then its end.

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::attempt::{Attempt, Spools};
use super::protocol::{Error, Exit, Frames, Opening, Reply, Request, VERSION, send};
use super::service::{Answer, Service};
use crate::runners::Stream;
use std::sync::Arc;

/// The largest piece of output in one frame.
const PIECE: usize = 32 << 10;

const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

/// Answers one connection until its attempt has ended or the engine is gone.
pub(super) async fn serve(service: Arc<Service>, socket: UnixStream) -> Result<(), Error> {
    let number = service.connection();
    let (reader, mut writer) = socket.into_split();
    let mut frames = Frames::new(reader);
    let Some(opening) = frames.next::<Opening>().await? else { return Ok(()) };
    if opening.version != VERSION {
        let reason = format!(
            "the supervisor that runs speaks version {VERSION}, this engine version {}; wait until \
             what it runs has ended, then it makes room by itself",
            opening.version
        );
        return send(&mut writer, &Reply::Refused { reason }).await;
    }
    let id = opening.id;
    let answer = match opening.request {
        Request::Start(program) => service.start(id, program, number),
        Request::Attach => service.find(id, number),
        Request::Cancel => {
            service.cancel(id);
            service.find(id, number)
        }
        Request::Hold(hold) => {
            let order = service.hold(id, hold);
            return send(&mut writer, &Reply::Ordered { order }).await;
        }
        Request::Release => {
            service.release(id);
            return send(&mut writer, &Reply::Released).await;
        }
    };
    match answer {
        Answer::Running(attempt) => show_running(&attempt, &mut frames, &mut writer).await,
        Answer::Ended(ended) => {
            send(&mut writer, &Reply::Known { pid: None, held: false }).await?;
            let (exit, spools) = Spools::of(ended);
            let mut shown = Shown::default();
            while let Some(piece) = shown.next(&spools, true) {
                send(&mut writer, &piece).await?;
            }
            show_end(&spools, exit, &mut writer).await
        }
        Answer::Lost => send(&mut writer, &Reply::Lost).await,
        Answer::NeverBegan => send(&mut writer, &Reply::NeverBegan).await,
        Answer::Refused(reason) => send(&mut writer, &Reply::Refused { reason }).await,
        Answer::Full(reason) => send(&mut writer, &Reply::Full { reason }).await,
    }
}

async fn show_running(
    attempt: &Attempt,
    frames: &mut Frames<OwnedReadHalf>,
    writer: &mut OwnedWriteHalf,
) -> Result<(), Error> {
    let pid = u32::try_from(attempt.pid.as_raw_pid()).ok();
    let mut changes = attempt.changes.subscribe();
    let (mut order, held) = attempt.stands();
    send(writer, &Reply::Known { pid, held }).await?;
    let mut shown = Shown::default();
    loop {
        let exit = changes.borrow_and_update().clone();
        loop {
            let piece = shown.next(&attempt.spools(), exit.is_some());
            let Some(piece) = piece else { break };
            send(writer, &piece).await?;
        }
        let (newest, held) = attempt.stands();
        if newest != order {
            order = newest;
            send(writer, &Reply::Held { order, held }).await?;
        }
        if let Some(exit) = exit {
            let end = pieces_of_end(&attempt.spools());
            for piece in end {
                send(writer, &piece).await?;
            }
            return send(writer, &Reply::Ended(exit)).await;
        }
        tokio::select! {
            more = changes.changed() => if more.is_err() { return Ok(()) },
            // An engine says nothing more on this connection; that it ends is what we learn here.
            gone = frames.next::<Opening>() => if gone?.is_none() { return Ok(()) },
        }
    }
}

async fn show_end(spools: &Spools, exit: Exit, writer: &mut OwnedWriteHalf) -> Result<(), Error> {
    for piece in pieces_of_end(spools) {
        send(writer, &piece).await?;
    }
    send(writer, &Reply::Ended(exit)).await
}

/// What can only be shown after the end: the end of long streams.
fn pieces_of_end(spools: &Spools) -> Vec<Reply> {
    let tails = STREAMS.map(|stream| (stream, spools.stream(stream).tail()));
    let tails = tails.into_iter().filter(|(_, tail)| !tail.is_empty());
    tails.map(|(stream, tail)| Reply::Output { stream, text: text(&tail) }).collect()
}

/// How much of each stream's beginning was shown.
#[derive(Default)]
struct Shown {
    positions: [u64; 2],
}

impl Shown {
    /// The next piece: whole lines while the stream flows, whatever is there once it has ended.
    fn next(&mut self, spools: &Spools, ended: bool) -> Option<Reply> {
        for (stream, position) in STREAMS.into_iter().zip(&mut self.positions) {
            let bytes = spools.stream(stream).head(*position, PIECE);
            let length = if ended && bytes.len() < PIECE { bytes.len() } else { whole(&bytes) };
            if length > 0 {
                *position += length as u64;
                return Some(Reply::Output { stream, text: text(&bytes[..length]) });
            }
        }
        None
    }
}

/// How many of the bytes make whole lines; of a line too long for a piece, whole characters.
fn whole(bytes: &[u8]) -> usize {
    if let Some(line_end) = bytes.iter().rposition(|byte| *byte == b'\n') {
        return line_end + 1;
    }
    if bytes.len() < PIECE {
        return 0;
    }
    // A character has at most four bytes; more continuation bytes than three are no text anyway.
    let continued = bytes.iter().rev().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
    let start = bytes.len() - continued - 1;
    match std::str::from_utf8(&bytes[start..]) {
        Err(error) if error.error_len().is_none() => start,
        _ => bytes.len(),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_ends_at_a_line_and_never_inside_a_character() {
        assert_eq!(whole(b"one\ntwo"), 4);
        assert_eq!(whole(b"two"), 0);
        let long = "é".repeat(PIECE);
        assert_eq!(whole(&long.as_bytes()[..PIECE]), PIECE);
        assert_eq!(whole(&long.as_bytes()[1..=PIECE]), PIECE - 1);
        assert_eq!(whole(&vec![0x80; PIECE]), PIECE);
    }
}
