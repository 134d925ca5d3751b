//! `hf-producer`: see [`producer`].

fn main() -> std::process::ExitCode {
    producer::run(std::env::args_os())
}
