//! The redis2pg command.

use std::process::ExitCode;

fn main() -> ExitCode {
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr());
    ExitCode::from(redis2pg::cli::main(std::env::args_os(), &mut out, &mut err).code())
}
