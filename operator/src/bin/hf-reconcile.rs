//! `hf-reconcile`: see [`operator`].

fn main() -> std::process::ExitCode {
    operator::run(std::env::args_os())
}
