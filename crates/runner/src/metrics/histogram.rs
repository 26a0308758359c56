//! Counts by size.

use std::fmt::{self, Write as _};

/// A histogram with these upper bounds.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    bounds: &'static [f64],
    /// How many were at most as large as the bound of the same position.
    buckets: Vec<u64>,
    sum: f64,
    count: u64,
}

impl Histogram {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            buckets: vec![0; bounds.len()],
            sum: 0.0,
            count: 0,
        }
    }

    pub(super) fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
        for (bucket, bound) in self.buckets.iter_mut().zip(self.bounds) {
            *bucket += u64::from(value <= *bound);
        }
    }

    /// `labels` as in `a="b",c="d"`, or empty.
    pub(super) fn write(&self, out: &mut String, name: &str, labels: &str) -> fmt::Result {
        let comma = if labels.is_empty() { "" } else { "," };
        for (bucket, bound) in self.buckets.iter().zip(self.bounds) {
            writeln!(
                out,
                "gitlab_runner_{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {bucket}"
            )?;
        }
        writeln!(
            out,
            "gitlab_runner_{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {}",
            self.count
        )?;
        let braced = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{labels}}}")
        };
        writeln!(out, "gitlab_runner_{name}_sum{braced} {}", self.sum)?;
        writeln!(out, "gitlab_runner_{name}_count{braced} {}", self.count)
    }
}
