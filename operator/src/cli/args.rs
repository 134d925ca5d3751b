//! The command line of `hf-reconcile`, and nothing else.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// Makes the videos that a folder of YAML files asks for, and keeps them as asked for.
///
/// Exit codes: 0 everything is as asked for, 1 an error in the files, on this machine or of ours, 3 a render failed,
/// 64 wrong usage, 130 interrupted before everything was as asked for.
#[derive(Debug, Parser)]
#[command(name = "hf-reconcile", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) reconcile: ReconcileArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ReconcileArgs {
    /// Converge a folder, or some files and folders of one, and exit
    #[arg(long, value_name = "DIR|FILE", num_args = 1.., conflicts_with = "watch")]
    pub(crate) once: Vec<PathBuf>,
    /// Keep a folder's desired state true until interrupted; Ctrl-C lets running chunks finish, again stops at once
    #[arg(long, value_name = "DIR")]
    pub(crate) watch: Option<PathBuf>,
    /// Cancel and forget renders and stacks whose file is gone; without this they are left alone
    #[arg(long)]
    pub(crate) prune: bool,
    #[command(flatten)]
    pub(crate) state: StateArgs,
    /// The hf-producer program [default: the one beside this program, else the one in PATH]
    #[arg(long, value_name = "PATH")]
    pub(crate) producer: Option<PathBuf>,
    /// The zip of the Lambda function for stacks on AWS [default: handler.zip beside this program]
    #[arg(long, value_name = "ZIP")]
    pub(crate) handler: Option<PathBuf>,
    /// A network that spec.source.archive may come from, as in 10.0.0.0/8, besides public addresses
    #[arg(long = "source-network", value_name = "NETWORK")]
    pub(crate) source_networks: Vec<String>,
    /// How long nothing may move before a step is given up, a day at most
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = progress_timeout)]
    pub(crate) progress_timeout: Duration,
    /// Print one JSON object a line on standard output for every change of a render
    #[arg(short, long, value_name = "FORMAT")]
    pub(crate) output: Option<LineFormat>,
    /// Say more; twice: every step and command
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LineFormat {
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List renders and stacks, or show one
    Get {
        #[command(flatten)]
        folder: FolderArgs,
        /// NAME or NAMESPACE/NAME of a render
        name: Option<String>,
        /// How to print
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Tell everything about a render
    Describe {
        #[command(flatten)]
        folder: FolderArgs,
        /// NAME or NAMESPACE/NAME of a render
        name: String,
    },
    /// List what happened, oldest first
    Events {
        #[command(flatten)]
        folder: FolderArgs,
        /// Only of this render
        name: Option<String>,
        /// How to print
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// End a render's attempt and start no other until its inputs change or a retry is asked for
    Cancel {
        #[command(flatten)]
        folder: FolderArgs,
        /// NAME or NAMESPACE/NAME of a render
        name: String,
    },
    /// Start a new attempt of a render that has finished or was cancelled
    Retry {
        #[command(flatten)]
        folder: FolderArgs,
        /// NAME or NAMESPACE/NAME of a render
        name: String,
    },
    /// Print what stacks on AWS are made of
    Aws {
        /// What to print
        document: AwsDocument,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AwsDocument {
    /// The CloudFormation template, YAML
    Template,
    /// The state machine, JSON, with parameters of the template in it
    StateMachine,
    /// The IAM policy that whoever deploys and renders needs, JSON
    Policy,
}

#[derive(Debug, Args)]
pub(crate) struct FolderArgs {
    /// The folder of YAML files, or one below it
    #[arg(short = 'C', value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) state: StateArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    /// Where state is kept [default: .status in the folder, or in the nearest above it that has one]
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// More columns
    Wide,
    Json,
    Yaml,
}

fn progress_timeout(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_hours(24);
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_secs(1)..=LONGEST).contains(&time) { Ok(time) } else { Err("from 1s to 24h".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_timeout_is_of_this_world() {
        assert_eq!(progress_timeout("2m"), Ok(Duration::from_mins(2)));
        for wrong in ["0s", "25h", "18446744073709551615s", "1", ""] {
            assert!(progress_timeout(wrong).is_err(), "{wrong}");
        }
    }
}
