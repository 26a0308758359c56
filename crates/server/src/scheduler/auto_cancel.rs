//! What a newer pipeline on the same ref does to the older ones.

use std::time::Duration;

use tasuki_model::id::{PipelineId, ProjectId};
use tasuki_model::plan::OnNewCommit;
use tasuki_model::state::{Outcome, job};
use tasuki_store::pipelines;

use super::entry::Entry;
use super::error::Error;
use super::op::Op;

/// Older pipelines than this are left alone (GitLab's rule).
const REACH: Duration = Duration::from_hours(7 * 24);

/// The pipeline that may replace older ones.
pub(super) struct Newcomer<'a> {
    pub(super) id: PipelineId,
    pub(super) project: ProjectId,
    pub(super) ref_name: &'a str,
    pub(super) sha: &'a str,
}

impl Op<'_, '_> {
    /// Cancels what the older pipelines' own settings let go. Gives how many pipelines that concerned.
    pub(super) fn cancel_older(&mut self, newcomer: &Newcomer<'_>) -> Result<usize, Error> {
        let mut count = 0;
        for row in pipelines::live_of_ref(self.tx, newcomer.project, newcomer.ref_name)? {
            let spared = row.id >= newcomer.id
                || row.sha == newcomer.sha
                || row.source == "parent_pipeline"
                || self.now.since(row.created_ms) > REACH;
            if spared {
                continue;
            }
            let policy = self.auto_cancel_of(row.id)?.on_new_commit;
            let mut entry = self.take(row.id)?;
            let cancelled = match policy {
                OnNewCommit::None => 0,
                OnNewCommit::Interruptible => {
                    self.cancel_where(&mut entry, |entry, node| entry.facts[node.at()].interruptible)?
                }
                OnNewCommit::Conservative if is_committed(&entry) => 0,
                OnNewCommit::Conservative => self.cancel_all(&mut entry)?,
            };
            if cancelled > 0 {
                count += 1;
                self.put(entry);
            } else {
                self.entries.insert(entry.id, entry);
            }
        }
        Ok(count)
    }
}

/// Whether a job that must not be interrupted has started (one that ended counts as started, unless it was
/// skipped or cancelled before).
fn is_committed(entry: &Entry) -> bool {
    entry.graph.indices().any(|node| {
        let started = match entry.graph.state(node) {
            job::State::Running { .. } | job::State::Canceling { .. } => true,
            job::State::Finished { outcome, .. } => matches!(outcome, Outcome::Success | Outcome::Failed(_)),
            job::State::Created
            | job::State::Manual { .. }
            | job::State::Scheduled { .. }
            | job::State::WaitingForResource { .. }
            | job::State::Pending { .. } => false,
        };
        started && !entry.facts[node.at()].interruptible
    })
}
