use std::collections::BTreeSet;

use tasuki_model::labels::{Demand, Intake, Refs, Scope, Untagged};

use super::*;

fn task(id: i64) -> Waiting {
    Waiting {
        id: TaskId(id),
        project: ProjectId(1),
        priority: 0,
        demand: Arc::new(Demand::default()),
    }
}

fn offer(untagged: Untagged) -> Arc<Offer> {
    Arc::new(Offer {
        tags: BTreeSet::new(),
        untagged,
        refs: Refs::All,
        scope: Scope::Instance,
        resource_class: None,
        features: BTreeSet::new(),
        intake: Intake::Open,
    })
}

fn wait(dispatch: &Arc<Dispatch>, untagged: Untagged) -> Turn {
    match dispatch.ask(&offer(untagged)) {
        Answer::Wait(turn) => turn,
        Answer::Task(task) => panic!("{task:?} was not expected"),
    }
}

#[test]
fn one_task_wakes_the_one_that_waited_longest() {
    let dispatch = Arc::new(Dispatch::default());
    let mut other = wait(&dispatch, Untagged::Refuse);
    let mut first = wait(&dispatch, Untagged::Run);
    let mut second = wait(&dispatch, Untagged::Run);
    dispatch.enqueue([task(1)]);
    let reservation = first.wake.try_recv().unwrap();
    assert_eq!(reservation.id(), Some(TaskId(1)));
    assert!(second.wake.try_recv().is_err() && other.wake.try_recv().is_err());
    // Not used: the next one in the line gets it, and then the queue.
    drop(reservation);
    drop(second.wake.try_recv().unwrap());
    assert_eq!(dispatch.lengths(), (1, 1));
}

#[test]
fn a_task_is_never_lost_on_a_runner_that_left() {
    let dispatch = Arc::new(Dispatch::default());
    let turn = wait(&dispatch, Untagged::Run);
    dispatch.enqueue([task(1)]);
    // The reservation is in the channel; the runner goes away without looking.
    drop(turn);
    assert_eq!(dispatch.lengths(), (1, 0));
    let Answer::Task(reservation) = dispatch.ask(&offer(Untagged::Run)) else {
        panic!("the task is there")
    };
    assert_eq!(dispatch.lengths(), (0, 0));
    drop(reservation);
    assert_eq!(dispatch.lengths(), (1, 0));
}

#[test]
fn who_is_sent_away_asks_again() {
    let dispatch = Arc::new(Dispatch::default());
    let mut turn = wait(&dispatch, Untagged::Run);
    dispatch.send_away(|offer| offer.untagged == Untagged::Run);
    assert!(matches!(
        turn.wake.try_recv(),
        Err(oneshot::error::TryRecvError::Closed)
    ));
    dispatch.enqueue([task(1)]);
    assert_eq!(dispatch.lengths(), (1, 0));
}

#[test]
fn a_reset_adds_what_is_missing() {
    let dispatch = Arc::new(Dispatch::default());
    dispatch.enqueue([task(1), task(2)]);
    dispatch.reset(vec![task(2), task(3)], HashMap::new());
    let inner = lock(&dispatch.0);
    assert!([1, 2, 3].into_iter().all(|id| inner.queue.contains(TaskId(id))) && inner.queue.len() == 3);
}
