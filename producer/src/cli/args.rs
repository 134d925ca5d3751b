//! The command line, and nothing else.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use crds::{FrameRate, Quality};

/// Renders HyperFrames compositions (HTML, CSS, JavaScript) to video on this machine.
///
/// Exit codes: 0 done, 1 our fault or the machine's, 2 the composition's fault, 64 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "hf-producer", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print one JSON object a line on standard output: progress, warnings, the result or the error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How long a page may take to become ready
    #[arg(long, global = true, value_name = "TIME", default_value = "45s", value_parser = humantime::parse_duration)]
    pub(crate) ready_timeout: Duration,
    /// How long nothing may move before the work is given up
    #[arg(long, global = true, value_name = "TIME", default_value = "120s", value_parser = humantime::parse_duration)]
    pub(crate) progress_timeout: Duration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what is there, what is missing, and how to get it
    Doctor,
    /// Turn a project into a plan folder that chunks can be rendered from anywhere
    Plan {
        #[command(flatten)]
        request: RequestArgs,
        /// The plan folder to write
        #[arg(short, long, value_name = "PLAN")]
        out: PathBuf,
    },
    /// Render one chunk of a plan
    Chunk {
        /// A plan folder
        plan: PathBuf,
        /// Index of the chunk, from 0
        index: u32,
        /// The chunk file to write
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Join all chunks of a plan into the video
    Assemble {
        /// A plan folder
        plan: PathBuf,
        /// All chunk files, in order of index
        #[arg(required = true, value_name = "CHUNK")]
        chunks: Vec<PathBuf>,
        /// The video to write
        #[arg(short, long, value_name = "OUT")]
        out: PathBuf,
    },
    /// Plan, render and assemble in one go, in parallel on this machine
    Render {
        #[command(flatten)]
        request: RequestArgs,
        /// The video to write
        #[arg(short, long, value_name = "OUT.mp4")]
        out: PathBuf,
        /// Chunks rendered at the same time [default: as usable cores and memory allow]
        #[arg(long, value_name = "N")]
        jobs: Option<NonZeroUsize>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    /// Folder that holds index.html
    pub(crate) project: PathBuf,
    /// Frames per second, 30 or 30000/1001 [default: the composition's data-fps, else 30]
    #[arg(long)]
    pub(crate) fps: Option<FrameRate>,
    /// Encoder preset: draft, standard or high
    #[arg(long, default_value = "standard")]
    pub(crate) quality: Quality,
    /// JSON object with values for the composition's variables
    #[arg(long, value_name = "FILE")]
    pub(crate) variables: Option<PathBuf>,
    /// Cut into at most so many chunks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) chunks: Option<u32>,
    /// Cut into chunks of at most so many frames, rounded up to whole GOPs of 2 s [default: 240]
    #[arg(long, value_name = "FRAMES", conflicts_with = "chunks", value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) chunk_size: Option<u32>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
