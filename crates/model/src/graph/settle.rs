//! Lets everything follow from what has changed.

use std::time::Duration;

use super::class::{Class, Counts, SetKind, composite};
use super::core::{Action, Graph};
use super::node::{NodeIndex, Work};
use crate::plan::{Gate, When};
use crate::state::{BadTransition, Failure, Outcome, Status, job};
use crate::time::Timestamp;

/// Evaluates late conditions. Called once all predecessors of the job have ended.
pub trait Conditions {
    /// Whether the job shall run.
    ///
    /// # Errors
    /// The condition cannot be evaluated: the job fails with this.
    fn holds(&mut self, graph: &Graph, node: NodeIndex) -> Result<bool, Failure>;
}

/// For graphs without conditions.
#[derive(Debug, Clone, Copy)]
pub struct AlwaysTrue;

impl Conditions for AlwaysTrue {
    fn holds(&mut self, _: &Graph, _: NodeIndex) -> Result<bool, Failure> {
        Ok(true)
    }
}

/// What is to become of an undecided job.
enum Verdict {
    Wait,
    Run,
    Skip,
    Fail(Failure),
}

impl Graph {
    /// Decides every job whose predecessors are done, again and again until nothing more follows. The cost is
    /// that of what changed since the last call, not of the whole graph.
    ///
    /// # Errors
    /// Never in a graph whose jobs are only changed through [`Graph::apply`].
    pub fn settle(&mut self, now: Timestamp, conditions: &mut dyn Conditions) -> Result<(), BadTransition> {
        loop {
            if let Some(i) = self.ready.pop_first() {
                let node = NodeIndex(i);
                let verdict = self.by_needs(node, conditions);
                self.carry_out(node, verdict, now)?;
            } else if !self.settle_stages(now, conditions)? && !self.settle_matrices(now)? {
                return Ok(());
            }
        }
    }

    /// Opens a manual job's gate, or a delayed one's before its time.
    ///
    /// # Errors
    /// The job does not wait at a gate.
    pub fn play(&mut self, node: NodeIndex, now: Timestamp) -> Result<(), BadTransition> {
        match self.state(node) {
            job::State::Manual { .. } | job::State::Scheduled { .. } => {
                self.start(node, now)?;
                self.reset_after(&[node], now)
            }
            state => Err(BadTransition {
                what: "job",
                from: state.status().as_str(),
                event: "play",
            }),
        }
    }

    /// Starts a job past its gate. It must be undecided or at its gate.
    ///
    /// # Errors
    /// It is not.
    pub fn start(&mut self, node: NodeIndex, now: Timestamp) -> Result<(), BadTransition> {
        let spec = self.spec(node);
        if spec.work == Work::Nothing {
            let event = job::Event::End {
                outcome: Outcome::Success,
                allowed: false,
            };
            return self.apply(node, event, now);
        }
        let resource = spec.resource;
        if let Some(first) = spec.matrix.map(|strategy| strategy.first)
            && let Some(matrix) = self.matrices.get_mut(&first)
            && !matrix.holders.contains(&node.0)
        {
            let limit = matrix.max_parallel.unwrap_or(u32::MAX) as usize;
            if matrix.holders.len() >= limit.max(1) {
                matrix.waiting.insert(node.0);
                let (state, _) = self.state(node).apply(job::Event::AwaitResource, now)?;
                self.replace(node, state);
                return Ok(());
            }
            matrix.holders.insert(node.0);
        }
        let event = if resource {
            job::Event::AwaitResource
        } else {
            job::Event::Enqueue
        };
        self.apply(node, event, now)
    }

    fn settle_stages(&mut self, now: Timestamp, conditions: &mut dyn Conditions) -> Result<bool, BadTransition> {
        let Some((w, dirty)) = self
            .workflows
            .iter_mut()
            .enumerate()
            .find_map(|(w, workflow)| workflow.dirty.take().map(|dirty| (w, dirty)))
        else {
            return Ok(false);
        };
        let first = self.workflows[w].first;
        for stage in dirty..self.workflows[w].stages {
            if self.workflows[w]
                .holding
                .first()
                .is_some_and(|holding| *holding < stage)
            {
                break;
            }
            if self.stages[first + stage].undecided.is_empty() {
                continue;
            }
            let before = self.before(w, stage);
            let predecessor = composite(&before, SetKind::Stages);
            for i in std::mem::take(&mut self.stages[first + stage].undecided) {
                let node = NodeIndex(i);
                let verdict = if self.spec(node).conditional {
                    by_condition(conditions.holds(self, node))
                } else {
                    by_when(self.spec(node).when, predecessor, SetKind::Stages)
                };
                self.carry_out(node, verdict, now)?;
            }
        }
        Ok(true)
    }

    /// All jobs of the stages before `stage`.
    fn before(&mut self, workflow: usize, stage: usize) -> Counts {
        let first = self.workflows[workflow].first;
        let mut before = std::mem::take(&mut self.workflows[workflow].before);
        if before.is_empty() {
            before.push(Counts::default());
        }
        while before.len() <= stage {
            let last = before.len() - 1;
            let next = before[last].plus(&self.stages[first + last].counts);
            before.push(next);
        }
        let counts = before[stage];
        self.workflows[workflow].before = before;
        counts
    }

