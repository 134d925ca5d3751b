//! The browser's processes as Linux shows them: which they are, their memory and their CPU time.

use std::{ops::Range, time::Duration};

use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};
use procfs::process::{MMPermissions, ProcState, Process, all_processes};

/// A process and all its descendants that are alive now, parents first.
pub(crate) fn tree(root: Pid) -> Vec<Pid> {
    let stats = all_processes().into_iter().flatten().filter_map(|process| process.ok()?.stat().ok());
    let parents: Vec<(i32, i32)> = stats.map(|stat| (stat.pid, stat.ppid)).collect();
    let mut tree = vec![root.as_raw()];
    let mut next = 0;
    while let Some(&pid) = tree.get(next) {
        tree.extend(parents.iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| *child));
        next += 1;
    }
    tree.into_iter().map(Pid::from_raw).collect()
}

fn process(pid: Pid) -> Option<Process> {
    Process::new(pid.as_raw()).ok()
}

/// Whether a process still runs; one that has ended and only waits to be reaped does not.
pub(crate) fn is_alive(pid: Pid) -> bool {
    let state = process(pid).and_then(|process| process.stat().ok()?.state().ok());
    state.is_some_and(|state| !matches!(state, ProcState::Zombie | ProcState::Dead))
}

/// The process that composes frames.
pub(crate) fn gpu_process(browser: Pid) -> Option<Pid> {
    tree(browser).into_iter().find(|pid| {
        // Chromium's own children write their command line as one word.
        let words = process(*pid).and_then(|process| process.cmdline().ok()).unwrap_or_default();
        words.iter().any(|word| word.contains("--type=gpu-process"))
    })
}

/// Readable and writable address ranges of a process; `None` when they may not be seen.
pub(crate) fn writable_regions(pid: Pid) -> Option<Vec<Range<usize>>> {
    let maps = process(pid)?.maps().ok()?;
    let wanted = MMPermissions::READ | MMPermissions::WRITE;
    let address = |address: u64| usize::try_from(address).ok();
    let region = |(start, end): (u64, u64)| Some(address(start)?..address(end)?);
    Some(maps.into_iter().filter(|map| map.perms.contains(wanted)).filter_map(|map| region(map.address)).collect())
}

/// CPU time used so far by some processes together. Those that have ended count nothing.
pub(crate) fn cpu_time(pids: &[Pid]) -> Duration {
    let used = |pid: &Pid| Some(Duration::from(clock_gettime(clock_getcpuclockid(*pid).ok()?).ok()?));
    pids.iter().filter_map(used).sum()
}

/// Resident memory in bytes of some processes together, without what they share with others: library code, shared memory.
pub(crate) fn resident(pids: &[Pid]) -> u64 {
    let own = |pid: &Pid| {
        let memory = process(*pid)?.statm().ok()?;
        Some(memory.resident.saturating_sub(memory.shared))
    };
    pids.iter().filter_map(own).sum::<u64>() * procfs::page_size()
}
