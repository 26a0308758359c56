//! Whether the kernel ended a process of the container for want of memory.

use std::fs;

/// Files of the container's own cgroup, newer kernels first: the counter's file and the limit's.
const FILES: [(&str, &str); 2] = [
    ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory.max"),
    (
        "/sys/fs/cgroup/memory/memory.oom_control",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ),
];

/// How many processes were killed so far; `None` where that cannot be seen.
pub(super) fn kills() -> Option<u64> {
    FILES
        .iter()
        .find_map(|(events, _)| count(&fs::read_to_string(events).ok()?))
}

/// What is said when the number has grown since.
pub(super) fn explain(before: Option<u64>) -> Option<String> {
    if kills()? <= before? {
        return None;
    }
    let limit = FILES
        .iter()
        .find_map(|(_, limit)| fs::read_to_string(limit).ok()?.trim().parse::<u64>().ok());
    let limit = limit.map_or_else(|| "its limit".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
    Some(format!(
        "ERROR: the kernel killed a process of the job for want of memory: its container may use {limit} (`memory` in \
         [runners.docker], `memory_limit` in [runners.kubernetes])\n"
    ))
}

fn count(text: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}
