//! The browser's processes as Linux shows them: which they are, their memory and their CPU time.

#![expect(clippy::disallowed_methods, reason = "reads /proc, where a missing file means a process has ended")]

use std::{fs, ops::Range, time::Duration};

use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};

/// A process and all its descendants that are alive now, parents first.
pub(crate) fn tree(root: Pid) -> Vec<Pid> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let parents: Vec<(i32, i32)> = pids.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut tree = vec![root.as_raw()];
    let mut next = 0;
    while let Some(&pid) = tree.get(next) {
        tree.extend(parents.iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| *child));
        next += 1;
    }
    tree.into_iter().map(Pid::from_raw).collect()
}

fn parent(pid: i32) -> Option<i32> {
    stat(pid)?.1.parse().ok()
}

/// Whether a process still runs; one that has ended and only waits to be reaped does not.
pub(crate) fn is_alive(pid: Pid) -> bool {
    stat(pid.as_raw()).is_some_and(|(state, _)| state != "Z" && state != "X")
}

/// State and parent of a process.
fn stat(pid: i32) -> Option<(String, String)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name stands in parentheses and may itself hold anything; state and parent follow it.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().map(str::to_owned);
    Some((fields.next()?, fields.next()?))
}

/// The process that composes frames.
pub(crate) fn gpu_process(browser: Pid) -> Option<Pid> {
    tree(browser).into_iter().find(|pid| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains("--type=gpu-process")
    })
}

/// Readable and writable address ranges of a process; `None` when they may not be seen.
pub(crate) fn writable_regions(pid: Pid) -> Option<Vec<Range<usize>>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let region = |line: &str| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        rest.starts_with("rw").then_some(address(start)?..address(end)?)
    };
    Some(maps.lines().filter_map(region).collect())
}

/// CPU time used so far by some processes together. Those that have ended count nothing.
pub(crate) fn cpu_time(pids: &[Pid]) -> Duration {
    let used = |pid: &Pid| Some(Duration::from(clock_gettime(clock_getcpuclockid(*pid).ok()?).ok()?));
    pids.iter().filter_map(used).sum()
}

/// Resident memory of some processes together in bytes; pages they share count once for each.
pub(crate) fn resident(pids: &[Pid]) -> u64 {
    const PAGE: u64 = 4096;
    let pages = |pid: &Pid| {
        let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        let mut fields = statm.split_whitespace().skip(1).map(|field| field.parse::<u64>().unwrap_or(0));
        // Without the pages shared with others (library code, shared memory).
        Some(fields.next()?.saturating_sub(fields.next()?))
    };
    pids.iter().filter_map(pages).sum::<u64>() * PAGE
}
