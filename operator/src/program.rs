//! What both programs do alike: arguments are read, something is done, what went wrong is said, and a code tells.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser;

use crate::error::Error;

/// It could not be done, or there is something to do first.
pub(crate) const ERROR: u8 = 1;
/// Wrong usage (BSD's `EX_USAGE`).
pub(crate) const USAGE: u8 = 64;

/// Runs a program with these arguments.
pub(crate) fn run<C: Parser>(
    arguments: impl Iterator<Item = OsString>,
    execute: impl FnOnce(C) -> Result<u8, Error>,
) -> ExitCode {
    let cli = match C::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match execute(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "error: {}", crds::printable(&error.to_string()));
            ExitCode::from(ERROR)
        }
    }
}

/// Prints a result.
///
/// # Errors
/// When it cannot be written. A reader that has gone away needs nothing more.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
