//! What people read, as plain text.

use std::time::Duration;

use crds::{
    Diagnosis, FrameRate, Stage,
    diagnosis::Check,
    line::{OutputReport, Progress},
};

/// `rendering 40/150 · 25 fps · 3 s, 4 s left`; `elapsed` counts from the beginning of the stage.
pub(crate) fn progress(Progress { stage, done, total }: Progress, elapsed: Duration) -> String {
    let doing = match stage {
        Stage::Plan => "planning",
        Stage::Render => "rendering",
        Stage::Assemble => "assembling",
    };
    let passed = elapsed.as_secs();
    let per_second = f64::from(done) / elapsed.as_secs_f64().max(1e-3);
    if stage != Stage::Render || done == 0 {
        return format!("{doing} {done}/{total} · {passed} s");
    }
    let left = (f64::from(total - done.min(total)) / per_second).ceil();
    format!("{doing} {done}/{total} · {per_second:.0} fps · {passed} s, {left:.0} s left")
}

/// `hello.mp4: 150 frames, 640×360, 30 fps, 96 kB, in 6.2 s`.
pub(crate) fn video(report: &OutputReport, rate: Option<FrameRate>, took: Duration) -> String {
    let OutputReport { path, bytes, frames, width, height, .. } = report;
    let rate = rate.map_or_else(String::new, |rate| format!(", {rate} fps"));
    let took = took.as_secs_f64();
    format!("{path}: {frames} frames, {width}×{height}{rate}, {}, in {took:.1} s", size(*bytes))
}

/// `x.png: 640×360, 12 kB`.
pub(crate) fn still(OutputReport { path, bytes, width, height, .. }: &OutputReport) -> String {
    format!("{path}: {width}×{height}, {}", size(*bytes))
}

/// In powers of ten, as file managers show it.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// A line for each thing that was checked.
pub(crate) fn diagnosis(diagnosis: &Diagnosis) -> String {
    let mark = |check: &Check| match (check.ok, check.required) {
        (true, _) => "ok",
        (false, true) => "MISSING",
        (false, false) => "warning",
    };
    diagnosis.checks.iter().map(|check| format!("{:<8} {:<13} {}\n", mark(check), check.name, check.detail)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_what_is_done_how_fast_and_what_is_left() {
        let told = |stage, done, total, ms| progress(Progress { stage, done, total }, Duration::from_millis(ms));
        assert_eq!(told(Stage::Render, 75, 150, 3000), "rendering 75/150 · 25 fps · 3 s, 3 s left");
        assert_eq!(told(Stage::Render, 150, 150, 6900), "rendering 150/150 · 22 fps · 6 s, 0 s left");
        assert_eq!(told(Stage::Render, 0, 150, 1900), "rendering 0/150 · 1 s");
        assert_eq!(told(Stage::Plan, 1, 3, 0), "planning 1/3 · 0 s");
    }

    #[test]
    fn a_video_is_summed_up_in_a_line() {
        let report = OutputReport {
            path: "out/hello.mp4".to_owned(),
            bytes: 96_400,
            sha256: String::new(),
            frames: 150,
            width: 640,
            height: 360,
        };
        let line = video(&report, "30000/1001".parse().ok(), Duration::from_millis(6210));
        assert_eq!(line, "out/hello.mp4: 150 frames, 640×360, 30000/1001 fps, 96 kB, in 6.2 s");
    }
}
