//! Starts one program: fast (`posix_spawn`), in a clean environment, limited.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::family::Tag;
use super::protocol::{Limits, Program};

/// What is on the other end of a program that was started.
pub(super) struct Launched {
    /// Its first process.
    pub(super) pid: Pid,
    /// What it writes to its standard output.
    pub(super) stdout: Option<OwnedFd>,
    /// What it writes to its standard error.
    pub(super) stderr: Option<OwnedFd>,
    /// Where its standard input is written to, where it has some.
    pub(super) stdin: Option<OwnedFd>,
}

/// Why a program did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("`{file}` is not on the PATH `{path}`")]
    NotOnPath { file: String, path: String },
    #[error("program `{file}` does not exist")]
    Missing { file: String },
    #[error("program `{file}` may not be executed; make it executable: chmod +x {file}")]
    NotExecutable { file: String },
    #[error("program `{file}` names an interpreter in its first line that does not exist")]
    NoInterpreter { file: String },
    #[error("program `{file}` is no program: it needs a first line such as `#!/bin/sh`")]
    NoProgram { file: String },
    #[error("folder `{}` does not exist, so `{file}` cannot start there", .folder.display())]
    NoFolder { file: String, folder: PathBuf },
    #[error(
        "an argument or variable for `{file}` holds a NUL byte, which no program can be given; \
         the parameters stand unharmed in the file $IFSO_PARAMETERS"
    )]
    Nul { file: String },
    #[error(
        "the arguments and variables for `{file}` are too big (one is at most 131071 bytes); \
         read big parameters from the file $IFSO_PARAMETERS"
    )]
    TooBig { file: String },
    #[error("program `{file}` cannot be started")]
    Other { file: String, source: io::Error },
}

/// Starts `program` with `folder` as its own; every process of it wears `tag`.
pub(super) fn launch(program: &Program, folder: &Path, tag: Tag) -> Result<Launched, Error> {
    let file = find(program)?;
    let name = || program.file.clone();
    let place = program.folder.as_deref().unwrap_or(folder);
    let nul = |text: &String| text.contains('\0');
    let variables = &program.environment;
    if program.arguments.iter().any(nul) || variables.iter().any(|(k, v)| nul(k) || nul(v)) {
        return Err(Error::Nul { file: name() });
    }
    let stdin = if program.input.is_some() { Stdio::piped() } else { Stdio::null() };
    if let Err(error) = tag.wear() {
        tracing::warn!(%error, "Processes cannot be marked; what detaches itself is ended at once");
    }
    let child = Command::new(&file)
        .args(&program.arguments)
        .env_clear()
        .envs(&program.environment)
        .env("TMPDIR", folder)
        .env("IFSO_PARAMETERS", folder.join("parameters.json"))
        .current_dir(place)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // No `pre_exec`, user or group: they would turn `posix_spawn` into a slow fork.
        .process_group(0)
        .spawn();
    let child = child.map_err(|error| explain(error, program.file.clone(), &file, place))?;
    limit(&child, program.limits);
    Ok(Launched {
        pid: Pid::from_child(&child),
        stdout: child.stdout.map(OwnedFd::from),
        stderr: child.stderr.map(OwnedFd::from),
        stdin: child.stdin.map(OwnedFd::from),
    })
}

/// The absolute file of `program`: with a bare name, `posix_spawn` would not be used.
fn find(program: &Program) -> Result<PathBuf, Error> {
    if program.file.contains('/') {
        return Ok(PathBuf::from(&program.file));
    }
    let path = program.environment.get("PATH").cloned().unwrap_or_default();
    let found = path.split(':').map(|folder| Path::new(folder).join(&program.file)).find(|file| {
        fs::metadata(file)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    });
    found.ok_or(Error::NotOnPath { file: program.file.clone(), path })
}

fn explain(error: io::Error, file: String, found: &Path, place: &Path) -> Error {
    match error.kind() {
        _ if !place.is_dir() => Error::NoFolder { file, folder: place.to_owned() },
        io::ErrorKind::NotFound if found.exists() => Error::NoInterpreter { file },
        io::ErrorKind::NotFound => Error::Missing { file },
        io::ErrorKind::PermissionDenied => Error::NotExecutable { file },
        io::ErrorKind::ArgumentListTooLong => Error::TooBig { file },
        io::ErrorKind::InvalidInput => Error::Nul { file },
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            Error::NoProgram { file }
        }
        _ => Error::Other { file, source: error },
    }
}

/// Limits the new process, and with it all that it will start. It has had some microseconds to
/// itself, which is not enough to load its libraries.
fn limit(child: &Child, limits: Limits) {
    let all = [
        (Resource::Data, limits.memory_bytes),
        (Resource::Nofile, limits.open_files),
        (Resource::Fsize, limits.file_bytes),
        (Resource::Core, 0),
    ];
    for (resource, most) in all {
        let both = Rlimit { current: Some(most), maximum: Some(most) };
        match prlimit(Some(Pid::from_child(child)), resource, both) {
            Ok(_) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => tracing::warn!(?resource, %error, "A limit cannot be set"),
        }
    }
}
