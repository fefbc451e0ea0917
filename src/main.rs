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
    // A damaged store makes its engine panic; what comes of it is an error with a next step.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !ifso::store::redb::is_guarded() {
            usual(panic);
        }
    }));
    ifso::cli::run(std::env::args_os())
}
