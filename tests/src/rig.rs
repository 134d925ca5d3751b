//! AWS on this machine: an emulator in which the real `bootstrap` runs every invocation. See `tests/rig`.

use std::{
    fs::{self, File, Permissions},
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    bins::{bin, tool},
    fixture::{Folder, root},
    processes::{Watched, descendants, output},
};

/// The region that everything is in.
pub const REGION: &str = "us-east-1";
/// Its programs come from PyPI when they are needed first.
const START: Duration = Duration::from_mins(8);

/// A function that gives the same answer, JSON, to every event.
const ANSWERING: &str = r#"#!/usr/bin/env python3
import os, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(api + "next") as event:
        request = event.headers["Lambda-Runtime-Aws-Request-Id"]
    urllib.request.urlopen(api + request + "/response", data=b'ANSWER').close()
"#;

/// How many lines of a log are told when a test fails.
const LAST_LINES: usize = 100;

/// An emulator of AWS that ends when it is dropped.
pub struct Rig {
    child: Child,
    port: u16,
    folder: Folder,
}

impl Rig {
    /// Starts one, and packs the function's zip.
    pub fn start() -> Self {
        let rig = Self::start_empty(&[]);
        rig.pack(&bin("bootstrap"));
        rig
    }

    /// Starts one whose account may have so many invocations at the same time.
    pub fn start_limited(invocations: u32) -> Self {
        let rig = Self::start_empty(&[("LAMBDA_LIMITS_CONCURRENT_EXECUTIONS", &invocations.to_string())]);
        rig.pack(&bin("bootstrap"));
        rig
    }

    /// Starts one with a function that gives the same answer to every event.
    pub fn start_answering(answer: &Value) -> Self {
        let rig = Self::start_empty(&[]);
        let program = rig.folder.join("bootstrap");
        fs::write(&program, ANSWERING.replace("ANSWER", &answer.to_string())).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        rig.pack(&program);
        rig
    }

    /// Starts one with a packaged function.
    pub fn start_with(zip: &Path) -> Self {
        let rig = Self::start_empty(&[]);
        fs::copy(zip, rig.zip()).unwrap();
        rig
    }

    fn start_empty(variables: &[(&str, &str)]) -> Self {
        let folder = Folder::new();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = File::create(folder.join("log")).unwrap();
        let mut command = Command::new(root().join("tests/rig/up"));
        command.envs(variables.iter().copied());
        command.args(["--port", &port.to_string(), "--state"]).arg(folder.join("state"));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        let rig = Self { child: command.spawn().unwrap(), port, folder };
        rig.wait();
        rig
    }

    fn wait(&self) {
        let begin = Instant::now();
        while !fs::read_to_string(self.folder.join("log")).unwrap().contains("Ready.")
            || TcpStream::connect(("127.0.0.1", self.port)).is_err()
        {
            let log = || fs::read_to_string(self.folder.join("log")).unwrap();
            assert!(begin.elapsed() < START, "the emulator does not start:\n{}", log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn pack(&self, program: &Path) {
        let script = "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_STORED).write(sys.argv[2], 'bootstrap')";
        tool("python3", &["-c", script, self.zip().to_str().unwrap(), program.to_str().unwrap()]);
    }

    /// The function's zip.
    pub fn zip(&self) -> PathBuf {
        self.folder.join("handler.zip")
    }

    /// Where it answers.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// `hf-reconcile` with what it needs to speak to it.
    pub fn hf_reconcile(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(bin("hf-reconcile"));
        command.args(arguments);
        if arguments.first().is_some_and(|first| first.starts_with('-')) {
            command.arg("--handler").arg(self.zip());
        }
        self.aws(command)
    }

    /// A program with what it needs to speak to it.
    pub fn aws(&self, mut command: Command) -> Command {
        command.env("AWS_ENDPOINT_URL", self.endpoint()).env("AWS_REGION", REGION);
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command
    }

    /// One run over a folder, to its end: its exit code and what it said.
    pub fn once(&self, folder: &Path, more: &[&str]) -> (i32, String) {
        let folder = folder.to_str().unwrap();
        let arguments: Vec<_> = more.iter().copied().chain(["--once", folder]).collect();
        let output = output(&mut self.hf_reconcile(&arguments));
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.code().expect("an exit code"), said.into_owned())
    }

    /// One run over a folder that is watched while it goes on.
    pub fn watched(&self, folder: &Path) -> Watched {
        let mut command = self.hf_reconcile(&["-o", "json", "--once", folder.to_str().unwrap()]);
        command.stderr(File::create(self.folder.join("reconcile.log")).unwrap());
        Watched::start(command)
    }

    /// The processes of functions.
    pub fn functions(&self) -> Vec<i32> {
        let is_function = |pid: &i32| {
            let name = fs::read_link(format!("/proc/{pid}/exe")).ok();
            name.and_then(|path| path.file_name().map(|name| name == "bootstrap")).unwrap_or(false)
        };
        descendants(i32::try_from(self.child.id()).unwrap()).into_iter().filter(is_function).collect()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // What it and the last run said, for whoever reads why a test failed.
        if thread::panicking() {
            for log in ["log", "reconcile.log"] {
                let text = fs::read_to_string(self.folder.join(log)).unwrap_or_default();
                let lines: Vec<_> = text.lines().collect();
                eprintln!("{log}:\n{}", lines[lines.len().saturating_sub(LAST_LINES)..].join("\n"));
            }
        }
        // Its functions end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
