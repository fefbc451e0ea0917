//! Arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    // The engine starts this program as the holder of running actions; nobody types it, and it must
    // start fast and stay small.
    if arguments.next().is_some_and(|verb| verb == "supervise")
        && let Some(folder) = arguments.next()
    {
        return ifso::runners::supervisor::main(folder.as_ref());
    }
    ifso::cli::run(std::env::args_os())
}
