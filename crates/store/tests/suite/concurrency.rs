//! Many at once: nobody wins twice.

use tasuki_model::id::{PipelineId, TaskId};
use tasuki_store::{Store, pipelines, tasks};

use crate::database::{NOW, read, write};
use crate::{on_each_database, sample};

/// Every thread tries to claim every task; gives who won what.
fn race(stores: &[Store], ids: &[TaskId]) -> Vec<(i64, TaskId)> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = stores
            .iter()
            .zip(1..)
            .map(|(store, runner)| {
                scope.spawn(move || {
                    let mut won = Vec::new();
                    for id in ids.iter().copied() {
                        let token = format!("{runner}-{id}");
                        if write(store, move |tx| {
                            tasks::claim(tx, id, &sample::claim(runner, &token), NOW)
                        })
                        .is_some()
                        {
                            won.push((runner, id));
                        }
                    }
                    won
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

on_each_database! {
    fn a_task_is_claimed_once(database) {
        // Two servers (on SQLite two stores on one file), four threads each.
        let servers = [database.open(), database.open()];
        let stores: Vec<Store> = servers.iter().cycle().take(8).cloned().collect();
        let (_, _, ids) = write(&stores[0], |tx| sample::queued(tx, "a/b", 40));
        let mut won = race(&stores, &ids);
        won.sort_by_key(|(_, id)| *id);
        assert_eq!(won.iter().map(|(_, id)| *id).collect::<Vec<_>>(), ids, "each task has one winner");
        for (runner, id) in won {
            let task = read(&stores[0], move |tx| tasks::get(tx, id)).unwrap();
            assert_eq!(task.runner_id.map(|id| id.0), Some(runner), "the winner is the one that is stored");
            assert_eq!(task.version, 2);
        }
    }

    /// The pipeline's version lets only one of those through that read the same one.
    fn versions_advance_one_by_one(database) {
        let store = database.open();
        let id: PipelineId = write(&store, |tx| { let p = sample::project(tx, "a/b")?; sample::pipeline(tx, p) });
        let advanced: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (1..=25).filter(|&version| write(&store, move |tx| pipelines::advance(tx, id, version))).count()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let version = read(&store, move |tx| pipelines::version(tx, id)).unwrap();
        assert_eq!(version, 1 + advanced as i64);
        assert!(advanced >= 25);
    }

    /// The same trigger many times at once makes one pipeline.
    fn one_idempotency_key_makes_one_pipeline(database) {
        let store = database.open();
        let project = write(&store, |tx| sample::project(tx, "a/b"));
        let results: Vec<pipelines::Created> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..12)
                .map(|_| {
                    scope.spawn(|| {
                        write(&store, move |tx| {
                            let new = pipelines::NewPipeline { idempotency_key: Some("push 1"), ..sample::new_pipeline(project) };
                            pipelines::create(tx, &new, NOW)
                        })
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let new: Vec<_> = results.iter().filter(|made| matches!(made, pipelines::Created::New { .. })).collect();
        assert_eq!(new.len(), 1, "{results:?}");
        let next = write(&store, move |tx| pipelines::create(tx, &sample::new_pipeline(project), NOW));
        assert!(matches!(next, pipelines::Created::New { iid: 2, .. }), "no number was lost: {next:?}");
    }
}
