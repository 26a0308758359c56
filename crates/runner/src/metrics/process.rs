//! What the system says of this process, under the names that all exporters use.

use std::fmt::{self, Write as _};

/// Writes `process_…`; what cannot be read is left out.
pub(super) fn write(out: &mut String) -> fmt::Result {
    let mut figure = |name: &str, kind: &str, help: &str, value: Option<f64>| match value {
        Some(value) => writeln!(
            out,
            "# HELP process_{name} {help}\n# TYPE process_{name} {kind}\nprocess_{name} {value}"
        ),
        None => Ok(()),
    };
    let stat = std::fs::read_to_string("/proc/self/stat").ok();
    // The name of the program, in brackets, may hold blanks.
    let fields: Vec<&str> = stat
        .as_deref()
        .and_then(|stat| stat.rsplit_once(')'))
        .map(|(_, rest)| rest.split_whitespace().collect())
        .unwrap_or_default();
    // Field 3 of proc(5) is the first behind the bracket.
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<f64>().ok());
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let cpu = field(14).zip(field(15)).map(|(user, system)| (user + system) / ticks);
    figure("cpu_seconds_total", "counter", "Processor time used", cpu)?;
    let resident = field(24).map(|pages| pages * rustix::param::page_size() as f64);
    figure("resident_memory_bytes", "gauge", "Memory in use", resident)?;
    figure("threads", "gauge", "Threads", field(20))?;
    let boot = std::fs::read_to_string("/proc/stat").ok().and_then(|stat| {
        let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
        line.trim().parse::<f64>().ok()
    });
    let started = boot.zip(field(22)).map(|(boot, began)| boot + began / ticks);
    figure(
        "start_time_seconds",
        "gauge",
        "When the process began, in seconds since 1970",
        started,
    )?;
    let files = std::fs::read_dir("/proc/self/fd")
        .ok()
        .map(|entries| entries.count() as f64);
    figure("open_fds", "gauge", "Open files", files)
}
