//! What a person, or a script, types and sees.

use std::{ffi::OsString, process::ExitCode};

mod args;
mod ask;
mod folder;
mod numbers;
mod sentences;
mod session;
mod terminal;
mod view;

use crate::{backend::aws, error::Error, program};
use args::{AwsDocument, Cli, Command};

/// A render failed.
const RENDER_FAILED: u8 = 3;
/// Interrupted before everything was as asked for (128 and the number of SIGINT).
const INTERRUPTED: u8 = 130;

/// Runs `hf-reconcile` with these arguments.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    program::run(arguments, execute)
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
    program::print(&text)?;
    Ok(0)
}
