//! `hf-operator`: the reconciler at an API server.
//!
//! Reading order: [`args`] and [`settings`] (what it is told), [`session`] (watch, be elected, drive, end), [`lease`] (who
//! leads); then what shows how it is: [`vitals`], [`traffic`], [`http`].

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;

mod args;
mod http;
mod lease;
mod session;
mod settings;
mod traffic;
mod uninstall;
mod vitals;

use crate::error::Error;
use args::{Cli, Command};
use settings::Settings;

/// It could not go on, or there is something to do first.
const ERROR: u8 = 1;
/// Wrong usage (BSD's `EX_USAGE`).
const USAGE: u8 = 64;

/// Runs `hf-operator` with these arguments.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match execute(&cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "error: {}", crds::printable(&error.to_string()));
            ExitCode::from(ERROR)
        }
    }
}

fn execute(command: &Command) -> Result<u8, Error> {
    match command {
        Command::Run => session::run(Settings::read(crate::settings::variable)?),
        Command::Crds => print(&definitions()).map(|()| 0),
        Command::UninstallCheck => match uninstall::check(&Settings::read(crate::settings::variable)?)? {
            None => Ok(0),
            Some(sentence) => print(&format!("{sentence}\n")).map(|()| ERROR),
        },
    }
}

/// The custom resource definitions, as one YAML text.
fn definitions() -> String {
    let definitions = crds::schema::all_crds().into_iter().map(|(_, definition)| {
        let text = serde_yaml::to_string(&definition);
        text.unwrap_or_else(|error| unreachable!("JSON values: {error}"))
    });
    definitions.collect::<Vec<_>>().join("---\n")
}

fn print(text: &str) -> Result<(), Error> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // A reader that has gone away needs nothing more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
