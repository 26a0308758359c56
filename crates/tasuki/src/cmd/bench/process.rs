//! What the kernel says of a process.

use std::time::Duration;

use anyhow::Context as _;

/// Resident memory of a process in bytes.
pub(super) struct Resident {
    pub(super) all: u64,
    /// What is the process's own; the rest are pages of files, which the kernel can drop and other processes share.
    pub(super) own: u64,
}

pub(super) fn resident(pid: u32) -> anyhow::Result<Resident> {
    let path = format!("/proc/{pid}/status");
    Ok(Resident {
        all: status(&path, "VmRSS:")?,
        own: status(&path, "RssAnon:")?,
    })
}

/// The most memory that this process ever had resident, in bytes.
pub(super) fn own_peak() -> anyhow::Result<u64> {
    status("/proc/self/status", "VmHWM:")
}

fn status(path: &str, field: &str) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let kib: u64 = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("no {field} in {path}"))?;
    Ok(kib * 1024)
}

/// Millions of bytes.
pub(super) fn megabytes(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
    let bytes = bytes as f64;
    bytes / 1e6
}

/// What all threads of a process have used.
#[derive(Clone, Copy)]
pub(super) struct Used {
    /// User and system time.
    pub(super) cpu: Duration,
    /// Times that a thread went to sleep by itself: each is a wake-up later.
    pub(super) sleeps: u64,
}

/// Threads that have ended in between are not counted: only good for a process that is idle.
pub(super) fn used(pid: u32) -> anyhow::Result<Used> {
    let (mut nanoseconds, mut sleeps) = (0, 0);
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let folder = thread?.path();
        let (Ok(times), Ok(status)) = (
            std::fs::read_to_string(folder.join("schedstat")),
            std::fs::read_to_string(folder.join("status")),
        ) else {
            continue;
        };
        let first = |text: &str| text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        nanoseconds += first(&times).context("no time in schedstat")?;
        sleeps += status
            .lines()
            .find_map(|line| first(line.strip_prefix("voluntary_ctxt_switches:")?))
            .context("no context switches in status")?;
    }
    Ok(Used {
        cpu: Duration::from_nanos(nanoseconds),
        sleeps,
    })
}

/// User and system time that a process has used, to a hundredth of a second.
pub(super) fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name stands in parentheses and may hold anything; the fields after it are counted from 3.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Ok(Duration::from_millis((ticks(11) + ticks(12)) * 10))
}
