//! What a set of jobs is, taken together.

use crate::plan::AllowFailure;
use crate::state::{Status, job};

/// A job's state as sets of jobs see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Created,
    WaitingForResource,
    Preparing,
    Pending,
    Running,
    Canceling,
    Success,
    Failed,
    Canceled,
    Skipped,
    /// Manual, and the pipeline waits for it.
    Manual,
    Scheduled,
    /// Failed or cancelled, but allowed to: passed with warnings.
    Warned,
    /// Manual, but nobody waits for it.
    Ignored,
}

const CLASSES: usize = 14;

impl Class {
    /// The class of a job in `state`.
    #[must_use]
    pub fn of(state: &job::State, allow_failure: &AllowFailure) -> Self {
        if state.is_allowed_failure() {
            return Self::Warned;
        }
        match state.status() {
            Status::Created => Self::Created,
            Status::WaitingForResource => Self::WaitingForResource,
            Status::Preparing => Self::Preparing,
            Status::Pending => Self::Pending,
            Status::Running => Self::Running,
            Status::Canceling => Self::Canceling,
            Status::Success => Self::Success,
            Status::Failed => Self::Failed,
            Status::Canceled => Self::Canceled,
            Status::Skipped => Self::Skipped,
            Status::Manual if allow_failure.allows(None) => Self::Ignored,
            Status::Manual => Self::Manual,
            Status::Scheduled => Self::Scheduled,
        }
    }

    /// Whether the job has ended.
    #[must_use]
    pub fn is_finished(self) -> bool {
        Self::FINISHED & self.bit() != 0
    }

    const FINISHED: u16 = mask(&[Self::Success, Self::Failed, Self::Canceled, Self::Skipped, Self::Warned]);

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

const fn mask(classes: &[Class]) -> u16 {
    let mut mask = 0;
    let mut i = 0;
    while i < classes.len() {
        mask |= classes[i].bit();
        i += 1;
    }
    mask
}

/// How many jobs of each class a set has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    by_class: [u32; CLASSES],
}

impl Counts {
    /// One more of `class`.
    pub fn add(&mut self, class: Class) {
        self.by_class[class as usize] += 1;
    }

    /// One less of `class`.
    pub fn remove(&mut self, class: Class) {
        self.by_class[class as usize] = self.by_class[class as usize].saturating_sub(1);
    }

    /// How many of `class`.
    #[must_use]
    pub fn of(&self, class: Class) -> u32 {
        self.by_class[class as usize]
    }

    /// All of both.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = *self;
        for (mine, theirs) in sum.by_class.iter_mut().zip(other.by_class) {
            *mine += theirs;
        }
        sum
    }

    /// Whether every job has ended.
    #[must_use]
    pub fn all_finished(&self) -> bool {
        self.present() & !Class::FINISHED == 0
    }

    /// Whether a job is left that later stages wait for.
    #[must_use]
    pub fn holds_later_stages(&self) -> bool {
        self.present() & !(Class::FINISHED | Class::Ignored.bit()) != 0
    }

    fn present(&self) -> u16 {
        let mut mask = 0;
        for (i, count) in self.by_class.iter().enumerate() {
            if *count > 0 {
                mask |= 1 << i;
            }
        }
        mask
    }
}

/// Which rules a set has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetKind {
    /// A stage, all earlier stages, a workflow, a pipeline.
    Stages,
    /// The needs of a job: one that did not run, or will not by itself, rules the job out.
    Needs,
}

/// The status that the jobs of a set make together: the first rule that fits, in GitLab's order.
#[must_use]
pub fn composite(counts: &Counts, kind: SetKind) -> Status {
    use Class::{
        Canceled, Canceling, Created, Ignored, Manual, Pending, Preparing, Running, Scheduled, Skipped, Success,
        WaitingForResource, Warned,
    };
    let present = counts.present();
    let only = |classes: &[Class]| present & !mask(classes) == 0;
    let any = |classes: &[Class]| present & mask(classes) != 0;
    if present == 0 {
        Status::Success
    } else if (kind == SetKind::Needs && any(&[Skipped, Ignored])) || only(&[Skipped, Ignored]) {
        Status::Skipped
    } else if only(&[Success, Skipped, Warned, Ignored]) {
        Status::Success
    } else if only(&[Created, Warned, Ignored]) {
        Status::Created
    } else if only(&[Preparing, Warned, Ignored]) {
        Status::Preparing
    } else if only(&[Canceled, Success, Skipped, Warned, Ignored]) {
        Status::Canceled
    } else if only(&[Pending, Created, Skipped, Warned, Ignored]) {
        Status::Pending
    } else if any(&[Running, Pending]) {
        Status::Running
    } else if any(&[WaitingForResource]) {
        Status::WaitingForResource
    } else if any(&[Manual]) {
        Status::Manual
    } else if any(&[Scheduled]) {
        Status::Scheduled
    } else if any(&[Preparing]) {
        Status::Preparing
    } else if any(&[Created]) {
        Status::Running
    } else if any(&[Canceling]) {
        Status::Canceling
    } else {
        Status::Failed
    }
}
