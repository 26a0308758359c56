//! Resource groups: at most one job of a group runs at a time in a project.
//!
//! Every job with a group has a claim from its pipeline's creation to its end, so that the ordered process
//! modes can see who is still to come.

use tasuki_model::graph::NodeIndex;
use tasuki_model::id::{JobId, PipelineId, ProjectId};
use tasuki_model::plan::ProcessMode;
use tasuki_model::state::{Outcome, Status, job};
use tasuki_store::resource_groups;

use super::entry::{Entry, parse};
use super::error::Error;
use super::op::Op;

/// A job of the group, as allocation sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claimant {
    pub(super) job: JobId,
    pub(super) pipeline: PipelineId,
    pub(super) held: bool,
    pub(super) status: Status,
}

/// What allocation decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Allocation {
    /// Gets the group.
    pub(super) next: Option<JobId>,
    /// Are overtaken: cancelled.
    pub(super) canceled: Vec<JobId>,
    /// Are overtaken: skipped.
    pub(super) skipped: Vec<JobId>,
}

/// Who gets a group next. Pure; GitLab's process modes, GitHub's pending slot, CircleCI's serial groups.
///
/// `cancels`: a newer one does not wait for an older one (`cancel-in-progress`).
pub(super) fn allocate(mode: ProcessMode, cancels: bool, claims: &[Claimant]) -> Allocation {
    let mut waiting: Vec<&Claimant> = claims
        .iter()
        .filter(|claim| !claim.held && claim.status == Status::WaitingForResource)
        .collect();
    waiting.sort_by_key(|claim| (claim.pipeline, claim.job));
    let holder = claims.iter().find(|claim| claim.held);
    let mut all = Allocation::default();
    match mode {
        ProcessMode::LatestOnly => {
            // A free group is taken by the first of those that come at the same time; the next one waits for it, until a
            // newer one takes its place.
            let first = usize::from(holder.is_none() && !cancels);
            let overtaken = waiting.len().saturating_sub(1);
            if first < overtaken {
                all.canceled = waiting[first..overtaken].iter().map(|claim| claim.job).collect();
            }
        }
        ProcessMode::SerialNewerWins => {
            if let Some(holder) = holder {
                all.skipped = waiting
                    .iter()
                    .filter(|claim| claim.pipeline < holder.pipeline)
                    .map(|claim| claim.job)
                    .collect();
            }
        }
        ProcessMode::Unordered
        | ProcessMode::OldestFirst
        | ProcessMode::NewestFirst
        | ProcessMode::NewestReadyFirst => {}
    }
    if holder.is_some() {
        return all;
    }
    // Jobs that are not ready yet hold back those behind them in the two strict orders.
    let coming = claims.iter().filter(|claim| {
        matches!(
            claim.status,
            Status::Created | Status::Scheduled | Status::WaitingForResource
        )
    });
    let next = match mode {
        ProcessMode::LatestOnly if cancels => waiting.last().copied(),
        ProcessMode::Unordered | ProcessMode::SerialNewerWins | ProcessMode::LatestOnly => waiting.first().copied(),
        ProcessMode::NewestReadyFirst => first_of(waiting.last().map(|claim| claim.pipeline), &waiting),
        ProcessMode::OldestFirst => first_of(coming.map(|claim| claim.pipeline).min(), &waiting),
        ProcessMode::NewestFirst => first_of(coming.map(|claim| claim.pipeline).max(), &waiting),
    };
    all.next = next.map(|claim| claim.job);
    all
}

/// Within one pipeline the order is free: the first that is ready.
fn first_of<'a>(pipeline: Option<PipelineId>, waiting: &[&'a Claimant]) -> Option<&'a Claimant> {
    waiting.iter().find(|claim| Some(claim.pipeline) == pipeline).copied()
}

impl Op<'_, '_> {
    /// A job waits for its group.
    pub(super) fn request_resource(&mut self, entry: &Entry, node: NodeIndex) -> Result<(), Error> {
        let Some(group) = entry.facts[node.at()].resource.clone() else {
            return Ok(());
        };
        resource_groups::join(self.tx, entry.project, &group.key, entry.id, entry.job(node), self.now)?;
        self.groups.insert((entry.project, group.key));
        Ok(())
    }

