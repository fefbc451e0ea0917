//! Starts one program: fast (`posix_spawn`), in a clean environment, limited.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

use super::family::Tag;
use super::protocol::{Limits, Program};

/// What is on the other end of a program that was started.
pub(super) struct Launched {
    /// Its first process.
    pub(super) pid: Pid,
    /// What it writes to its standard output.
    pub(super) stdout: OwnedFd,
    /// What it writes to its standard error.
    pub(super) stderr: OwnedFd,
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
    let failed = |source| Error::Other { file: name(), source };
    let (stdout, child_out) = std::io::pipe().map_err(failed)?;
    let (stderr, child_err) = std::io::pipe().map_err(failed)?;
    let (child_in, stdin) = input(program.input.is_some()).map_err(failed)?;
    let mut command = Command::new(&file);
    command
        .args(&program.arguments)
        .env_clear()
        .envs(&program.environment)
        .env("TMPDIR", folder)
        .env("IFSO_PARAMETERS", folder.join("parameters.json"))
        .current_dir(place)
        .stdin(child_in)
        .stdout(child_out)
        .stderr(child_err)
        // No `pre_exec`, user or group: they would turn `posix_spawn` into a slow fork.
        .process_group(0);
    let worn = wear(tag, program.limits);
    let child = command.spawn();
    worn.take_off();
    let child = child.map_err(|error| explain(error, name(), &file, place))?;
    let pid = Pid::from_child(&child);
    bind(pid, program.limits);
    Ok(Launched { pid, stdout: stdout.into(), stderr: stderr.into(), stdin })
}

/// A program's standard input: a pipe, or nothing to read.
fn input(wanted: bool) -> io::Result<(Stdio, Option<OwnedFd>)> {
    if wanted {
        let (reader, writer) = std::io::pipe()?;
        return Ok((reader.into(), Some(writer.into())));
    }
    Ok((fs::File::open("/dev/null")?.into(), None))
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

/// What a process may use, by the kernel's names.
fn limited(limits: Limits) -> [(Resource, u64); 4] {
    [
        (Resource::Data, limits.memory_bytes),
        (Resource::Nofile, limits.open_files),
        (Resource::Fsize, limits.file_bytes),
        (Resource::Core, 0),
    ]
}

/// The supervisor's own limits while it wears those of a program.
struct Worn(Vec<(Resource, Rlimit)>);

/// Memory that the supervisor needs for itself while it wears a program's limit.
const OWN_ROOM: u64 = 16 << 20;

/// A limit on memory that the supervisor is never near.
const ALWAYS_ENOUGH: u64 = 512 << 20;

/// Puts a program's limits on the supervisor itself, for what it starts to inherit from its first
/// instruction on: a process that was limited after its start may have forked already.
fn wear(tag: Tag, limits: Limits) -> Worn {
    let mut before = Vec::new();
    for (resource, most) in limited(limits).into_iter().chain([(Resource::Rss, tag.limit())]) {
        // With less memory than it has itself, the supervisor could not start anything.
        if resource == Resource::Data && is_too_little(most) {
            continue;
        }
        let now = getrlimit(resource);
        match setrlimit(resource, Rlimit { current: Some(most), maximum: now.maximum }) {
            Ok(()) => before.push((resource, now)),
            Err(error) => tracing::debug!(?resource, %error, "A limit cannot be inherited"),
        }
    }
    Worn(before)
}

impl Worn {
    fn take_off(self) {
        for (resource, before) in self.0 {
            if let Err(error) = setrlimit(resource, before) {
                tracing::error!(?resource, %error, "The supervisor stays limited");
            }
        }
    }
}

/// Whether the supervisor itself has nearly as much private memory as a program may have.
fn is_too_little(most: u64) -> bool {
    if most >= ALWAYS_ENOUGH {
        return false;
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.is_none_or(|kib| most < kib * 1024 + OWN_ROOM)
}

/// Makes the limits of a new process final: from now on it cannot raise them. But for the size of files:
/// that one guards against accidents, and an action that means to write large ones says so (`ulimit -S`).
fn bind(pid: Pid, limits: Limits) {
    let fixed = limited(limits).into_iter().filter(|(resource, _)| *resource != Resource::Fsize);
    for (resource, most) in fixed {
        let both = Rlimit { current: Some(most), maximum: Some(most) };
        match prlimit(Some(pid), resource, both) {
            Ok(_) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => tracing::warn!(?resource, %error, "A limit cannot be set"),
        }
    }
}
