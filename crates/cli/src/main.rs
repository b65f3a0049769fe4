//! The program `sync-replicas`; what it does is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut typed = std::env::args_os().peekable();
    let path = std::env::current_exe().map(Into::into);
    let itself = path.ok().or_else(|| typed.peek().cloned());
    cli::program::main(itself.as_slice(), typed).into()
}