    /// An ended job is out of its group.
    pub(super) fn leave_group(&mut self, entry: &Entry, node: NodeIndex) -> Result<(), Error> {
        if let Some(claim) = resource_groups::leave(self.tx, entry.job(node))? {
            self.groups.insert((claim.project_id, claim.key));
        }
        Ok(())
    }

    /// Gives a group to whoever is next.
    pub(super) fn allocate(&mut self, project: ProjectId, key: &str) -> Result<(), Error> {
        resource_groups::lock(self.tx, project, key, mode_name(ProcessMode::Unordered))?;
        let claims = self.claimants(project, key)?;
        let Some(first) = claims.iter().find(|claim| claim.status == Status::WaitingForResource) else {
            return Ok(());
        };
        let (mode, cancels_holder) = self.mode(project, key, first)?;
        let decided = allocate(mode, cancels_holder, &claims);
        for id in decided.canceled {
            self.with_job(id, |op, entry, node| op.cancel_job(entry, node))?;
        }
        for id in decided.skipped {
            self.with_job(id, |op, entry, node| {
                let event = job::Event::End {
                    outcome: Outcome::Skipped,
                    allowed: false,
                };
                Ok(entry.graph.apply(node, event, op.now)?)
            })?;
        }
        if let Some(id) = decided.next {
            resource_groups::hold(self.tx, id, self.now)?;
            self.with_job(id, |op, entry, node| {
                Ok(entry.graph.apply(node, job::Event::AcquireResource, op.now)?)
            })?;
        } else if cancels_holder && let Some(holder) = claims.iter().find(|claim| claim.held) {
            self.with_job(holder.job, |op, entry, node| match entry.graph.state(node) {
                job::State::Finished { .. } | job::State::Canceling { .. } => Ok(()),
                _ => op.cancel_job(entry, node),
            })?;
        }
        Ok(())
    }

    fn claimants(&mut self, project: ProjectId, key: &str) -> Result<Vec<Claimant>, Error> {
        let mut all = Vec::new();
        for (claim, state) in resource_groups::claims_with_state(self.tx, project, key)? {
            // A pipeline that this very operation works on is newer in memory than in the database.
            let known = self
                .entries
                .get(&claim.pipeline_id)
                .and_then(|entry| Some(entry.graph.state(entry.node(claim.job_id)?).status()));
            all.push(Claimant {
                job: claim.job_id,
                pipeline: claim.pipeline_id,
                held: claim.held,
                status: known.or_else(|| Status::parse(&state)).unwrap_or(Status::Created),
            });
        }
        Ok(all)
    }

    /// The group's mode: what was set for it, else what the first waiting job's configuration says.
    fn mode(&mut self, project: ProjectId, key: &str, first: &Claimant) -> Result<(ProcessMode, bool), Error> {
        let stored = resource_groups::mode(self.tx, project, key)?;
        let entry = self.take(first.pipeline)?;
        let own = entry
            .node(first.job)
            .and_then(|node| entry.facts[node.at()].resource.clone());
        self.entries.insert(entry.id, entry);
        let cancels = own.as_ref().is_some_and(|group| group.cancel_in_progress);
        let own = own.map(|group| group.mode).unwrap_or_default();
        if own != ProcessMode::Unordered {
            return Ok((own, cancels));
        }
        let mode = match stored {
            Some(name) => parse("process mode of resource group", project.0, &format!("\"{name}\""))?,
            None => own,
        };
        Ok((mode, cancels))
    }
}

fn mode_name(mode: ProcessMode) -> &'static str {
    match mode {
        ProcessMode::Unordered => "unordered",
        ProcessMode::OldestFirst => "oldest_first",
        ProcessMode::NewestFirst => "newest_first",
        ProcessMode::NewestReadyFirst => "newest_ready_first",
        ProcessMode::LatestOnly => "latest_only",
        ProcessMode::SerialNewerWins => "serial_newer_wins",
    }
}

#[cfg(test)]
mod tests;
