//! What must not grow with history.

use tasuki_store::{pipelines, tasks};

use crate::database::{Database, NOW, write};
use crate::sample;

/// How SQLite reads for a query: claims, leases, tokens and timers look at what is live only.
#[test]
fn queries_about_the_present_do_not_scan_the_past() {
    let database = Database::sqlite();
    let store = database.open();
    let plans = write(&store, |tx| {
        let mut plans = Vec::new();
        for query in [
            "SELECT * FROM tasks WHERE finished_ms IS NULL AND state = 'queued' ORDER BY id",
            "SELECT * FROM tasks WHERE finished_ms IS NULL AND state <> 'queued' ORDER BY id",
            "SELECT * FROM tasks WHERE finished_ms IS NULL AND token_hash = 'x'",
            "SELECT * FROM pipelines WHERE finished_ms IS NULL ORDER BY id",
            "SELECT * FROM jobs WHERE due_ms IS NOT NULL AND due_ms <= 5 ORDER BY due_ms LIMIT 9",
            "SELECT * FROM logs WHERE finished = 1 AND size - sealed >= 4096 ORDER BY task_id LIMIT 9",
            "SELECT * FROM deliveries WHERE due_ms IS NOT NULL AND due_ms <= 5 ORDER BY due_ms, id LIMIT 9",
            "SELECT * FROM pipelines WHERE project_id = 1 AND id < 9 ORDER BY id DESC LIMIT 9",
            "SELECT * FROM pipelines WHERE project_id = 1 AND ref_name = 'x' AND id < 9 ORDER BY id DESC LIMIT 9",
        ] {
            let plan = tx.query(&format!("EXPLAIN QUERY PLAN {query}"), &[], |row| {
                match row.cell(3)? {
                    tasuki_store::Cell::Text(text) => Ok(text.to_owned()),
                    other => panic!("{other:?}"),
                }
            })?;
            plans.push(format!("{query}\n  {}", plan.join("\n  ")));
        }
        Ok(plans)
    });
    for plan in plans {
        assert!(plan.contains("INDEX"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}

/// The same on a database that has a past: reading the queue takes as many steps as without one.
#[test]
fn the_queue_is_read_as_fast_with_a_history() {
    let database = Database::sqlite();
    let store = database.open();
    write(&store, |tx| {
        let (project, pipeline, ids) = sample::queued(tx, "a/b", 3000)?;
        for id in ids {
            tasks::change(tx, id, 1, &sample::finished("success"))?;
        }
        let change = pipelines::Change {
            state: sample::CREATED,
            started_ms: Some(NOW),
            finished_ms: Some(NOW),
        };
        pipelines::change(tx, pipeline, 1, &change)?;
        let live = sample::pipeline(tx, project)?;
        let jobs = sample::some_jobs(tx, project, live, 2)?;
        tasks::insert_all(tx, &[sample::new_task(project, live, jobs[0])], NOW)?;
        Ok(())
    });
    let connection = rusqlite::Connection::open(match &database.url {
        tasuki_store::DbUrl::Sqlite(path) => path,
        other => unreachable!("{other}"),
    })
    .unwrap();
    let mut statement = connection
        .prepare("SELECT id FROM tasks WHERE finished_ms IS NULL AND state = 'queued' ORDER BY id")
        .unwrap();
    let found: Vec<i64> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(found.len(), 1);
    let steps = statement.get_status(rusqlite::StatementStatus::VmStep);
    assert!(steps < 40, "{steps} steps for one queued task among 3000 finished ones");
}
