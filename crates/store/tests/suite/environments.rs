//! Environments and what was deployed to them.

use tasuki_model::id::{JobId, PipelineId, ProjectId};
use tasuki_model::time::Timestamp;
use tasuki_store::deployments::{self, NewDeployment};
use tasuki_store::environments::{self, Environment, Filter, NewEnvironment};
use tasuki_store::{Result, State, Tx, pipelines, retention};

use crate::database::{NOW, write};
use crate::{on_each_database, sample};

fn at(ms: i64) -> Timestamp {
    Timestamp(NOW.0 + ms)
}

const AVAILABLE: State<'static> = State {
    tag: "available",
    json: "{}",
};

fn ensure(tx: &mut Tx<'_>, project: ProjectId, name: &str) -> Result<Environment> {
    let new = NewEnvironment {
        project_id: project,
        name,
        slug: "slug",
        tier: "other",
        state: AVAILABLE,
    };
    environments::ensure(tx, &new, NOW)
}

fn change(tag: &'static str) -> environments::Change<'static> {
    environments::Change {
        state: State { tag, json: "{}" },
        due_ms: None,
        tier: None,
        last_deployment_id: None,
    }
}

fn new_deployment(environment: &Environment, pipeline: PipelineId, job: i64) -> NewDeployment<'static> {
    NewDeployment {
        environment_id: environment.id,
        project_id: environment.project_id,
        pipeline_id: pipeline,
        job_id: JobId(job),
        job_name: "deploy",
        ref_kind: "branch",
        ref_name: "side",
        sha: "aa",
        stop_job_id: Some(JobId(job + 1)),
    }
}

const SUCCESS: deployments::Change<'static> = deployments::Change {
    status: "success",
    started_ms: Some(NOW),
    finished_ms: Some(NOW),
    url_wanted: true,
};

fn names(all: &[Environment]) -> Vec<&str> {
    all.iter().map(|one| one.name.as_str()).collect()
}

