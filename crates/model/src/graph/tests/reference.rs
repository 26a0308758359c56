//! The same rules written once more, as slowly and plainly as can be: every decision looks at every job.

use super::*;
use crate::state::Status;

/// The words of GitLab's composite table: a job as its set sees it.
fn word(spec: &Spec, state: &job::State) -> &'static str {
    let allowed = spec.allow_failure.allows(None);
    match state {
        job::State::Manual { .. } if allowed => "I",
        job::State::Finished { allowed: true, .. } => "W",
        other => other.status().as_str(),
    }
}

pub(super) fn composite(words: &[&str], needs: bool) -> Status {
    let only = |set: &[&str]| words.iter().all(|w| set.contains(w));
    let any = |set: &[&str]| words.iter().any(|w| set.contains(w));
    if words.is_empty() {
        return Status::Success;
    }
    if needs && any(&["skipped", "I"]) {
        return Status::Skipped;
    }
    let onlys: [(&[&str], Status); 6] = [
        (&["skipped", "I"], Status::Skipped),
        (&["success", "skipped", "W", "I"], Status::Success),
        (&["created", "W", "I"], Status::Created),
        (&["preparing", "W", "I"], Status::Preparing),
        (&["canceled", "success", "skipped", "W", "I"], Status::Canceled),
        (&["pending", "created", "skipped", "W", "I"], Status::Pending),
    ];
    for (set, status) in onlys {
        if only(set) {
            return status;
        }
    }
    let anys: [(&[&str], Status); 7] = [
        (&["running", "pending"], Status::Running),
        (&["waiting_for_resource"], Status::WaitingForResource),
        (&["manual"], Status::Manual),
        (&["scheduled"], Status::Scheduled),
        (&["preparing"], Status::Preparing),
        (&["created"], Status::Running),
        (&["canceling"], Status::Canceling),
    ];
    for (set, status) in anys {
        if any(set) {
            return status;
        }
    }
    Status::Failed
}

pub(super) struct Reference {
    pub(super) jobs: Vec<(Spec, job::State)>,
}

impl Reference {
    pub(super) fn status(&self) -> Status {
        let words: Vec<_> = self.jobs.iter().map(|(spec, state)| word(spec, state)).collect();
        composite(&words, false)
    }

    pub(super) fn settle(&mut self) {
        while let Some((i, next)) = (0..self.jobs.len()).find_map(|i| Some((i, self.decide(i)?))) {
            self.jobs[i].1 = next;
        }
    }

    fn decide(&self, i: usize) -> Option<job::State> {
        let (spec, state) = &self.jobs[i];
        if *state != job::State::Created {
            return None;
        }
        let words: Vec<_> = self
            .jobs
            .iter()
            .enumerate()
            .filter(|(j, (other, _))| match &spec.needs {
                Some(needs) => needs.iter().any(|edge| edge.need.at() == *j),
                None => other.workflow == spec.workflow && other.stage < spec.stage,
            })
            .map(|(_, (other, state))| word(other, state))
            .collect();
        let before = composite(&words, spec.needs.is_some());
        if !["success", "failed", "canceled", "skipped"].contains(&before.as_str()) {
            return None;
        }
        let runs = match spec.when {
            When::OnSuccess | When::Manual | When::Delayed => {
                before == Status::Success || before == Status::Skipped && spec.needs.is_none()
            }
            When::OnFailure => before == Status::Failed,
            When::Always => before != Status::Canceled,
        };
        Some(match spec.when {
            _ if !runs => job::State::Finished {
                started: None,
                at: NOW,
                outcome: Outcome::Skipped,
                allowed: false,
            },
            When::Manual => job::State::Manual {
                since: NOW,
                lapses: None,
            },
            When::Delayed => job::State::Scheduled {
                since: NOW,
                run_at: Timestamp(NOW.0 + 60_000),
            },
            _ if spec.work == Work::Nothing => job::State::Finished {
                started: None,
                at: NOW,
                outcome: Outcome::Success,
                allowed: false,
            },
            _ if spec.resource => job::State::WaitingForResource { since: NOW },
            _ => job::State::Pending { since: NOW },
        })
    }

    /// Sets every skipped or scheduled job back that comes after `i`, by stage or by needs.
    pub(super) fn reset_after(&mut self, i: usize) {
        let mut after = vec![false; self.jobs.len()];
        after[i] = true;
        loop {
            let mut grown = false;
            for j in 0..self.jobs.len() {
                let (spec, state) = &self.jobs[j];
                let later = spec.workflow == self.jobs[i].0.workflow && spec.stage > self.jobs[i].0.stage;
                let needs = spec.needs.iter().flatten().any(|edge| after[edge.need.at()]);
                let decided =
                    state.outcome() == Some(&Outcome::Skipped) || matches!(state, job::State::Scheduled { .. });
                if !after[j] && (later || needs) && decided {
                    after[j] = true;
                    grown = true;
                }
            }
            if !grown {
                break;
            }
        }
        after[i] = false;
        for (job, after) in self.jobs.iter_mut().zip(after) {
            if after {
                job.1 = job::State::Created;
            }
        }
    }
}
