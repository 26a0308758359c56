//! Tasks that wait for a runner, in the order in which they get one. Pure.
//!
//! Fair share: among the tasks that a runner may take, the project with the fewest running tasks goes first
//! (then the one whose task has waited longest); within a project higher priority first, then age. So a
//! project with 10,000 queued jobs does not delay another's first.
//!
//! Tasks with equal demands stand in one class, so a claim looks at classes, not at tasks: its cost does not
//! grow with the length of the queue.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tasuki_model::id::{ProjectId, TaskId};
use tasuki_model::labels::{Demand, Offer, check};

/// A task that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) id: TaskId,
    pub(super) project: ProjectId,
    /// Higher goes first.
    pub(super) priority: i64,
    pub(super) demand: Arc<Demand>,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    classes: BTreeMap<Arc<Demand>, Class>,
    places: HashMap<TaskId, Waiting>,
    running: HashMap<ProjectId, u32>,
    /// Demands of the tasks of each project, with how many there are.
    demands: HashMap<ProjectId, BTreeMap<Arc<Demand>, u32>>,
}

#[derive(Debug, Default)]
struct Class {
    projects: HashMap<ProjectId, Line>,
    /// Each project of the class once, the next to be served first.
    order: BTreeSet<(Share, ProjectId)>,
}

/// How much a project has already, and its next task.
type Share = (u32, TaskId);

#[derive(Debug, Default)]
struct Line {
    tasks: BTreeSet<(Reverse<i64>, TaskId)>,
    share: Option<Share>,
}

impl Queue {
    /// Adds a task; one that is there already stays where it is.
    pub(super) fn push(&mut self, task: Waiting) {
        if self.places.contains_key(&task.id) {
            return;
        }
        let running = self.running(task.project);
        let class = self.classes.entry(Arc::clone(&task.demand)).or_default();
        let line = class.projects.entry(task.project).or_default();
        line.tasks.insert((Reverse(task.priority), task.id));
        class.reorder(task.project, running);
        *self
            .demands
            .entry(task.project)
            .or_default()
            .entry(Arc::clone(&task.demand))
            .or_default() += 1;
        self.places.insert(task.id, task);
    }

    /// Takes a task out, if it is there.
    pub(super) fn remove(&mut self, id: TaskId) -> Option<Waiting> {
        let task = self.places.remove(&id)?;
        let running = self.running(task.project);
        if let Some(class) = self.classes.get_mut(&task.demand) {
            if let Some(line) = class.projects.get_mut(&task.project) {
                line.tasks.remove(&(Reverse(task.priority), id));
            }
            class.reorder(task.project, running);
            if class.projects.is_empty() {
                self.classes.remove(&task.demand);
            }
        }
        if let Some(demands) = self.demands.get_mut(&task.project) {
            if let Some(count) = demands.get_mut(&task.demand) {
                *count -= 1;
                if *count == 0 {
                    demands.remove(&task.demand);
                }
            }
            if demands.is_empty() {
                self.demands.remove(&task.project);
            }
        }
        Some(task)
    }

    /// Takes out the task that this runner gets next.
    pub(super) fn take(&mut self, offer: &Offer) -> Option<Waiting> {
        let id = self
            .classes
            .iter()
            .filter_map(|(demand, class)| class.next(demand, offer))
            .min()
            .map(|(_, id)| id)?;
        self.remove(id)
    }

    /// Whether a task waits.
    pub(super) fn contains(&self, id: TaskId) -> bool {
        self.places.contains_key(&id)
    }

    /// How many tasks with the same demand go before this one if nothing changes, at least.
    pub(super) fn ahead(&self, id: TaskId) -> Option<usize> {
        let task = self.places.get(&id)?;
        let line = self.classes.get(&task.demand)?.projects.get(&task.project)?;
        Some(line.tasks.range(..(Reverse(task.priority), id)).count())
    }

    /// How many tasks wait.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Tasks of the project that run.
    pub(super) fn running(&self, project: ProjectId) -> u32 {
        self.running.get(&project).copied().unwrap_or(0)
    }

    /// One task more of the project runs.
    pub(super) fn started(&mut self, project: ProjectId) {
        *self.running.entry(project).or_default() += 1;
        self.reorder(project);
    }

    /// One less.
    pub(super) fn ended(&mut self, project: ProjectId) {
        if let Some(running) = self.running.get_mut(&project) {
            *running = running.saturating_sub(1);
            if *running == 0 {
                self.running.remove(&project);
            }
        }
        self.reorder(project);
    }

    /// Forgets how many run, to count anew.
    pub(super) fn reset_running(&mut self, running: HashMap<ProjectId, u32>) {
        let changed: BTreeSet<ProjectId> = self.running.keys().chain(running.keys()).copied().collect();
        self.running = running;
        for project in changed {
            self.reorder(project);
        }
    }

    fn reorder(&mut self, project: ProjectId) {
        let running = self.running(project);
        for demand in self.demands.get(&project).into_iter().flat_map(BTreeMap::keys) {
            if let Some(class) = self.classes.get_mut(demand) {
                class.reorder(project, running);
            }
        }
    }
}

impl Class {
    /// Puts a project where it belongs after its line or its share changed.
    fn reorder(&mut self, project: ProjectId, running: u32) {
        let Some(line) = self.projects.get_mut(&project) else {
            return;
        };
        let share = line.tasks.first().map(|(_, id)| (running, *id));
        if share == line.share && share.is_some() {
            return;
        }
        if let Some(old) = line.share {
            self.order.remove(&(old, project));
        }
        line.share = share;
        match share {
            Some(share) => _ = self.order.insert((share, project)),
            None => _ = self.projects.remove(&project),
        }
    }

    /// The first task of the class that the runner may take.
    fn next(&self, demand: &Demand, offer: &Offer) -> Option<Share> {
        self.order
            .iter()
            .find(|(_, project)| check(demand, *project, offer).is_ok())
            .map(|(share, _)| *share)
    }
}

#[cfg(test)]
mod tests;
