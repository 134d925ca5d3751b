//! `hf-operator`: the reconciler at an API server.
//!
//! Reading order: [`args`], [`settings`] and [`folders`] (what it is told), [`session`] (watch, be elected, drive, end), [`lease`] (who
//! leads), [`led`] (and what only the leader has done); then what shows how it is: [`vitals`], [`traffic`], [`http`], [`traces`].

use std::{ffi::OsString, process::ExitCode};

mod args;
mod folders;
mod http;
mod lease;
mod led;
mod session;
mod settings;
mod traces;
mod traffic;
mod uninstall;
mod vitals;

use crate::{
    error::Error,
    program::{self, ERROR, print},
};
use args::{Cli, Command};
use settings::Settings;

/// Runs `hf-operator` with these arguments.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    program::run(arguments, |cli: Cli| execute(&cli.command))
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
