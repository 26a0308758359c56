//! What the jobs of a pipeline may weigh together.

use std::cell::Cell;

use crate::Session;
use crate::diag::{Problem, code};
use crate::lang::gitlab::entry::{Build, JobEntry, Work};
use crate::lang::gitlab::variables::Layer;

/// Bytes, roughly: every job of the Plan has its own copy of the root variables and of the default scripts, so that a
/// small file could fill the memory. Ten thousand ordinary jobs need a twentieth of it.
const MAX_BYTES: usize = 512 << 20;

/// What a text costs besides its bytes.
const OVERHEAD: usize = 64;

pub(super) struct Budget {
    left: Cell<usize>,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            left: Cell::new(MAX_BYTES),
        }
    }

    /// Takes what a job will need; false, and reported once, where too little is left.
    pub(super) fn take(&self, session: &Session<'_>, entry: &JobEntry, root: &Layer, own: &Layer) -> bool {
        if self.left.get() == 0 {
            return false;
        }
        let work = match &entry.work {
            Work::Build(build) => weight(build),
            Work::Bridge(_) => 0,
        };
        let cost = layer(root).saturating_add(layer(own)).saturating_add(work);
        if let Some(left) = self.left.get().checked_sub(cost) {
            self.left.set(left);
            return true;
        }
        self.left.set(0);
        let text = format!(
            "the jobs of the pipeline are too large together: more than {} MiB",
            MAX_BYTES >> 20
        );
        let problem = Problem::new(&code::GITLAB_TOO_MANY, entry.span, text);
        session.report(problem.hint("every job has a copy of the root variables and of the default scripts"));
        false
    }
}

fn layer(layer: &Layer) -> usize {
    let each = layer.list().iter().map(|v| v.key.len() + v.value.len() + 2 * OVERHEAD);
    each.sum()
}

fn weight(build: &Build) -> usize {
    let lines = [&build.before_script, &build.script, &build.after_script, &build.hooks];
    // A script is there twice: as lines and as one command.
    let lines = lines.into_iter().flatten().flat_map(|lines| lines.iter());
    let scripts: usize = lines.map(|line| 2 * line.len() + OVERHEAD).sum();
    let texts = |list: &[String]| list.iter().map(|text| text.len() + OVERHEAD).sum::<usize>();
    let services: usize = build
        .services
        .iter()
        .map(|service| {
            let variables: usize = service
                .image
                .variables
                .iter()
                .map(|v| v.value.len() + 2 * OVERHEAD)
                .sum();
            8 * OVERHEAD + variables + service.image.command.as_deref().map_or(0, texts)
        })
        .sum();
    let caches: usize = build
        .caches
        .iter()
        .map(|cache| 4 * OVERHEAD + texts(&cache.paths))
        .sum();
    let artifacts = build.artifacts.as_ref().map_or(0, |artifacts| {
        let reports: usize = artifacts.reports.iter().map(|report| texts(&report.paths)).sum();
        texts(&artifacts.paths) + texts(&artifacts.exclude) + reports
    });
    scripts + services + caches + artifacts + texts(&build.tags)
}
