//! What goes and what stays.

use tasuki_model::id::PipelineId;
use tasuki_model::time::Timestamp;
use tasuki_store::{artifacts, blobs, jobs, logs, pipelines, retention, tasks};

use crate::database::{NOW, write};
use crate::{on_each_database, sample};

fn finish(tx: &mut tasuki_store::Tx<'_>, id: PipelineId, at: i64) -> tasuki_store::Result<()> {
    let change = pipelines::Change {
        state: sample::CREATED,
        started_ms: None,
        finished_ms: Some(Timestamp(NOW.0 + at)),
    };
    assert!(pipelines::change(tx, id, 1, &change)?);
    Ok(())
}

on_each_database! {
    fn only_finished_pipelines_go(database) {
        let store = database.open();
        write(&store, |tx| {
            let (one, two) = (sample::project(tx, "a/1")?, sample::project(tx, "a/2")?);
            let ids: Vec<PipelineId> =
                (0..6).map(|n| sample::pipeline(tx, if n == 5 { two } else { one })).collect::<Result<_, _>>()?;
            for (n, id) in ids.iter().enumerate().filter(|(n, _)| *n != 2) {
                finish(tx, *id, 10 - n as i64)?;
            }
            pipelines::set_keep(tx, ids[1], pipelines::Keep::Forever)?;
            let before = |ms| Timestamp(NOW.0 + ms);
            assert_eq!(retention::older(tx, before(8), 9)?, [ids[5], ids[4], ids[3]]);
            assert_eq!(retention::older(tx, before(11), 9)?, [ids[5], ids[4], ids[3], ids[0]], "not the kept one");
            assert_eq!(retention::older(tx, before(11), 1)?, [ids[5]]);
            assert_eq!(retention::beyond(tx, one, 1, 9)?, [ids[0], ids[3]], "not the live one");
            assert_eq!(retention::beyond(tx, one, 0, 9)?, [ids[0], ids[3], ids[4]]);
            assert_eq!(retention::beyond(tx, one, 5, 9)?, []);
            for id in [ids[1], ids[2]] {
                assert!(!retention::remove_some(tx, id, 9, NOW)?);
                assert!(pipelines::get(tx, id)?.is_some(), "kept or live");
            }
            Ok(())
        });
    }

    fn a_pipeline_goes_in_steps_and_leaves_trash(database) {
        let store = database.open();
        write(&store, |tx| {
            let (project, pipeline, ids) = sample::queued(tx, "a/b", 25)?;
            let append = logs::Append { task: ids[20], start: 0, data: b"x", crc: 0, limited: false, debug: false, fence: None };
            logs::append(tx, &append, NOW)?;
            logs::seal(tx, ids[20], &logs::NewSegment { start: 0, length: 1, content: logs::Packed::Blob { key: "log", size: 1 } })?;
            let artifact = artifacts::NewArtifact {
                task_id: ids[3], job_id: tasks::get(tx, ids[3])?.unwrap().job_id, pipeline_id: pipeline, project_id: project,
                kind: "archive", format: "zip", filename: "a", size: 1, sha256: "", blob_key: "artifact", access: "public",
                expires_ms: None,
            };
            artifacts::put(tx, &artifact, NOW)?;
            let other = sample::pipeline(tx, project)?;
            sample::some_jobs(tx, project, other, 2)?;
            finish(tx, pipeline, 0)?;
            let mut steps = 1;
            while retention::remove_some(tx, pipeline, 10, NOW)? {
                steps += 1;
            }
            assert_eq!(steps, 5, "ten tasks, ten, five and ten jobs, ten jobs, the rest");
            assert_eq!(pipelines::get(tx, pipeline)?, None);
            assert!(tasks::of_pipeline(tx, pipeline)?.is_empty() && jobs::of_pipeline(tx, pipeline)?.is_empty());
            assert_eq!(logs::get(tx, ids[20])?, None);
            assert_eq!(blobs::take_due(tx, NOW, 9)?, ["artifact", "log"]);
            assert_eq!(jobs::of_pipeline(tx, other)?.len(), 2, "the others stay");
            Ok(())
        });
    }
}
