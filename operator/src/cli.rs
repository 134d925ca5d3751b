//! What a person, or a script, types and sees.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;

mod args;
mod ask;
mod folder;
mod numbers;
mod sentences;
mod session;
mod terminal;
mod view;

use crate::{backend::aws, error::Error};
use args::{AwsDocument, Cli, Command};

/// An error in the files, on this machine, or of ours.
const ERROR: u8 = 1;
/// A render failed.
const RENDER_FAILED: u8 = 3;
/// Wrong usage (BSD's `EX_USAGE`).
const USAGE: u8 = 64;
/// Interrupted before everything was as asked for (128 and the number of SIGINT).
const INTERRUPTED: u8 = 130;

/// Runs `hf-reconcile` with these arguments.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
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

fn execute(cli: Cli) -> Result<u8, Error> {
    let text = match cli.command {
        None => return session::run(&cli.reconcile),
        Some(Command::Get { folder, name, output }) => view::get(&folder, name.as_deref(), output)?,
        Some(Command::Describe { folder, name }) => view::describe(&folder, &name)?,
        Some(Command::Events { folder, name, output }) => view::events(&folder, name.as_deref(), output)?,
        Some(Command::Cancel { folder, name }) => ask::cancel(&folder, &name)?,
        Some(Command::Retry { folder, name }) => ask::retry(&folder, &name)?,
        Some(Command::Aws { document: AwsDocument::Template }) => aws::template(),
        Some(Command::Aws { document: AwsDocument::StateMachine }) => aws::state_machine() + "\n",
        Some(Command::Aws { document: AwsDocument::Policy }) => aws::POLICY.to_owned(),
    };
    // A reader that has gone away needs nothing more.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Ok(0)
}