on_each_database! {
    fn environments_are_listed_by_name(database) {
        let store = database.open();
        write(&store, |tx| {
            let (one, two) = (sample::project(tx, "a/1")?, sample::project(tx, "a/2")?);
            let first = ensure(tx, one, "b")?;
            assert_eq!((first.version, first.state.as_str(), first.due_ms), (1, "available", None));
            assert_eq!(ensure(tx, one, "b")?, first, "it is made once");
            for name in ["d", "a", "c"] {
                ensure(tx, one, name)?;
            }
            ensure(tx, two, "b")?;
            assert!(environments::change(tx, first.id, 1, &change("stopped"), NOW)?);
            let mut list = |filter: Filter<'_>, limit| environments::list(tx, one, &filter, limit);
            let all: Vec<Environment> = list(Filter::default(), 3)?;
            assert_eq!(names(&all), ["a", "b", "c"]);
            let more = list(Filter { after: Some("c"), ..Filter::default() }, 3)?;
            assert_eq!(names(&more), ["d"]);
            let stopped = list(Filter { state: Some("stopped"), ..Filter::default() }, 3)?;
            assert_eq!(names(&stopped), ["b"]);
            let named = list(Filter { name: Some("d"), ..Filter::default() }, 3)?;
            assert_eq!(names(&named), ["d"]);
            Ok(())
        });
    }

    fn environments_change_by_compare_and_swap(database) {
        let store = database.open();
        write(&store, |tx| {
            let project = sample::project(tx, "a/b")?;
            let id = ensure(tx, project, "x")?.id;
            let timed = environments::Change {
                due_ms: Some(at(50)),
                tier: Some("staging"),
                last_deployment_id: Some(7),
                ..change("available")
            };
            assert!(environments::change(tx, id, 1, &timed, at(1))?);
            assert!(!environments::change(tx, id, 1, &change("stopped"), at(2))?, "somebody was faster");
            let found = environments::get(tx, id)?.unwrap();
            assert_eq!((found.tier.as_str(), found.last_deployment_id, found.version), ("staging", Some(7), 2));
            assert_eq!(environments::next_due(tx)?, Some(at(50)));
            assert_eq!(environments::due(tx, at(49), 9)?, []);
            assert_eq!(names(&environments::due(tx, at(50), 9)?), ["x"]);
            assert!(!environments::set_url(tx, id, 6, "https://old")?, "deployed over meanwhile");
            assert!(environments::set_url(tx, id, 7, "https://new")?);
            assert!(!environments::remove(tx, id)?, "it is in use");
            assert!(environments::change(tx, id, 3, &change("stopped"), at(2))?);
            let found = environments::get(tx, id)?.unwrap();
            assert_eq!((found.tier.as_str(), found.last_deployment_id), ("staging", Some(7)), "absent stays");
            assert_eq!((found.due_ms, environments::next_due(tx)?), (None, None));
            let pipeline = sample::pipeline(tx, project)?;
            let deployment = deployments::create(tx, &new_deployment(&found, pipeline, 1), NOW)?;
            assert!(environments::remove(tx, id)?);
            assert_eq!(deployments::get(tx, deployment)?, None, "they go with it");
            Ok(())
        });
    }

    fn deployments_are_paged_and_lead_to_their_stop_jobs(database) {
        let store = database.open();
        write(&store, |tx| {
            let project = sample::project(tx, "a/b")?;
            let environment = ensure(tx, project, "x")?;
            let (old, new) = (sample::pipeline(tx, project)?, sample::pipeline(tx, project)?);
            let mut ids = Vec::new();
            for (pipeline, job) in [(old, 1), (new, 11), (new, 21), (new, 31)] {
                ids.push(deployments::create(tx, &new_deployment(&environment, pipeline, job), NOW)?);
            }
            let mut page = |before, limit| {
                let page = deployments::page(tx, environment.id, before, limit)?;
                Result::Ok(page.iter().map(|one| one.id).collect::<Vec<_>>())
            };
            assert_eq!(page(None, 3)?, [ids[3], ids[2], ids[1]]);
            assert_eq!(page(Some(ids[1]), 3)?, [ids[0]]);
            for id in &ids[..3] {
                deployments::change(tx, *id, &SUCCESS)?;
            }
            let last = deployments::get(tx, ids[2])?.unwrap();
            assert_eq!(deployments::stop_jobs(tx, &last)?, [JobId(12), JobId(22)], "of its pipeline, and successful");
            let open: Vec<_> = deployments::url_wanted(tx, 2)?.iter().map(|one| one.id).collect();
            assert_eq!(open, ids[..2]);
            assert!(deployments::set_url(tx, ids[0], Some("https://x"))?);
            assert!(!deployments::set_url(tx, ids[0], Some("https://y"))?, "once");
            assert_eq!(deployments::get(tx, ids[0])?.unwrap().url.as_deref(), Some("https://x"));
            assert_eq!(deployments::url_wanted(tx, 9)?.len(), 2);
            assert!(environments::change(tx, environment.id, 1, &environments::Change { last_deployment_id: Some(ids[2]), ..change("available") }, NOW)?);
            assert_eq!(names(&environments::of_ref(tx, project, "branch", "side")?), ["x"]);
            assert_eq!(environments::of_ref(tx, project, "tag", "side")?, []);
            assert!(environments::change(tx, environment.id, 2, &change("stopped"), NOW)?);
            assert_eq!(environments::of_ref(tx, project, "branch", "side")?, [], "not the stopped ones");
            Ok(())
        });
    }

    fn older_deployments_of_other_commits_are_overtaken(database) {
        let store = database.open();
        write(&store, |tx| {
            let project = sample::project(tx, "a/b")?;
            let environment = ensure(tx, project, "x")?;
            let pipelines = [sample::pipeline(tx, project)?, sample::pipeline(tx, project)?, sample::pipeline(tx, project)?];
            let of = |pipeline, job, sha| NewDeployment { sha, ..new_deployment(&environment, pipeline, job) };
            deployments::create(tx, &of(pipelines[0], 1, "old"), NOW)?;
            deployments::create(tx, &of(pipelines[0], 2, "new"), NOW)?;
            let again = deployments::create(tx, &of(pipelines[0], 3, "old"), NOW)?;
            deployments::change(tx, again, &SUCCESS)?;
            deployments::create(tx, &of(pipelines[0], 3, "old"), NOW)?;
            deployments::create(tx, &of(pipelines[2], 5, "newest"), NOW)?;
            let id = deployments::create(tx, &of(pipelines[1], 4, "new"), NOW)?;
            let newest = deployments::get(tx, id)?.unwrap();
            assert_eq!(deployments::overtaken(tx, &newest)?, [JobId(1)], "not the same commit, not a retry, not a newer one");
            Ok(())
        });
    }

    fn a_pipeline_that_stops_an_environment_stays(database) {
        let store = database.open();
        write(&store, |tx| {
            let project = sample::project(tx, "a/b")?;
            let environment = ensure(tx, project, "x")?;
            let id = sample::pipeline(tx, project)?;
            let end = pipelines::Change { state: sample::CREATED, started_ms: None, finished_ms: Some(NOW) };
            assert!(pipelines::change(tx, id, 1, &end)?);
            let deployment = deployments::create(tx, &new_deployment(&environment, id, 1), NOW)?;
            let deployed = environments::Change { last_deployment_id: Some(deployment), ..change("available") };
            assert!(environments::change(tx, environment.id, 1, &deployed, NOW)?);
            assert_eq!(retention::older(tx, at(1), 9)?, []);
            assert_eq!(retention::beyond(tx, project, 0, 9)?, []);
            assert!(!retention::remove_some(tx, id, 9, NOW)?);
            assert!(pipelines::get(tx, id)?.is_some());
            assert!(environments::change(tx, environment.id, 2, &change("stopped"), NOW)?);
            assert_eq!(retention::older(tx, at(1), 9)?, [id]);
            assert_eq!(retention::beyond(tx, project, 0, 9)?, [id]);
            assert!(!retention::remove_some(tx, id, 9, NOW)?);
            assert_eq!(pipelines::get(tx, id)?, None);
            assert!(deployments::get(tx, deployment)?.is_some(), "history outlives it");
            Ok(())
        });
    }
}
