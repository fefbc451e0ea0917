//! What engine and supervisor say to each other: JSON in frames, each preceded by its length.
//!
//! One connection speaks of one attempt. The engine opens it with an `Opening`; the supervisor
//! answers with replies until the attempt ended. A connection that breaks means that one of the two
//! died; the attempt goes on, and a new connection asks for it again.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use bytes::{Buf, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::model::id::ExecutionId;
use crate::runners::Stream;

/// The version of this language. A supervisor may be older than its engine: it lives through upgrades.
pub const VERSION: u32 = 1;

/// The longest frame: parameters of 16 MiB with every byte escaped would still be refused clearly.
pub const LONGEST_FRAME: usize = 32 << 20;

/// Names one attempt of one execution, and its folder in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AttemptId {
    /// Whose attempt.
    pub execution: ExecutionId,
    /// Which, from 1.
    pub attempt: u32,
}

impl AttemptId {
    /// One of several programs of an attempt, from 0. The upper half of the number tells them apart, so
    /// that supervisors that know of no parts hold them too; an attempt has 65,535 numbers of its own.
    #[must_use]
    pub fn part(execution: ExecutionId, attempt: u32, part: u16) -> Self {
        Self { execution, attempt: (attempt & 0xffff) | (u32::from(part) << 16) }
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.execution, self.attempt)
    }
}

impl FromStr for AttemptId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::NotAnAttempt(text.to_owned());
        let (execution, attempt) = text.rsplit_once('-').ok_or_else(wrong)?;
        Ok(Self {
            execution: execution.parse().map_err(|_| wrong())?,
            attempt: attempt.parse().map_err(|_| wrong())?,
        })
    }
}

/// The first frame of a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// The engine's version of the language.
    pub version: u32,
    /// The attempt that the connection speaks of.
    pub id: AttemptId,
    /// What the engine wants.
    pub request: Request,
}

/// What an engine may want of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Start it, or attach to it where it is known already.
    Start(Box<Program>),
    /// Attach to it.
    Attach,
    /// Stop it: politely first. Sent on an attached connection.
    Cancel,
    /// Let it stand still, or go on. Answered by `Ordered`, and by `Held` on the connection that is
    /// attached, once it is so.
    Hold(bool),
    /// Its outcome is stored; forget it.
    Release,
}

/// A program to start, exactly as it is to be started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// The file, or a name to look for on `PATH` of `environment`.
    pub file: String,
    /// Its arguments, without the program's own name.
    pub arguments: Vec<String>,
    /// Its whole environment; nothing else is inherited. `TMPDIR` is added.
    pub environment: BTreeMap<String, String>,
    /// Where it starts; nothing: the attempt's own folder, which is removed at the end.
    pub folder: Option<PathBuf>,
    /// What it reads on its standard input.
    pub input: Option<String>,
    /// Files to lay into the attempt's own folder before the start, by name.
    pub files: BTreeMap<String, String>,
    /// A file in the attempt's own folder that is part of its outcome.
    pub answer: Option<String>,
    /// How long it may take, in milliseconds.
    pub timeout_ms: u64,
    /// How long after a polite signal it is killed, in milliseconds.
    pub grace_ms: u64,
    /// What it may use.
    pub limits: Limits,
}

/// What the processes of one attempt may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Private memory of each process, in bytes.
    pub memory_bytes: u64,
    /// Processes at one time.
    pub processes: u32,
    /// Open files of each process.
    pub open_files: u64,
    /// The largest file that a process may write, in bytes, unless it raises that itself.
    pub file_bytes: u64,
    /// Output kept of each stream, in bytes: half from the start, half from the end.
    pub output_bytes: u64,
    /// The largest answer file, in bytes.
    pub answer_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 1 << 30,
            processes: 256,
            open_files: 1024,
            file_bytes: 1 << 30,
            output_bytes: 1 << 20,
            answer_bytes: 1 << 20,
        }
    }
}

/// What a supervisor says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It runs, or ran: output follows from its beginning, then `Ended`.
    Known {
        /// Its first process; nothing when it ended already.
        pid: Option<u32>,
        /// Whether it stands still. Older supervisors hold nothing.
        #[serde(default)]
        held: bool,
    },
    /// A piece of its output.
    Output {
        /// Which stream.
        stream: Stream,
        /// The text.
        text: String,
    },
    /// The order to hold it, or to let it go, was taken.
    Ordered {
        /// Counts the attempt's orders from 1; nothing where it does not run.
        order: Option<u64>,
    },
    /// All its processes stand still, or none does.
    Held {
        /// The order that led to it.
        order: u64,
        /// Which of the two.
        held: bool,
    },
    /// It is over.
    Ended(Exit),
    /// Nobody can know what became of it.
    Lost,
    /// It surely never began; from now on only a newer connection may start it.
    NeverBegan,
    /// The request cannot be carried out: it did not begin.
    Refused {
        /// Why, for people.
        reason: String,
    },
    /// The disk of the supervisor's folder is full: it did not begin, and can once there is room.
    Full {
        /// What could not be written, for people.
        reason: String,
    },
    /// It is forgotten.
    Released,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Its exit code; the negative number of the signal that ended it.
    pub code: i32,
    /// Who ended it.
    pub cause: ExitCause,
    /// The answer file, where one was asked for and written.
    pub answer: Option<String>,
    /// How many processes it left behind, killed when it ended.
    pub leftovers: u32,
    /// What else there is to say: a limit that was reached, output that was lost.
    pub note: Option<String>,
}

