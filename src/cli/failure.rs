//! Why a command did not do what was asked: `error: …`, then `help: …`, and an exit code.

use std::error::Error;
use std::process::ExitCode;

/// It did not work.
pub const FAILED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// No Ifso answers.
pub const UNREACHABLE: u8 = 3;
/// The store cannot be used now (`EX_TEMPFAIL`).
pub const STORE: u8 = 75;

/// Somebody interrupted the waiting (128 + SIGINT).
pub const INTERRUPTED: u8 = 130;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    /// What, for people; a fragment without `error:`.
    pub message: String,
    /// The next step.
    pub help: Option<String>,
    /// The exit code.
    pub code: u8,
}

impl Failure {
    /// It did not work.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, code: FAILED }
    }

    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, ..Self::new(message) }
    }

    /// The machine does not do its part.
    pub fn machine(message: &str, error: &dyn Error) -> Self {
        Self::new(format!("{message}: {error}"))
    }

    /// The same with the next step.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with another exit code.
    #[must_use]
    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// The exit code as the system takes it.
    #[must_use]
    pub fn exit(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

/// The whole chain of an error, once.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let more = inner.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        source = inner.source();
    }
    text
}

impl From<crate::config::Error> for Failure {
    fn from(error: crate::config::Error) -> Self {
        Self::usage(chain(&error)).help(error.help())
    }
}

impl From<crate::app::Error> for Failure {
    fn from(error: crate::app::Error) -> Self {
        let code = match &error {
            crate::app::Error::Config(_) => USAGE,
            crate::app::Error::Store(_) | crate::app::Error::Copy { .. } => STORE,
            _ => FAILED,
        };
        let failure = Self::new(chain(&error)).code(code);
        match error.help() {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}
