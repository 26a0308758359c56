use std::collections::BTreeSet;

use tasuki_model::labels::{Intake, Refs, Scope, Untagged};

use super::*;

fn task(id: i64, project: i64, priority: i64, tags: &str) -> Waiting {
    Waiting {
        id: TaskId(id),
        project: ProjectId(project),
        priority,
        demand: Arc::new(Demand {
            tags: tags.split_whitespace().map(str::to_owned).collect(),
            ..Demand::default()
        }),
    }
}

fn offer(tags: &str) -> Offer {
    Offer {
        tags: tags.split_whitespace().map(str::to_owned).collect(),
        untagged: Untagged::Run,
        refs: Refs::All,
        scope: Scope::Instance,
        resource_class: None,
        features: BTreeSet::new(),
        intake: Intake::Open,
    }
}

/// Queues `tasks` (`id project priority tags`), and takes with `tags` until nothing is left; each taken task
/// counts as running.
fn check(tasks: &[(i64, i64, i64, &str)], tags: &str, order: &[i64]) {
    let mut queue = Queue::default();
    for (id, project, priority, tags) in tasks {
        queue.push(task(*id, *project, *priority, tags));
    }
    let mut got = Vec::new();
    while let Some(task) = queue.take(&offer(tags)) {
        queue.started(task.project);
        got.push(task.id.0);
    }
    assert_eq!(got, order, "{tasks:?}");
}

#[test]
fn oldest_first_and_priority_within_a_project() {
    check(&[(2, 1, 0, ""), (1, 1, 0, ""), (3, 1, 0, "")], "", &[1, 2, 3]);
    check(&[(1, 1, 0, ""), (2, 1, 5, ""), (3, 1, 5, "")], "", &[2, 3, 1]);
    // Another project's priority is none of its business.
    check(&[(1, 1, 0, ""), (2, 2, 9, "")], "", &[1, 2]);
}

#[test]
fn the_project_with_the_fewest_running_goes_first() {
    let tasks = [
        (1, 1, 0, ""),
        (2, 1, 0, ""),
        (3, 1, 0, ""),
        (4, 2, 0, ""),
        (5, 3, 0, ""),
    ];
    check(&tasks, "", &[1, 4, 5, 2, 3]);
}

#[test]
fn only_fitting_tasks_are_taken() {
    let tasks = [
        (1, 1, 0, "gpu"),
        (2, 1, 0, "linux"),
        (3, 2, 0, "linux gpu"),
        (4, 2, 0, ""),
    ];
    check(&tasks, "linux", &[2, 4]);
    check(&tasks, "linux gpu", &[1, 3, 2, 4]);
}

#[test]
fn ten_thousand_of_one_project_do_not_delay_another() {
    let mut queue = Queue::default();
    for id in 0..10_000 {
        queue.push(task(id, 1, 0, ""));
    }
    for _ in 0..50 {
        let first = queue.take(&offer("")).unwrap();
        queue.started(first.project);
    }
    queue.push(task(20_000, 2, 0, ""));
    assert_eq!(queue.take(&offer("")).unwrap().id, TaskId(20_000));
}

#[test]
fn what_is_removed_is_gone_and_shares_are_given_back() {
    let mut queue = Queue::default();
    queue.push(task(1, 1, 0, ""));
    queue.push(task(2, 1, 0, ""));
    queue.push(task(3, 2, 0, ""));
    queue.push(task(3, 2, 0, ""));
    assert_eq!((queue.len(), queue.ahead(TaskId(2))), (3, Some(1)));
    assert!(queue.remove(TaskId(1)).is_some() && queue.remove(TaskId(1)).is_none());
    queue.started(ProjectId(1));
    assert_eq!(queue.take(&offer("")).unwrap().id, TaskId(3));
    queue.ended(ProjectId(1));
    queue.ended(ProjectId(1));
    assert_eq!(queue.take(&offer("")).unwrap().id, TaskId(2));
    assert!(queue.take(&offer("")).is_none() && queue.classes.is_empty() && queue.demands.is_empty());
}
