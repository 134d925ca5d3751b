//! Everything is tested through the real programs, a real Chromium and real libav. Table of contents:

/// Which crate may know which.
mod arch;
/// A stack on AWS and its executions, in an emulator with the real function.
mod aws;
/// What goes wrong there: invocations that are refused, executions that take too long, plans without chunks.
mod aws_faults;
/// Errors a user makes, each with its code, its exit code and nothing left behind.
mod bad_input;
/// `hf-operator` at a real API server.
mod cluster;
/// And with a stack on AWS.
mod cluster_aws;
/// `hf-operator` goes on whatever happens to it and to its API server.
mod cluster_chaos;
/// What `hf-operator` is told, wrongly.
mod cluster_inputs;
/// The life of a Render at a real API server: what only a cluster has.
mod cluster_life;
/// What the chart's README tells its readers to type.
mod cluster_recipes;
/// What an API server takes of our kinds, and what GitOps tools make of them.
mod cluster_rules;
/// What it sends to a collector of traces.
mod cluster_traces;
/// What a composition names on the network: packages, files of other hosts, fonts.
mod elsewhere;
/// Videos: stream properties, frame counts, frame rates, sizes.
mod encode;
/// Every example renders and looks as a plain browser shows it.
mod examples;
/// What may lie in a folder that `hf-reconcile` looks at.
mod folders;
/// Every output format: its streams, its opacity, the same however it is cut; what does not go together.
mod formats;
/// Files that are generated and committed are fresh.
mod golden;
/// What other renderers got wrong once, and authors do.
mod hazards;
/// Chunked output equals whole output, in every frame and byte.
mod invariance;
/// Programs are killed at named moments and go on where they were.
mod kill;
/// The Lambda function, in an environment of this machine and beside a store that stands in for S3.
mod lambda;
/// Animation libraries as npm has them: seekable, the same in chunks, and as a plain browser shows them.
mod libraries;
/// The life of a Render: deadlines, run tokens, sources that are fetched.
mod life;
/// Videos and sound in compositions.
mod media;
/// `hf-reconcile --once` and the commands that look and ask.
mod once;
/// What `hf-producer` writes to, and what it never does.
mod outputs;
/// Nothing is missing from the picture.
mod pictures;
/// Sub-compositions.
mod scenes;
/// Whatever moves by itself: it follows the frame being drawn, in whatever chunk, or is named.
mod time;
/// `hf-reconcile --watch`: files come, change, break and go.
mod watch;