    fn by_needs(&self, node: NodeIndex, conditions: &mut dyn Conditions) -> Verdict {
        let this = &self.nodes[node.at()];
        if this.class != Class::Created {
            return Verdict::Wait;
        }
        if this.spec.conditional {
            if !this.needs.all_finished() {
                return Verdict::Wait;
            }
            return by_condition(conditions.holds(self, node));
        }
        let edges = this.spec.needs.as_deref().unwrap_or_default();
        if edges.iter().any(|edge| !edge.wanted.is_empty()) {
            return self.by_wanted(node);
        }
        by_when(this.spec.when, composite(&this.needs, SetKind::Needs), SetKind::Needs)
    }

    /// CircleCI's `requires`: one need that ended otherwise than wanted rules the job out.
    fn by_wanted(&self, node: NodeIndex) -> Verdict {
        let edges = self.spec(node).needs.as_deref().unwrap_or_default();
        let mut verdict = Verdict::Run;
        for edge in edges {
            let need = &self.nodes[edge.need.at()];
            match need.state.outcome() {
                None => verdict = Verdict::Wait,
                Some(outcome) if edge.wanted.is_empty() => {
                    if *outcome != Outcome::Success && need.class != Class::Warned {
                        return Verdict::Skip;
                    }
                }
                Some(outcome) => {
                    if !edge.wanted.iter().any(|wanted| wanted.accepts(outcome)) {
                        return Verdict::Skip;
                    }
                }
            }
        }
        verdict
    }

    fn carry_out(&mut self, node: NodeIndex, verdict: Verdict, now: Timestamp) -> Result<(), BadTransition> {
        match verdict {
            Verdict::Wait => Ok(()),
            Verdict::Skip => self.apply(node, job::Event::Skip, now),
            Verdict::Fail(failure) => {
                let outcome = Outcome::Failed(failure);
                let allowed = self.allows(node, &outcome);
                self.apply(node, job::Event::End { outcome, allowed }, now)
            }
            Verdict::Run => {
                let spec = self.spec(node);
                let event = match (&spec.gate, spec.when) {
                    (Some(Gate::Approval(approval)), _) => job::Event::Hold {
                        lapses: approval.expires_s.map(|s| now.after(Duration::from_secs(s))),
                    },
                    (Some(Gate::Delay { seconds }), _) => job::Event::Schedule {
                        run_at: now.after(Duration::from_secs(*seconds)),
                    },
                    (Some(Gate::Manual(_)), _) | (None, When::Manual) => job::Event::Hold { lapses: None },
                    (None, When::OnSuccess | When::OnFailure | When::Always | When::Delayed) => {
                        return self.start(node, now);
                    }
                };
                self.apply(node, event, now)
            }
        }
    }

    /// Lets members of a matrix start as others end, and stops them when one has failed.
    fn settle_matrices(&mut self, now: Timestamp) -> Result<bool, BadTransition> {
        let mut next = Vec::new();
        let mut stop = Vec::new();
        for first in std::mem::take(&mut self.dirty_matrices) {
            let Some(matrix) = self.matrices.get_mut(&first) else {
                continue;
            };
            let limit = matrix.max_parallel.unwrap_or(u32::MAX).max(1) as usize;
            if std::mem::take(&mut matrix.failed) && matrix.fail_fast {
                stop.extend(matrix.members.iter().copied());
                continue;
            }
            while matrix.holders.len() < limit
                && let Some(i) = matrix.waiting.pop_first()
            {
                matrix.holders.insert(i);
                next.push(NodeIndex(i));
            }
        }
        for node in &next {
            if self.spec(*node).resource {
                self.act(*node, Action::RequestResource);
            } else {
                self.apply(*node, job::Event::AcquireResource, now)?;
            }
        }
        let mut stopped = false;
        for i in stop {
            let node = NodeIndex(i);
            match self.state(node) {
                job::State::Finished { .. } | job::State::Canceling { .. } => {}
                state if state.holds_resource() => self.act(node, Action::Cancel),
                _ => {
                    let event = job::Event::Cancel {
                        stop: job::Stop::Now,
                        allowed: self.allows(node, &Outcome::Canceled),
                    };
                    self.apply(node, event, now)?;
                    stopped = true;
                }
            }
        }
        Ok(stopped || !next.is_empty())
    }
}

fn by_condition(holds: Result<bool, Failure>) -> Verdict {
    match holds {
        Ok(true) => Verdict::Run,
        Ok(false) => Verdict::Skip,
        Err(failure) => Verdict::Fail(failure),
    }
}

/// GitLab's table of `when` against what the predecessors are together.
fn by_when(when: When, predecessor: Status, kind: SetKind) -> Verdict {
    if !predecessor.is_completed() {
        return Verdict::Wait;
    }
    let runs = match when {
        When::OnSuccess | When::Manual | When::Delayed => {
            predecessor == Status::Success || (predecessor == Status::Skipped && kind == SetKind::Stages)
        }
        When::OnFailure => predecessor == Status::Failed,
        When::Always => predecessor != Status::Canceled,
    };
    if runs { Verdict::Run } else { Verdict::Skip }
}
