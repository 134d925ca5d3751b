//! Processes of programs under test: finding, killing and missing them.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// A program whose lines on standard output are read while it runs. Killed, with all it started, when dropped.
pub struct Watched {
    child: Child,
    lines: Receiver<Value>,
    /// Everything it said so far.
    pub said: Vec<Value>,
}

/// A test fails when something it waits for takes longer.
const PATIENCE: Duration = Duration::from_mins(3);

impl Watched {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            let values = stdout.lines().map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok());
            values.for_each(|value: Value| drop(sender.send(value)));
        });
        Self { child, lines, said: Vec::new() }
    }

    /// Waits for a line; the ones before it are kept in `said`.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str, mut is_it: impl FnMut(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|_| panic!("never saw {what}; last: {:#?}", self.said.last()));
            self.said.push(line.clone());
            if is_it(&line) {
                return line;
            }
        }
    }

    /// Nothing that matches is said for a while.
    #[track_caller]
    pub fn expect_silence(&mut self, time: Duration, about: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + time;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            assert!(!about(&line), "unexpected: {line}");
            self.said.push(line);
        }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end; the exit code, or none after a signal.
    pub fn end(mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.said.extend(self.lines.try_iter());
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        kill_all(self.pid());
        let _ = self.child.wait();
    }
}

/// Longer than any program of a test takes that comes to its end.
const LONGEST: Duration = Duration::from_mins(10);

/// Runs a program that reads nothing to its end. One that does not come to it fails the test instead of stopping them all.
#[track_caller]
pub fn output(command: &mut Command) -> Output {
    output_within(command, LONGEST)
}

/// The same, within a time.
#[track_caller]
pub fn output_within(command: &mut Command, within: Duration) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child =
        command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}: run `make test`, which installs it"));
    let pid = i32::try_from(child.id()).unwrap();
    let (ended, end) = channel();
    let watchdog = thread::spawn(move || {
        let late = end.recv_timeout(within).is_err();
        if late {
            kill_all(pid);
        }
        late
    });
    let output = child.wait_with_output().unwrap();
    let _ = ended.send(());
    assert!(!watchdog.join().unwrap(), "{command:?} has not ended within {within:?}: {output:?}");
    output
}

fn kill_all(pid: i32) {
    for pid in descendants(pid).into_iter().chain([pid]) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// All processes started by a process, directly or not.
pub fn descendants(root: i32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: i32| Some((pid, stat(pid)?.1)))
        .collect();
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(&pid) = tree.get(next) {
        tree.extend(parents.iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| *child));
        next += 1;
    }
    tree.split_off(1)
}

/// The first of some processes whose command line holds a text.
pub fn with_command(pids: &[i32], text: &str) -> Option<i32> {
    pids.iter().copied().find(|pid| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(text)
    })
}

/// Waits until something can be had.
#[track_caller]
pub fn eventually<T>(what: &str, mut get: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = get() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not in {PATIENCE:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until none of some processes runs; zombies that only wait to be reaped by the system do not.
#[track_caller]
pub fn expect_gone(pids: &[i32], within: Duration) {
    let deadline = Instant::now() + within;
    loop {
        let alive: Vec<_> = pids.iter().filter(|pid| stat(**pid).is_some_and(|(state, _)| state != 'Z')).collect();
        if alive.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{alive:?} still run after {within:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Resident memory of a process that is its own, in bytes; 0 when it has ended.
pub fn resident_memory(pid: i32) -> u64 {
    const PAGE: u64 = 4096;
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let mut pages = statm.split_whitespace().skip(1).map_while(|field| field.parse::<u64>().ok());
    pages.next().unwrap_or(0).saturating_sub(pages.next().unwrap_or(0)) * PAGE
}

fn stat(pid: i32) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
