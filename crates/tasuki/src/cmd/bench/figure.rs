//! A measured number, its target, and how both are printed.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

/// One measured number.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    name: Cow<'static, str>,
    unit: &'static str,
    value: f64,
    /// What `docs/performance.md` promises.
    target: Option<Target>,
    /// How many observations stand behind it.
    samples: usize,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Figure {
    pub(super) fn new(
        name: impl Into<Cow<'static, str>>,
        unit: &'static str,
        value: f64,
        target: Option<Target>,
        samples: usize,
    ) -> Self {
        Self {
            name: name.into(),
            unit,
            value,
            target,
            samples,
        }
    }

    fn met(&self) -> Option<bool> {
        self.target.map(|target| match target {
            Target::AtMost(most) => self.value <= most,
            Target::AtLeast(least) => self.value >= least,
        })
    }
}

/// Durations, of which percentiles are asked.
pub(super) struct Samples(Vec<Duration>);

impl Samples {
    pub(super) fn new(mut all: Vec<Duration>) -> anyhow::Result<Self> {
        anyhow::ensure!(!all.is_empty(), "nothing was measured");
        all.sort_unstable();
        Ok(Self(all))
    }

    /// The `percent`-th percentile in milliseconds (nearest rank).
    pub(super) fn ms(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).clamp(1, self.0.len());
        self.0[rank - 1].as_secs_f64() * 1000.0
    }

    /// p50, p99 and maximum of `what` as figures.
    pub(super) fn figures(&self, what: &str, targets: [Option<Target>; 3]) -> Vec<Figure> {
        [(50, "p50"), (99, "p99"), (100, "max")]
            .into_iter()
            .zip(targets)
            .map(|((percent, word), target)| {
                let name = format!("{what} {word}");
                Figure::new(name, "ms", self.ms(percent), target, self.0.len())
            })
            .collect()
    }
}

/// Where it was measured.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    cores: usize,
    processor: String,
    kernel: String,
    version: &'static str,
    build: &'static str,
    scratch: String,
}

impl Machine {
    pub(super) fn here(scratch: &Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| {
                line.strip_prefix("model name")
                    .map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned())
            })
            .unwrap_or_else(|| "unknown".to_owned());
        Self {
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            processor,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) {
                "debug (figures mean nothing)"
            } else {
                "release"
            },
            scratch: scratch.parent().unwrap_or(scratch).display().to_string(),
        }
    }
}

/// Prints all figures as one JSON document.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) fn print_json(machine: &Machine, figures: &[Figure]) -> anyhow::Result<()> {
    let rows: Vec<_> = figures
        .iter()
        .map(|figure| {
            let mut row = serde_json::to_value(figure)?;
            row["met"] = serde_json::json!(figure.met());
            Ok(row)
        })
        .collect::<anyhow::Result<_>>()?;
    println!("{}", serde_json::json!({"machine": machine, "figures": rows}));
    Ok(())
}

/// Prints where it is measured: the head of the table.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) fn print_machine(machine: &Machine) {
    println!(
        "tasuki {} {} · {} cores, {} · Linux {} · scratch {}",
        machine.version, machine.build, machine.cores, machine.processor, machine.kernel, machine.scratch
    );
}

/// Prints figures as lines of a table.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) fn print(figures: &[Figure]) -> anyhow::Result<()> {
    for figure in figures {
        let mut line = format!("{:<44} {:>12.2} {:<8}", figure.name, figure.value, figure.unit);
        if let Some(target) = figure.target {
            let (sign, bound) = match target {
                Target::AtMost(most) => ("≤", most),
                Target::AtLeast(least) => ("≥", least),
            };
            let verdict = if figure.met() == Some(true) { "met" } else { "MISSED" };
            write!(line, " target {sign} {bound} {verdict}")?;
        }
        println!("{line} (n = {})", figure.samples);
    }
    Ok(())
}
