//! How `hf-reconcile` does with many Renders, beside a producer that answers at once: what is measured is the reconciler.
//! Run it with `make bench`.
//!
//! So many Renders of one composition are made, with two slots; then the folder is watched anew, with everything finished,
//! and one Render is edited. Targets are reported, not asserted. `HF_SCALE` names other numbers, as in `100,1000`.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tests::{
    bins::bin,
    fixture::{Folder, SECOND},
    processes::{Watched, resident_memory},
};

/// Milliseconds a Render, from nothing to all videos.
const CONVERGE_MS: f64 = 15.0;
/// Seconds until a process knows that a folder of finished Renders is as asked for.
const RESTART_S: f64 = 5.0;
/// Seconds until an edit is noticed.
const EDIT_S: f64 = 1.0;
const MEMORY_MIB: f64 = 100.0;

fn main() {
    let wanted = std::env::var("HF_SCALE").unwrap_or_else(|_| "100,1000,10000".to_owned());
    println!("{:>8}{:>14}{:>12}{:>10}{:>14}", "renders", "ms a render", "restart, s", "edit, s", "memory, MiB");
    for count in wanted.split(',').map(|count| count.trim().parse().expect("HF_SCALE holds numbers")) {
        measure(count);
    }
    println!("{:>8}{CONVERGE_MS:>14.1}{RESTART_S:>12.1}{EDIT_S:>10.1}{MEMORY_MIB:>14.0}", "at most");
}

fn measure(count: usize) {
    let folder = folder(count);
    let (converge, memory) = once(folder.path());
    let (restart, _) = once(folder.path());
    let (edit, watching) = edited(&folder, restart);
    let memory = memory.max(watching) as f64 / f64::from(1 << 20);
    let each = converge.as_secs_f64() * 1000.0 / count as f64;
    let (restart, edit) = (restart.as_secs_f64(), edit.as_secs_f64());
    println!("{count:>8}{each:>14.2}{restart:>12.2}{edit:>10.2}{memory:>14.0}");
}

/// A composition and so many Renders of it, a hundred a file.
fn folder(count: usize) -> Folder {
    let folder = Folder::new();
    folder.project("site", SECOND, "<p>Text</p>");
    for first in (0..count).step_by(100) {
        let mut text = String::new();
        for number in first..(first + 100).min(count) {
            let _ = write!(
                text,
                "---\napiVersion: hyperframes.io/v1alpha1\nkind: Render\nmetadata: {{name: r{number}}}\nspec:\n  source: {{path: site}}\n  variables: {{number: {number}}}\n"
            );
        }
        folder.write(&format!("r{first}.yaml"), &text);
    }
    folder
}

fn command() -> Command {
    let mut command = Command::new(bin("hf-reconcile"));
    command.arg("--producer").arg(bin("instant-producer"));
    command
}

/// Time and highest memory of a run to its end.
fn once(folder: &Path) -> (Duration, u64) {
    let mut command = command();
    command.arg("--once").arg(folder).stdout(Stdio::null()).stderr(Stdio::null());
    let begin = Instant::now();
    let mut child: Child = command.spawn().expect("hf-reconcile starts");
    let mut memory = 0;
    loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            assert!(status.success(), "{status}");
            return (begin.elapsed(), memory);
        }
        memory = memory.max(resident_memory(i32::try_from(child.id()).unwrap()));
        thread::sleep(Duration::from_millis(20));
    }
}

/// Time from an edit to the start of the attempt that it asks for, and the memory of the process that watches. Everything has
/// been looked at before, which takes as long as a `restart`.
fn edited(folder: &Folder, restart: Duration) -> (Duration, u64) {
    let mut command = command();
    command.args(["-o", "json", "--watch"]).arg(folder.path()).stderr(Stdio::null());
    let mut watching = Watched::start(command);
    thread::sleep(2 * restart + Duration::from_secs(1));
    let text = fs::read_to_string(folder.join("r0.yaml")).unwrap().replace("{number: 0}", "{number: -1}");
    folder.write("r0.yaml", &text);
    let begin = Instant::now();
    watching.wait_for("the edited Render", |line| line["object"] == "Render default/r0" && line["state"] == "Running");
    (begin.elapsed(), resident_memory(watching.pid()))
}
