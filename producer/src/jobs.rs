//! How much this machine can do at once, cgroup limits counted.

#![expect(clippy::disallowed_methods, reason = "reads /proc and /sys, where a missing file means there is no limit")]

use std::{fs, num::NonZeroUsize, path::Path, thread};

/// Memory a chunk in the making is counted as: a browser with a 1920×1080 page (250 MiB measured), one x264 encoder with
/// its look-ahead (300 MiB measured) and a few pictures in flight.
const JOB_BYTES: u64 = 600 << 20;

/// Whether there is memory for more than the least a job needs: another encoder, or pictures drawn ahead.
pub(crate) fn memory_to_spare() -> bool {
    usable_memory(Path::new("/")) > JOB_BYTES
}

/// What there is to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    pub(crate) cores: NonZeroUsize,
    /// Bytes.
    pub(crate) memory: u64,
}

impl Capacity {
    /// Usable cores (affinity and cgroup quota counted) and usable memory (cgroup limits counted).
    pub(crate) fn of_this_machine() -> Self {
        let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self { cores, memory: usable_memory(Path::new("/")) }
    }

    /// Chunks that can be rendered at the same time: the smaller of cores and memory / 600 MiB, at least one.
    pub(crate) fn jobs(self) -> NonZeroUsize {
        let by_memory = usize::try_from(self.memory / JOB_BYTES).unwrap_or(usize::MAX);
        NonZeroUsize::new(self.cores.get().min(by_memory)).unwrap_or(NonZeroUsize::MIN)
    }
}

/// Bytes available without swapping, or left under the tightest cgroup limit. `root` is `/`, or a copy of it in tests.
fn usable_memory(root: &Path) -> u64 {
    let available = meminfo(root, "MemAvailable:").unwrap_or(u64::MAX);
    cgroup_headrooms(root).into_iter().fold(available, u64::min)
}

fn meminfo(root: &Path, field: &str) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let kibibytes = text.lines().find_map(|line| line.strip_prefix(field))?.trim().trim_end_matches(" kB");
    Some(kibibytes.parse::<u64>().ok()? << 10)
}

/// Limit minus use of this process's cgroup and each one above it, versions 2 and 1. Caches that can be dropped
/// (`inactive_file`) do not count as used.
fn cgroup_headrooms(root: &Path) -> Vec<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut headrooms = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
        let (mount, limit, used) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max", "memory.current"),
            list if list.split(',').any(|controller| controller == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
            }
            _ => continue,
        };
        for group in Path::new(group.trim_start_matches('/')).ancestors() {
            let folder = root.join(mount).join(group);
            let number = |file: &str| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
            if let (Some(limit), Some(used)) = (number(limit), number(used)) {
                let droppable = stat(&folder, "inactive_file ").unwrap_or(0);
                headrooms.push(limit.saturating_sub(used.saturating_sub(droppable)));
            }
        }
    }
    headrooms
}

fn stat(folder: &Path, field: &str) -> Option<u64> {
    let text = fs::read_to_string(folder.join("memory.stat")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(field))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> u64 {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        usable_memory(root.path()) >> 20
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:       9 kB\nMemAvailable:    4194304 kB\n");

    #[test]
    fn without_a_limit_it_is_what_the_machine_has() {
        assert_eq!(machine(&[MEMINFO, ("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "max\n")]), 4096);
    }

    #[test]
    fn the_tightest_group_above_counts_without_its_droppable_caches() {
        let files = [
            MEMINFO,
            ("proc/self/cgroup", "0::/pod/container\n"),
            ("sys/fs/cgroup/pod/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/pod/memory.current", "524288000\n"),
            ("sys/fs/cgroup/pod/memory.stat", "anon 1\ninactive_file 104857600\n"),
            ("sys/fs/cgroup/pod/container/memory.max", "max\n"),
        ];
        assert_eq!(machine(&files), 1024 - 500 + 100);
    }

    #[test]
    fn version_one_limits_count_too() {
        let files = [
            MEMINFO,
            ("proc/self/cgroup", "5:cpu:/x\n4:memory:/docker\n"),
            ("sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "734003200\n"),
            ("sys/fs/cgroup/memory/docker/memory.usage_in_bytes", "0\n"),
        ];
        assert_eq!(machine(&files), 700);
    }

    #[test]
    fn jobs_are_the_smaller_of_cores_and_memory_and_never_none() {
        let jobs = |cores: usize, mib: u64| {
            Capacity { cores: NonZeroUsize::new(cores).unwrap(), memory: mib << 20 }.jobs().get()
        };
        assert_eq!((jobs(2, 24_000), jobs(8, 1900), jobs(4, 100)), (2, 3, 1));
    }
}
