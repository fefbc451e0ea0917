//! Arguments in, exit code out.

fn main() -> std::process::ExitCode {
    ifso::cli::run(std::env::args_os())
}
