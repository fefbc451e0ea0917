//! As much of an HTTP client as the oracle needs: one request, one connection, nothing hidden.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long a request may take before its fate counts as unknown.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer: the status and the body.
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body as it came.
    pub(crate) body: String,
}

impl Answer {
    /// Whether the server says that it did as asked.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Reads an answer; nothing where it was cut.
    fn read(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let mut headers = head.lines().filter_map(|line| line.split_once(": "));
        let length = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let whole = length.is_none_or(|(_, length)| length.parse() == Ok(body.len()));
        whole.then(|| Self { status, body: body.to_owned() })
    }

    /// The body, read as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }
}

/// What became of a request.
pub(crate) enum Fate {
    /// It was answered.
    Answered(Answer),
    /// It never reached the server.
    NotSent,
    /// It was sent, and nobody knows what became of it.
    Unknown,
}

/// One request to be.
pub(crate) struct Request<'a> {
    /// `GET` or `POST`.
    pub(crate) method: &'a str,
    /// The path, with its query.
    pub(crate) path: &'a str,
    /// Headers beyond `Host` and `Content-Length`.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub(crate) body: &'a str,
}

impl Request<'_> {
    /// Sends it.
    pub(crate) fn send(&self, to: SocketAddr) -> Fate {
        let Ok(mut stream) = TcpStream::connect_timeout(&to, PATIENCE) else {
            return Fate::NotSent;
        };
        self.exchange(&mut stream, to).map_or(Fate::Unknown, Fate::Answered)
    }

    /// HTTP/1.0: the body of the answer ends where the connection ends.
    fn exchange(&self, stream: &mut TcpStream, to: SocketAddr) -> io::Result<Answer> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        write!(stream, "{} {} HTTP/1.0\r\nHost: {to}\r\n", self.method, self.path)?;
        for (name, value) in self.headers {
            write!(stream, "{name}: {value}\r\n")?;
        }
        write!(stream, "Content-Length: {}\r\n\r\n{}", self.body.len(), self.body)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Answer::read(&answer).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
