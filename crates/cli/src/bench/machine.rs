//! The machine: which cores the receiver and the load run on, and what to say of it beside figures.

use serde::Serialize;
use std::path::Path;

/// Where the two sides run. Threads inherit the core of the thread that starts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Cores {
    /// How many there are for this process.
    pub(super) available: usize,
    /// The receiver's, with everything that it starts; any when `None`.
    pub(super) server: Option<usize>,
    /// That of the load; any when `None`.
    pub(super) generator: Option<usize>,
}

impl Cores {
    /// Leaves both sides to the system.
    pub(super) fn unpinned() -> Self {
        let available = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            available,
            server: None,
            generator: None,
        }
    }

    /// Gives each side a core of its own, where there are two and the system can do it.
    pub(super) fn apart() -> Self {
        let unpinned = Self::unpinned();
        match affinity::allowed().as_slice() {
            [server, generator, ..] => Self {
                server: Some(*server),
                generator: Some(*generator),
                ..unpinned
            },
            _ => unpinned,
        }
    }

    /// Whether the two sides do not disturb each other.
    pub(super) const fn are_pinned(&self) -> bool {
        self.server.is_some() && self.generator.is_some()
    }
}

/// Keeps the calling thread, and the threads that it starts from now on, on one core.
///
/// # Errors
/// When the system does not allow it.
pub(super) fn pin(core: Option<usize>) -> std::io::Result<()> {
    core.map_or(Ok(()), affinity::pin)
}

#[cfg(target_os = "linux")]
mod affinity {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    pub(super) fn allowed() -> Vec<usize> {
        let Ok(set) = sched_getaffinity(None) else {
            return Vec::new();
        };
        (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
    }

    pub(super) fn pin(core: usize) -> std::io::Result<()> {
        let mut set = CpuSet::new();
        set.set(core);
        Ok(sched_setaffinity(None, &set)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod affinity {
    pub(super) fn allowed() -> Vec<usize> {
        Vec::new()
    }

    pub(super) fn pin(_core: usize) -> std::io::Result<()> {
        Ok(())
    }
}

/// The processor's name, if the system tells it.
pub(super) fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    let (_, name) = line.split_once(':')?;
    Some(name.trim().to_owned())
}

/// The kind of file system that holds a folder, if the system tells it.
pub(super) fn file_system(folder: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let folder = folder.canonicalize().ok()?;
    kind_of(&mounts, &folder).map(str::to_owned)
}

/// Among lines of `device mount-point kind …` the kind with the longest mount point above the
/// folder; of equal ones the last, which lies over the others.
fn kind_of<'a>(mounts: &'a str, folder: &Path) -> Option<&'a str> {
    let mut found: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(point), Some(kind)) = (fields.next(), fields.next()) else {
            continue;
        };
        let nearer = found.is_none_or(|(length, _)| point.len() >= length);
        if nearer && folder.starts_with(point) {
            found = Some((point.len(), kind));
        }
    }
    found.map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_point_counts() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/x xfs rw 0 0\nbroken\n";
        for (folder, kind) in [
            ("/var", "ext4"),
            ("/tmp/y", "tmpfs"),
            ("/tmp/x/z", "xfs"),
            ("/tmpfile", "ext4"),
        ] {
            assert_eq!(kind_of(mounts, Path::new(folder)), Some(kind), "{folder}");
        }
        assert_eq!(kind_of("", Path::new("/")), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pinned_thread_passes_its_core_on() {
        let Some(core) = affinity::allowed().last().copied() else {
            return;
        };
        let seen = std::thread::spawn(move || {
            pin(Some(core)).unwrap();
            std::thread::spawn(affinity::allowed).join().unwrap()
        });
        assert_eq!(seen.join().unwrap(), [core]);
    }
}
