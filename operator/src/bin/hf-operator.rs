//! `hf-operator`: see [`operator`].

fn main() -> std::process::ExitCode {
    operator::run_operator(std::env::args_os())
}
