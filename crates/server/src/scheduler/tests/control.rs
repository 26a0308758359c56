//! Play, retry, unschedule.

use tasuki_model::plan::Variable;

use super::super::Play;
use super::*;

#[tokio::test]
async fn a_play_may_bring_variables() {
    let world = World::new().await;
    let id = world.create(&["deploy when=manual"]).await;
    let job = world.job(id, "deploy").await;
    let with = Play {
        variables: vec![Variable::plain("WHERE", "here")],
    };
    world.scheduler.play(job, with.clone()).await.unwrap();
    assert!(matches!(world.scheduler.play(job, with).await, Err(Error::Refused(_))));
    let text = world.store.read(move |tx| jobs::plan(tx, job)).await.unwrap().unwrap();
    let plan: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(plan["played"][0]["value"], "here");
    assert!(serde_json::from_str::<tasuki_model::plan::Job>(&text).is_ok());
}

#[tokio::test]
async fn a_delayed_job_can_be_played_or_held() {
    let world = World::new().await;
    let delay = r#"when=delayed | {"gate": {"type": "delay", "seconds": 1800}}"#;
    let id = world
        .create(&[&format!("a {delay}"), &format!("b {delay}"), &format!("c {delay}")])
        .await;
    world
        .scheduler
        .play(world.job(id, "a").await, Play::default())
        .await
        .unwrap();
    world.scheduler.unschedule(world.job(id, "b").await).await.unwrap();
    world.check(id, "a:pending b:manual c:scheduled =running").await;
    world.advance(Duration::from_mins(30)).await;
    world.check(id, "a:pending b:manual c:pending =running").await;
}

#[tokio::test]
async fn a_pipelines_retry_runs_what_failed_in_order() {
    let world = World::new().await;
    let id = world.create(&["a", "b", "c stage=1"]).await;
    let (a, b) = (world.take(&runner(1)).await, world.take(&runner(2)).await);
    world.pass(&a).await;
    world.finish(&b, failed(FailureReason::ScriptFailure)).await.unwrap();
    world.check(id, "a:success b:failed c:skipped =failed").await;
    assert_eq!(world.scheduler.retry_pipeline(id).await.unwrap(), 1);
    world.check(id, "a:success b:pending c:created =running").await;
    let b = world.take(&runner(2)).await;
    assert_eq!(b.attempt, 2);
    world.pass(&b).await;
    world.check(id, "a:success b:success c:pending =running").await;
}

#[tokio::test]
async fn stuck_tasks_are_ended() {
    let world = World::new().await;
    let id = world.create(&["a"]).await;
    world.clock.advance(Duration::from_mins(59));
    world.scheduler.sweep().await.unwrap();
    world.check(id, "a:pending =pending").await;
    world.clock.advance(Duration::from_mins(1));
    world.scheduler.sweep().await.unwrap();
    world.check(id, "a:failed =failed").await;
}

#[tokio::test]
async fn a_runner_that_keeps_no_limit_is_not_waited_for() {
    let world = World::new().await;
    let id = world.create(&["a timeout_s=3600", "b"]).await;
    let (a, b) = (world.take(&runner(1)).await, world.take(&runner(2)).await);
    for _ in 0..71 {
        world.clock.advance(Duration::from_mins(1));
        for task in [&a, &b] {
            world.scheduler.touch(task.id, &hash(task)).await.ok();
        }
        world.scheduler.flush_contacts().await.unwrap();
    }
    world.check(id, "a:running b:running =running").await;
    world.scheduler.sweep().await.unwrap();
    world.check(id, "a:failed b:running =running").await;
}

#[tokio::test]
async fn what_does_not_exist_is_said_so() {
    let world = World::new().await;
    let job = world.scheduler.cancel_job(JobId(99)).await;
    assert!(matches!(job, Err(Error::NotFound { what: "job", id: 99 })), "{job:?}");
    let pipeline = world.scheduler.cancel_pipeline(PipelineId(99)).await;
    assert!(
        matches!(
            pipeline,
            Err(Error::NotFound {
                what: "pipeline",
                id: 99
            })
        ),
        "{pipeline:?}"
    );
    let task = world.scheduler.ack(TaskId(99), "00").await;
    assert!(matches!(task, Err(Error::NotYours(None))), "{task:?}");
}
