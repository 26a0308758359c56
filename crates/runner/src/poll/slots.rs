//! Numbers of running jobs: the lowest free one per runner, and per runner and project.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::job::Slot;

/// The numbers of one runner. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Slots(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    runner: BTreeSet<u32>,
    projects: BTreeMap<i64, BTreeSet<u32>>,
}

/// A pair of numbers; given back when dropped.
#[derive(Debug)]
pub(super) struct TakenSlot {
    slots: Slots,
    project_id: i64,
    slot: Slot,
}

impl Slots {
    pub(super) fn take(&self, project_id: i64) -> TakenSlot {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let runner = lowest_free(&taken.runner);
        taken.runner.insert(runner);
        let projects = taken.projects.entry(project_id).or_default();
        let project = lowest_free(projects);
        projects.insert(project);
        TakenSlot {
            slots: self.clone(),
            project_id,
            slot: Slot { runner, project },
        }
    }
}

impl TakenSlot {
    pub(super) fn slot(&self) -> Slot {
        self.slot
    }
}

impl Drop for TakenSlot {
    fn drop(&mut self) {
        let mut taken = self.slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.runner.remove(&self.slot.runner);
        if let Some(projects) = taken.projects.get_mut(&self.project_id) {
            projects.remove(&self.slot.project);
            if projects.is_empty() {
                taken.projects.remove(&self.project_id);
            }
        }
    }
}

fn lowest_free(taken: &BTreeSet<u32>) -> u32 {
    (0..).find(|number| !taken.contains(number)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_number() {
        let slots = Slots::default();
        let pair = |taken: &TakenSlot| (taken.slot().runner, taken.slot().project);
        let a = slots.take(1);
        let b = slots.take(1);
        let c = slots.take(2);
        assert_eq!([pair(&a), pair(&b), pair(&c)], [(0, 0), (1, 1), (2, 0)]);
        drop(a);
        assert_eq!(pair(&slots.take(2)), (0, 1));
        drop((b, c));
        assert!(slots.0.lock().unwrap().projects.is_empty());
    }
}
