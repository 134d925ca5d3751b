//! How much this machine can do at once, cgroup limits counted.

#![expect(clippy::disallowed_methods, reason = "reads /proc and /sys, where a missing file means there is no limit")]

use std::{fs, num::NonZeroUsize, path::Path, thread};

use procfs::{FromRead as _, ProcessCGroups};

/// Memory of a chunk in the making that no frame's size changes: a browser's programs and the page, in bytes.
const BASE: u64 = 200 << 20;
/// And what grows with the frame, in bytes a pixel: layers and bitmaps of the browser, one x264 encoder with its look-ahead
/// (300 MiB measured at 1920×1080), and pictures in flight.
const PER_PIXEL: u64 = 200;
/// Of that, an encoder with the pictures it waits for.
const ENCODER_PER_PIXEL: u64 = 150;

/// A browser and its encoders keep nearly two cores busy. One more for each core fills what they leave, and takes a second of
/// CPU to start: worth it from so many frames on (measured at 1920×1080).
const FRAMES_OF_ANOTHER_JOB: u32 = 120;

/// Memory that a chunk of frames of so many pixels is counted as, in bytes: 240 MiB at 640×360, 600 MiB at 1920×1080,
/// 11 GiB at 7680×7680.
const fn job_bytes(width: u32, height: u32) -> u64 {
    BASE + PER_PIXEL * width as u64 * height as u64
}

/// Whether there is memory for more than the least a job needs: another encoder of frames of this size, or pictures drawn
/// ahead.
pub(crate) fn memory_to_spare(width: u32, height: u32) -> bool {
    usable_memory(Path::new("/")) > BASE + ENCODER_PER_PIXEL * u64::from(width) * u64::from(height)
}

/// What there is to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Usable cores: affinity and cgroup quota counted.
    pub(crate) cores: NonZeroUsize,
    /// Usable memory in bytes: cgroup limits counted.
    pub(crate) memory: u64,
}

impl Capacity {
    pub(crate) fn of_this_machine() -> Self {
        let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self { cores, memory: usable_memory(Path::new("/")) }
    }

    /// Chunks that are rendered at the same time so that `frames` frames of this size are soonest there: as cores and memory
    /// allow and the number of frames makes worthwhile, at least one.
    pub(crate) fn jobs(self, width: u32, height: u32, frames: u32) -> NonZeroUsize {
        let by_memory = usize::try_from(self.memory / job_bytes(width, height)).unwrap_or(usize::MAX);
        let by_frames = usize::try_from(frames / FRAMES_OF_ANOTHER_JOB).unwrap_or(usize::MAX);
        let by_cores = self.cores.get().div_ceil(2).max(by_frames).min(self.cores.get());
        NonZeroUsize::new(by_cores.min(by_memory)).unwrap_or(NonZeroUsize::MIN)
    }
}

/// Bytes available without swapping, or left under the tightest cgroup limit. `root` is `/`, or a copy of it in tests.
fn usable_memory(root: &Path) -> u64 {
    // Not with `procfs::Meminfo`: it wants fields that sandboxes leave out.
    let available = field(&root.join("proc/meminfo"), "MemAvailable:").map_or(u64::MAX, |kib| kib << 10);
    cgroup_headrooms(root).into_iter().fold(available, u64::min)
}

/// Limit minus use of this process's cgroup and each one above it, versions 2 and 1. Caches that can be dropped
/// (`inactive_file`) do not count as used.
fn cgroup_headrooms(root: &Path) -> Vec<u64> {
    let groups = ProcessCGroups::from_file(root.join("proc/self/cgroup")).map(|groups| groups.0).unwrap_or_default();
    let mut headrooms = Vec::new();
    for group in groups {
        let (mount, limit, used) = match &group.controllers[..] {
            [] => ("sys/fs/cgroup", "memory.max", "memory.current"),
            list if list.iter().any(|controller| controller == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
            }
            _ => continue,
        };
        for group in Path::new(group.pathname.trim_start_matches('/')).ancestors() {
            let folder = root.join(mount).join(group);
            let number = |file: &str| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
            if let (Some(limit), Some(used)) = (number(limit), number(used)) {
                let droppable = field(&folder.join("memory.stat"), "inactive_file ").unwrap_or(0);
                headrooms.push(limit.saturating_sub(used.saturating_sub(droppable)));
            }
        }
    }
    headrooms
}

/// The number after a name, at the beginning of a line.
fn field(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
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
        let jobs = |cores: usize, mib: u64, (width, height)| {
            let capacity = Capacity { cores: NonZeroUsize::new(cores).unwrap(), memory: mib << 20 };
            capacity.jobs(width, height, u32::MAX).get()
        };
        let hd = (1920, 1080);
        assert_eq!((jobs(2, 24_000, hd), jobs(8, 1900, hd), jobs(4, 100, hd)), (2, 3, 1));
        assert_eq!((jobs(8, 1900, (640, 360)), jobs(8, 24_000, (7680, 7680))), (7, 2));
    }

    #[test]
    fn a_short_video_is_not_worth_a_browser_for_each_core() {
        let jobs = |cores: usize, frames| {
            Capacity { cores: NonZeroUsize::new(cores).unwrap(), memory: u64::MAX }.jobs(1920, 1080, frames).get()
        };
        assert_eq!([1, 239, 240, 9000].map(|frames| jobs(2, frames)), [1, 1, 2, 2]);
        assert_eq!([1, 359, 360, 960].map(|frames| jobs(5, frames)), [3, 3, 3, 5]);
    }
}
