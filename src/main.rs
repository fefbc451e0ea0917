//! Arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|verb| verb == "supervise")
        && let Some(folder) = arguments.next()
    {
        return ifso::runners::supervisor::main(folder.as_ref());
    }
    ExitCode::SUCCESS
}