/// Who ended an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitCause {
    /// Itself.
    Itself,
    /// Its time was up.
    Timeout,
    /// Somebody cancelled it.
    Cancel,
    /// It started more processes than it may.
    Processes,
}

/// What can go wrong between the two.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The other side is gone, or the socket broke.
    #[error("the connection between engine and supervisor broke")]
    Broken(#[source] std::io::Error),
    /// A frame is longer than any frame may be.
    #[error("a frame of {0} bytes is longer than the {LONGEST_FRAME} that are allowed")]
    TooLong(usize),
    /// A frame is not what this version of the language knows.
    #[error("a frame cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// A text does not name an attempt.
    #[error("`{0}` does not name an attempt; expected `exe_…-1`")]
    NotAnAttempt(String),
}

/// A frame that says `message`.
///
/// # Errors
/// `TooLong`.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, Error> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message).map_err(Error::Unreadable)?;
    let length = frame.len() - 4;
    let short = u32::try_from(length).ok().filter(|_| length <= LONGEST_FRAME);
    frame[..4].copy_from_slice(&short.ok_or(Error::TooLong(length))?.to_be_bytes());
    Ok(frame)
}

/// The first whole frame of `bytes` and how many bytes it took; nothing when there is none yet.
///
/// # Errors
/// `TooLong` as soon as the length is read; `Unreadable`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<Option<(T, usize)>, Error> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > LONGEST_FRAME {
        return Err(Error::TooLong(length));
    }
    let Some(frame) = rest.get(..length) else { return Ok(None) };
    let message = serde_json::from_slice(frame).map_err(Error::Unreadable)?;
    Ok(Some((message, 4 + length)))
}

/// Reads frames off one end of a connection.
pub struct Frames<R> {
    reader: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    /// Frames that come from `reader`.
    pub fn new(reader: R) -> Self {
        Self { reader, buffer: BytesMut::new() }
    }

    /// The next frame; nothing when the other side has closed.
    ///
    /// Cancel-safe: what was read stays in the buffer.
    ///
    /// # Errors
    /// `Broken`, `TooLong`, `Unreadable`.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        loop {
            if let Some((message, length)) = decode(&self.buffer)? {
                self.buffer.advance(length);
                return Ok(Some(message));
            }
            if self.reader.read_buf(&mut self.buffer).await.map_err(Error::Broken)? == 0 {
                return Ok(None);
            }
        }
    }
}

/// Writes one frame. Not cancel-safe: half a frame may have been written.
///
/// # Errors
/// `Broken`, `TooLong`.
pub async fn send<T: Serialize, W: AsyncWrite + Unpin>(
    writer: &mut W,
    message: &T,
) -> Result<(), Error> {
    writer.write_all(&encode(message)?).await.map_err(Error::Broken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id() -> impl Strategy<Value = AttemptId> {
        (any::<u128>(), any::<u32>()).prop_map(|(bits, attempt)| AttemptId {
            execution: ExecutionId::from_bits(bits),
            attempt,
        })
    }

    proptest! {
        #[test]
        fn frames_lead_back_to_what_was_said(ids in prop::collection::vec(id(), 1..4), text in any::<String>()) {
            let said: Vec<_> = ids
                .into_iter()
                .map(|id| Opening { version: VERSION, id, request: Request::Attach })
                .collect();
            let output = Reply::Output { stream: Stream::Stderr, text };
            let mut bytes: Vec<u8> = said.iter().flat_map(|said| encode(said).unwrap()).collect();
            bytes.extend(encode(&output).unwrap());
            let mut rest = &bytes[..];
            for said in said {
                let (heard, length) = decode::<Opening>(rest).unwrap().unwrap();
                prop_assert_eq!(&heard, &said);
                prop_assert_eq!(heard.id.to_string().parse::<AttemptId>().unwrap(), said.id);
                prop_assert!(decode::<Opening>(&rest[..length - 1]).unwrap().is_none());
                rest = &rest[length..];
            }
            prop_assert_eq!(decode::<Reply>(rest).unwrap(), Some((output, rest.len())));
        }

        #[test]
        fn no_bytes_break_the_decoder(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Some((opening, length))) = decode::<Opening>(&bytes) {
                prop_assert!(length <= bytes.len());
                prop_assert!(encode(&opening).is_ok());
            }
        }
    }

    #[test]
    fn a_frame_that_claims_too_much_is_refused_at_once() {
        assert!(matches!(decode::<Reply>(&[0xff; 4]), Err(Error::TooLong(_))));
    }

    #[test]
    fn only_attempts_name_folders() {
        for text in ["", "exe_1-1", "../../etc-1", "exe_00000000000000000000000001-x", "-1"] {
            assert!(text.parse::<AttemptId>().is_err(), "{text}");
        }
    }
}
