//! The command line of `hf-operator`, and nothing else.

use clap::{Parser, Subcommand};

/// Makes the videos that Render objects of a Kubernetes cluster ask for, and keeps them as asked for.
///
/// Exit codes: 0 ended as it was asked to, 1 it could not go on, lost its leadership, or objects still need it,
/// 64 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "hf-operator", version)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Reconcile until SIGTERM, and then end within 25 s
    ///
    /// The API server is that of KUBECONFIG, else that of the pod's service account. The rest is read
    /// from the environment:
    ///
    ///   HF_WATCH_NAMESPACES  comma-separated namespaces [default: all]
    ///   HF_SOURCES           folder that spec.source.path is relative to [default: none]
    ///   HF_SOURCE_NETWORKS   networks that spec.source.archive may come from, as in 10.0.0.0/8, besides
    ///                        public addresses [default: none]
    ///   HF_WORK_DIR          folder for what is in the making [default: /var/lib/hyperframes]
    ///   HF_OUTPUTS           folder for videos [default: outputs in HF_WORK_DIR]
    ///   HF_PRODUCER          hf-producer [default: beside this program, else in PATH]
    ///   HF_HANDLER           zip of the Lambda function [default: handler.zip beside this program]
    ///   HF_LEADER_ELECTION   false where there is only ever one process [default: true]
    ///   POD_NAMESPACE        where the Lease is [default: the service account's namespace]
    ///   POD_NAME             who this is in the Lease and in events [default: hf-operator]
    ///   HF_LISTEN            for /healthz, /readyz and /metrics [default: 0.0.0.0:8080]
    ///   HF_LOG               what is logged, as in info,operator=debug [default: info]
    ///
    /// Each Render's video lies in <namespace>/<name> of the folder for videos.
    #[command(verbatim_doc_comment)]
    Run,
    /// Print the custom resource definitions, as YAML
    Crds,
    /// Say which objects still need the operator: exit code 1 while any has our finalizer
    UninstallCheck,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
