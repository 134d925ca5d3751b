//! Running the built programs.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crds::{
    Code, Failure, Line,
    line::{ChunkReport, OutputReport, PlanReport, Progress, Report},
};

use crate::processes::output;

/// A built program. `make test` builds them and says where.
pub fn bin(name: &str) -> PathBuf {
    let folder =
        env::var_os("HF_BIN_DIR").expect("HF_BIN_DIR names the folder with the built programs: run `make test`");
    PathBuf::from(folder).join(name)
}

/// What a run of `hf-producer --json` came to.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub reports: Vec<Report>,
    pub stderr: String,
}

/// `hf-producer --json` with these arguments.
pub fn producer<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Run {
    let mut command = Command::new(bin("hf-producer"));
    command.arg("--json").args(arguments);
    run(command)
}

/// Renders a project, which must succeed.
#[track_caller]
pub fn render(project: &Path, video: &Path, options: &[&str]) -> Run {
    let fixed = [OsStr::new("render"), project.as_os_str(), OsStr::new("-o"), video.as_os_str()];
    producer(fixed.into_iter().chain(options.iter().map(OsStr::new))).ok()
}

/// Runs a producer to its end. A line that is not of the documented form, or progress that goes back, is a failure.
pub fn run(mut command: Command) -> Run {
    let output = output(&mut command);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let mut last: Option<Progress> = None;
    let mut reports = Vec::new();
    for line in stdout.lines() {
        match serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")) {
            Line::Report(report) => reports.push(report),
            Line::Progress(progress) => {
                let forward = last.filter(|last| last.stage == progress.stage).is_none_or(|last| {
                    last.total == progress.total && last.done <= progress.done && progress.done <= progress.total
                });
                assert!(forward, "{progress:?} after {last:?}");
                last = Some(progress);
            }
        }
    }
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Run { code: output.status.code().expect("an exit code"), reports, stderr }
}

impl Run {
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    pub fn error(&self) -> Option<&Failure> {
        self.reports.iter().find_map(|report| if let Report::Error(failure) = report { Some(failure) } else { None })
    }

    pub fn warnings(&self) -> Vec<Code> {
        self.warned().map(|failure| failure.code).collect()
    }

    pub fn warned(&self) -> impl Iterator<Item = &Failure> {
        self.reports
            .iter()
            .filter_map(|report| if let Report::Warning(failure) = report { Some(failure) } else { None })
    }

    #[track_caller]
    pub fn plan(&self) -> &PlanReport {
        let plan =
            self.reports.iter().find_map(|report| if let Report::Plan(plan) = report { Some(plan) } else { None });
        plan.unwrap_or_else(|| panic!("no plan in {self:#?}"))
    }

    pub fn chunks(&self) -> Vec<&ChunkReport> {
        self.reports
            .iter()
            .filter_map(|report| if let Report::Chunk(chunk) = report { Some(&**chunk) } else { None })
            .collect()
    }

    #[track_caller]
    pub fn output(&self) -> &OutputReport {
        let output = self
            .reports
            .iter()
            .find_map(|report| if let Report::Output(output) = report { Some(output) } else { None });
        output.unwrap_or_else(|| panic!("no output in {self:#?}"))
    }
}

/// What a run of `hf-reconcile` came to.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// `hf-reconcile` with these arguments, to its end.
pub fn hf_reconcile(arguments: &[&str]) -> Outcome {
    let output = tool_output(bin("hf-reconcile").to_str().unwrap(), arguments);
    Outcome {
        code: output.status.code().expect("an exit code"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Another program, to its end; its standard output.
pub fn tool(program: &str, arguments: &[&str]) -> String {
    let output = tool_output(program, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The same, whatever its exit code.
pub fn tool_output(program: &str, arguments: &[&str]) -> Output {
    output(Command::new(program).args(arguments))
}
