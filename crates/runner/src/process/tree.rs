//! Process trees, read from `/proc`.

use std::collections::HashMap;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Sends `signal` to every descendant of `root`, not to `root` itself. Returns how many there were.
///
/// One pass is a snapshot: a process that forks meanwhile is caught by the next pass, since as the descendant of a
/// subreaper it cannot leave the tree.
pub(super) fn signal_descendants(root: Pid, signal: Signal) -> usize {
    let found = descendants(root);
    for pid in &found {
        // Gone already, or (set-user-id programs) not ours to signal: the next pass will show.
        let _ = kill_process(*pid, signal);
    }
    found.len()
}

/// All descendants of `root`, parents before children.
pub(super) fn descendants(root: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut queue = vec![root];
    let mut by_parent: Option<HashMap<i32, Vec<i32>>> = None;
    while let Some(pid) = queue.pop() {
        let children = match children_file(pid) {
            Some(children) => children,
            // The kernel has no `children` file: read the whole table, once.
            None => by_parent
                .get_or_insert_with(parents)
                .get(&pid.as_raw_nonzero().get())
                .cloned()
                .unwrap_or_default(),
        };
        for child in children.into_iter().filter_map(Pid::from_raw) {
            found.push(child);
            queue.push(child);
        }
    }
    found
}

/// Children of all threads of a process. `None` where the kernel was built without that file.
fn children_file(pid: Pid) -> Option<Vec<i32>> {
    let Ok(threads) = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())) else {
        // It ended meanwhile, and its children have become the subreaper's.
        return Some(Vec::new());
    };
    let mut found = Vec::new();
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(text) => found.extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok())),
            Err(_) if thread.path().exists() => return None,
            Err(_) => {}
        }
    }
    Some(found)
}

/// The whole process table by parent.
fn parents() -> HashMap<i32, Vec<i32>> {
    let mut table: HashMap<i32, Vec<i32>> = HashMap::new();
    for pid in all_processes() {
        if let Some(parent) = parent_of(pid) {
            table.entry(parent).or_default().push(pid);
        }
    }
    table
}

/// Ids of all processes that we can see.
pub(super) fn all_processes() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, also parentheses: count from the last one.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}
