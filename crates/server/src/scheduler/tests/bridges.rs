//! Jobs that start pipelines.

use tasuki_model::id::{JobId, PipelineId};
use tasuki_model::reason::FailureReason;
use tasuki_model::trigger::Source;
use tasuki_store::bridges;

use super::super::Created;
use super::{World, failed, runner};

const PLAIN: &str = r#"bridge |{"downstream":{"target":{"child":{"include":"x.yml"}}}}"#;
const DEPEND: &str = r#"bridge |{"downstream":{"target":{"child":{"include":"x.yml"}},"strategy":"depend"}}"#;
const MIRROR: &str = r#"bridge |{"downstream":{"target":{"child":{"include":"x.yml"}},"strategy":"mirror"}}"#;

impl World {
    async fn bridge(&self, job: JobId) -> bridges::Bridge {
        let found = self.store.read(move |tx| bridges::get(tx, job)).await.unwrap();
        found.expect("the job wants a pipeline")
    }

    /// Makes a child pipeline for the job `bridge`, as `triggers` does.
    async fn child(&self, of: PipelineId, jobs: &[&str]) -> PipelineId {
        let job = self.job(of, "bridge").await;
        let mut new = self.new_pipeline(0, jobs);
        new.trigger.source = Source::ParentPipeline;
        let Created::New { id, .. } = self.scheduler.create_pipeline(new).await.unwrap() else {
            panic!("it exists")
        };
        let attempt = self.bridge(job).await.attempt;
        self.scheduler.downstream_made(job, attempt, id).await.unwrap();
        id
    }
}

#[tokio::test]
async fn without_a_strategy_the_job_is_done_once_the_pipeline_is_made() {
    let world = World::new().await;
    let id = world.create(&[PLAIN, "after stage=1"]).await;
    world.check(id, "bridge:pending after:created =pending").await;
    let child = world.child(id, &["a"]).await;
    world.check(id, "bridge:success after:pending =running").await;
    world.check(child, "a:pending =pending").await;
}

#[tokio::test]
async fn with_depend_the_job_ends_as_the_pipeline() {
    let world = World::new().await;
    let id = world.create(&[DEPEND, "after stage=1"]).await;
    let child = world.child(id, &["a"]).await;
    world.check(id, "bridge:running after:created =running").await;
    let task = world.take(&runner(1)).await;
    world.pass(&task).await;
    world.check(child, "a:success =success").await;
    world.check(id, "bridge:success after:pending =running").await;

    let id = world.create(&[DEPEND, "after stage=1"]).await;
    world.child(id, &["a when=on_failure"]).await;
    world.check(id, "bridge:failed after:skipped =failed").await;
}

#[tokio::test]
async fn a_mirror_shows_what_there_is() {
    let world = World::new().await;
    let id = world.create(&[MIRROR]).await;
    world.child(id, &["a"]).await;
    let task = world.take(&runner(1)).await;
    world.finish(&task, failed(FailureReason::ScriptFailure)).await.unwrap();
    world.check(id, "bridge:failed =failed").await;

    let id = world.create(&[MIRROR]).await;
    world.child(id, &["a when=on_failure"]).await;
    world.check(id, "bridge:skipped =skipped").await;
}

#[tokio::test]
async fn the_way_leads_up_over_generations() {
    let world = World::new().await;
    let first = world.create(&[DEPEND]).await;
    let second = world.child(first, &[DEPEND]).await;
    let third = world.child(second, &["a"]).await;
    world.check(first, "bridge:running =running").await;
    let task = world.take(&runner(1)).await;
    world.pass(&task).await;
    world.check(third, "a:success =success").await;
    world.check(second, "bridge:success =success").await;
    world.check(first, "bridge:success =success").await;
}

#[tokio::test]
async fn cancelling_goes_down_to_child_pipelines() {
    let world = World::new().await;
    for bridge in [PLAIN, DEPEND] {
        let id = world.create(&[bridge, "after stage=1"]).await;
        let child = world.child(id, &["a", "b stage=1"]).await;
        world.scheduler.cancel_pipeline(id).await.unwrap();
        world.check(child, "a:canceled b:canceled =canceled").await;
        let shown = world.shown(id).await;
        assert!(shown.ends_with("=canceled"), "{shown}");
    }
}

#[tokio::test]
async fn a_cancelled_job_wants_nothing_any_more() {
    let world = World::new().await;
    let id = world.create(&[DEPEND]).await;
    let job = world.job(id, "bridge").await;
    world.scheduler.cancel_job(job).await.unwrap();
    assert_eq!(world.bridge(job).await.due_ms, None);
    // Whoever was about to make it comes too late.
    world.scheduler.downstream_made(job, 1, PipelineId(99)).await.unwrap();
    world.check(id, "bridge:canceled =canceled").await;
}

#[tokio::test]
async fn a_retry_wants_another_pipeline() {
    let world = World::new().await;
    let id = world.create(&[DEPEND]).await;
    let job = world.job(id, "bridge").await;
    world
        .scheduler
        .downstream_failed(job, 1, "no such project")
        .await
        .unwrap();
    world.check(id, "bridge:failed =failed").await;
    assert_eq!(world.bridge(job).await.error.as_deref(), Some("no such project"));
    world.scheduler.retry_job(job).await.unwrap();
    world.check(id, "bridge:pending =pending").await;
    let bridge = world.bridge(job).await;
    assert_eq!((bridge.attempt, bridge.state.as_str()), (2, bridges::WANTED));
    // The first attempt's answer, late: nothing changes.
    world.scheduler.downstream_failed(job, 1, "late").await.unwrap();
    world.child(id, &["a"]).await;
    world.check(id, "bridge:running =running").await;
}
