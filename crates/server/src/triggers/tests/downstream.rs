//! Child pipelines and pipelines of other projects, from the configuration to the rows.

use std::time::Duration;

use tasuki_model::trigger::Trigger;
use tasuki_rt::Clock;
use tasuki_store::{bridges, jobs, pipelines};

use super::world::{World, commit};

impl World {
    /// The job's state and the reason why it started nothing, once it has one of these states.
    async fn bridge_is(&self, pipeline: usize, job: &'static str, wanted: &[&str]) -> (String, String) {
        let start = Clock::instant();
        loop {
            let id = self.pipelines().await[pipeline].id;
            let found = self.store.read(move |tx| {
                let row = jobs::of_pipeline(tx, id)?.into_iter().find(|row| row.name == job);
                let Some(row) = row else { return Ok(None) };
                let error = bridges::get(tx, row.id)?.and_then(|bridge| bridge.error);
                Ok(Some((row.state, error.unwrap_or_default())))
            });
            let (state, error) = found.await.unwrap().expect("the job exists");
            if wanted.contains(&state.as_str()) {
                return (state, error);
            }
            assert!(start.elapsed() < Duration::from_secs(30), "{job} is {state}: {error}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn trigger_of(&self, pipeline: usize) -> Trigger {
        let id = self.pipelines().await[pipeline].id;
        let details = self.store.read(move |tx| pipelines::details(tx, id)).await.unwrap();
        serde_json::from_str(&details.unwrap().trigger_json).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_starts_a_child_pipeline_with_its_variables() {
    let world = World::new().await;
    let config = "variables: {ROOT: root}\n\
                  child:\n  variables: {OWN: '$ROOT/$CI_COMMIT_BRANCH', PARENT: $CI_PIPELINE_ID}\n  \
                  trigger: {include: [ci/child.yml], strategy: depend}\n";
    let dir = world.repository("app", config);
    std::fs::create_dir_all(dir.join("ci")).unwrap();
    let child =
        "a:\n  script: [x]\n  rules: [{if: '$CI_PIPELINE_SOURCE == \"parent_pipeline\" && $OWN == \"root/main\"'}]\n";
    std::fs::write(dir.join("ci/child.yml"), child).unwrap();
    commit(&dir, "Child");
    world.add("local", dir.to_str().unwrap(), "{}").await;
    let found = world.wait_for(2).await;
    assert_eq!(found[1], ("main".to_owned(), "pending".to_owned()));
    assert_eq!(world.bridge_is(0, "child", &["running"]).await.1, "");
    let (parent, trigger) = (world.pipelines().await[0].id, world.trigger_of(1).await);
    let values: Vec<_> = trigger
        .variables
        .iter()
        .map(|v| (v.key.as_str(), v.value.as_str()))
        .collect();
    let id = parent.to_string();
    assert_eq!(
        values,
        [("ROOT", "root"), ("OWN", "root/main"), ("PARENT", id.as_str())]
    );
    assert_eq!(trigger.upstream.map(|up| up.pipeline), Some(parent.0));
    assert_eq!(trigger.commit.sha, world.trigger_of(0).await.commit.sha);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_started_fails_the_job_with_the_reason() {
    let world = World::new().await;
    let config = "gone: {trigger: {include: [gone.yml]}}\n\
                  elsewhere: {trigger: other/project}\n\
                  nothing: {trigger: {include: [never.yml]}}\n\
                  again: {trigger: {include: [.gitlab-ci.yml]}, rules: [{if: '$CI_PIPELINE_SOURCE == \"never\"'}]}\n";
    let dir = world.repository("app", config);
    std::fs::write(dir.join("never.yml"), "a: {script: x, rules: [{if: $NEVER}]}\n").unwrap();
    commit(&dir, "More");
    world.add("local", dir.to_str().unwrap(), "{}").await;
    world.wait_for(1).await;
    for (job, reason) in [
        ("gone", "gone.yml` does not exist"),
        ("elsewhere", "there is no project other/project"),
        ("nothing", "no pipeline:"),
    ] {
        let (state, error) = world.bridge_is(0, job, &["failed", "success"]).await;
        assert_eq!(state, "failed", "{job}");
        assert!(error.contains(reason), "{job}: {error}");
    }
    assert_eq!(world.pipelines().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_nest_two_deep_and_no_deeper() {
    let world = World::new().await;
    let dir = world.repository("app", "again: {trigger: {include: [.gitlab-ci.yml]}}\n");
    world.add("local", dir.to_str().unwrap(), "{}").await;
    world.wait_for(3).await;
    let (state, error) = world.bridge_is(2, "again", &["failed", "success"]).await;
    assert_eq!(
        (state.as_str(), error.as_str()),
        ("failed", "child pipelines may only be nested two deep")
    );
    assert_eq!(world.pipelines().await.len(), 3);
}

/// Wishes are in the database: a server that died before it made the pipeline makes it after its restart, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_makes_no_second_child() {
    let mut world = World::new().await;
    let dir = world.repository("app", "child: {trigger: {include: [child.yml]}}\n");
    std::fs::write(dir.join("child.yml"), "a: {script: x}\n").unwrap();
    commit(&dir, "Child");
    world.add("local", dir.to_str().unwrap(), "{}").await;
    world.wait_for(2).await;
    let upstream = world.pipelines().await[0].id;
    // As if the server had died between the pipeline and the note that it was made.
    let undone = world.store.write(move |tx| {
        tx.exec(
            "UPDATE bridges SET state = 'wanted', downstream_id = NULL, due_ms = 0 WHERE pipeline_id = $1",
            &[upstream.into()],
        )
    });
    assert_eq!(undone.await.unwrap(), 1);
    world.restart().await;
    world.bridge_is(0, "child", &["success"]).await;
    let start = Clock::instant();
    loop {
        let found = world
            .store
            .read(move |tx| bridges::of_pipeline(tx, upstream))
            .await
            .unwrap();
        if found[0].state == bridges::MADE {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{found:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(world.pipelines().await.len(), 2);
}
