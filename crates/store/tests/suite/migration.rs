//! Sample rows of every version survive the way to the newest one.

use tasuki_model::id::{JobId, PipelineId, ProjectId};
use tasuki_model::time::Timestamp;
use tasuki_store::{
    Error, Options, Store, bridges, deployments, environments, merge_requests, pages, releases, schedules, tasks,
};

use crate::database::{read, write};
use crate::on_each_shared_database;

/// Rows as the program of that version wrote them: plain SQL, since today's functions know only today's tables.
const SAMPLES: &[(i64, &str)] = &[
    (1, include_str!("samples/0001.sql")),
    (2, include_str!("samples/0002.sql")),
    (3, include_str!("samples/0003.sql")),
    (4, include_str!("samples/0004.sql")),
    (5, include_str!("samples/0005.sql")),
];

on_each_shared_database! {
    fn sample_rows_survive(database) {
        for (version, rows) in SAMPLES {
            let store = Store::open_at(&database.url, Options::default(), *version).unwrap();
            write(&store, move |tx| {
                for statement in rows.split(";\n").map(str::trim).filter(|text| !text.is_empty()) {
                    tx.exec(statement, &[])?;
                }
                Ok(())
            });
            store.close();
        }
        let store = database.open();
        let task = read(&store, |tx| tasks::get(tx, tasuki_model::id::TaskId(41))).unwrap();
        assert_eq!((task.state.as_str(), task.failure_reason.as_deref()), ("failed", Some("script_failure")));
        let (bridges, schedule, open) = read(&store, |tx| {
            let bridges = bridges::of_downstream(tx, PipelineId(13))?;
            let open = merge_requests::open_of_branch(tx, ProjectId(8), "side")?;
            Ok((bridges, schedules::get(tx, 3)?, open))
        });
        assert_eq!((bridges[0].job_id, bridges[0].attempt), (JobId(32), 2));
        assert_eq!(schedule.unwrap().last_outcome.as_deref(), Some("pipeline 12"));
        assert_eq!(open[0].iid, 7);
        let (environments, deployment) = read(&store, |tx| {
            Ok((environments::of_ref(tx, ProjectId(8), "branch", "side")?, deployments::of_job(tx, JobId(32))?))
        });
        assert_eq!((environments[0].name.as_str(), environments[0].last_deployment_id), ("review/side", Some(6)));
        assert_eq!(deployment.unwrap().stop_job_id, Some(JobId(33)));
        let release = read(&store, |tx| releases::of_tag(tx, ProjectId(8), "v1"));
        assert_eq!(release.unwrap().milestones_json, r#"["m1"]"#);
        let shown = read(&store, |tx| pages::at(tx, ProjectId(8), "side", Timestamp(1)));
        assert_eq!(shown.unwrap().blob_key, "artifacts/a");
        // Open once more: nothing left to do.
        store.close();
        database.open();
    }

    fn a_newer_schema_is_refused(database) {
        let store = database.open();
        write(&store, |tx| tx.exec("INSERT INTO schema_migrations (version, name) VALUES (999, 'future')", &[]));
        store.close();
        let error = Store::open(&database.url).unwrap_err();
        let Error::Open { source, .. } = error else { panic!("{error:?}") };
        assert!(source.to_string().contains("start the newer program"), "{source}");
    }
}
