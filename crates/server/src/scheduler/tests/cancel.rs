//! Cancelling, in every state.

use super::*;

#[tokio::test]
async fn what_does_not_run_is_cancelled_at_once() {
    let world = World::new().await;
    let id = world
        .create(&[
            "queued",
            "manual when=manual",
            "delayed when=delayed | {\"gate\": {\"type\": \"delay\", \"seconds\": 60}}",
            "created stage=1",
        ])
        .await;
    for name in ["created", "queued", "manual", "delayed"] {
        let job = world.job(id, name).await;
        world.scheduler.cancel_job(job).await.unwrap();
        assert!(
            matches!(world.scheduler.cancel_job(job).await, Err(Error::Refused(_))),
            "{name}"
        );
    }
    world
        .check(
            id,
            "queued:canceled manual:canceled delayed:canceled created:canceled =canceled",
        )
        .await;
    assert!(world.try_claim(&runner(1)).await.is_none());
}

#[tokio::test]
async fn a_running_one_is_told_and_cleans_up() {
    let world = World::new().await;
    let id = world.create(&["build", "always stage=1 when=always"]).await;
    let task = world.take(&runner(1)).await;
    world.scheduler.cancel_job(world.job(id, "build").await).await.unwrap();
    world.check(id, "build:canceling always:created =running").await;
    // It may still write, and hears of it.
    assert_eq!(
        world.scheduler.touch(task.id, &hash(&task)).await.unwrap(),
        Status::Canceling
    );
    let reported = world.finish(&task, failed(FailureReason::JobCanceled)).await.unwrap();
    assert_eq!(reported, Reported::Accepted(Status::Canceled));
    world.check(id, "build:canceled always:skipped =canceled").await;
}

#[tokio::test]
async fn one_that_cannot_clean_up_is_ended() {
    let world = World::new().await;
    let id = world.create(&["build"]).await;
    let rude = RunnerIdentity {
        cancels_gracefully: false,
        commit: Commit::OnePhase,
        ..runner(1)
    };
    let task = world.try_claim(&rude).await.unwrap();
    world.check(id, "build:running =running").await;
    assert_eq!(world.scheduler.cancel_pipeline(id).await.unwrap(), 1);
    world.check(id, "build:canceled =canceled").await;
    let told = world.scheduler.touch(task.id, &hash(&task)).await;
    assert!(matches!(told, Err(Error::NotYours(Some(Status::Canceled)))), "{told:?}");
}

#[tokio::test]
async fn one_that_was_claimed_but_not_acknowledged_never_starts() {
    let world = World::new().await;
    let id = world.create(&["build"]).await;
    let task = world.try_claim(&runner(1)).await.unwrap();
    world.scheduler.cancel_pipeline(id).await.unwrap();
    world.check(id, "build:canceled =canceled").await;
    assert!(matches!(
        world.ack(&task).await,
        Err(Error::NotYours(Some(Status::Canceled)))
    ));
}

#[tokio::test]
async fn a_silent_runner_that_was_told_is_not_waited_for() {
    let world = World::new().await;
    let id = world.create(&["build"]).await;
    world.take(&runner(1)).await;
    world.scheduler.cancel_pipeline(id).await.unwrap();
    world.advance(Duration::from_secs(10)).await;
    world.check(id, "build:canceled =canceled").await;
    assert!(world.try_claim(&runner(2)).await.is_none());
}

#[tokio::test]
async fn a_reported_result_is_not_cancelled_away() {
    let world = World::new().await;
    let id = world.create(&["build"]).await;
    let task = world.take(&runner(1)).await;
    world
        .scheduler
        .finish(task.id, &hash(&task), Outcome::Success, Log::Incomplete)
        .await
        .unwrap();
    world.scheduler.cancel_pipeline(id).await.unwrap();
    world.pass(&task).await;
    world.check(id, "build:success =success").await;
}

#[tokio::test]
async fn newer_pipelines_push_older_ones_aside() {
    let world = World::new().await;
    // started jobs, policy of the older pipeline → what is left of it
    let cases: [(&[&str], usize, &str, &str); 5] = [
        (
            &["a interruptible=true", "b stage=1"],
            1,
            "conservative",
            "a:canceling b:canceled =canceling",
        ),
        (&["a", "b stage=1"], 1, "conservative", "a:running b:created =running"),
        (
            &["a", "b stage=1"],
            0,
            "conservative",
            "a:canceled b:canceled =canceled",
        ),
        (
            &["a", "b interruptible=true"],
            2,
            "interruptible",
            "a:running b:canceling =running",
        ),
        (&["a interruptible=true"], 1, "none", "a:running =running"),
    ];
    for (i, (jobs, started, policy, shown)) in cases.into_iter().enumerate() {
        let mut new = world.new_pipeline(0, jobs);
        new.trigger.git_ref = GitRef::Branch(format!("case{i}"));
        let Content::Plan(plan) = &mut new.content else {
            panic!("a plan")
        };
        plan.auto_cancel = serde_json::from_value(serde_json::json!({"on_new_commit": policy})).unwrap();
        let mut newer = new.clone();
        let Created::New { id, .. } = world.scheduler.create_pipeline(new).await.unwrap() else {
            panic!("new")
        };
        for n in 0..started {
            world.take(&runner(n as i64)).await;
        }
        newer.trigger.commit.sha = "b".repeat(40);
        newer.cancels_older = true;
        let Created::New { id: newer, .. } = world.scheduler.create_pipeline(newer).await.unwrap() else {
            panic!("new")
        };
        assert_eq!(world.shown(id).await, shown, "{policy} {jobs:?}");
        world.scheduler.cancel_pipeline(newer).await.unwrap();
    }
}

#[tokio::test]
async fn a_failed_job_can_end_all() {
    let world = World::new().await;
    let mut new = world.new_pipeline(0, &["a", "b", "c", "d stage=1"]);
    let Content::Plan(plan) = &mut new.content else {
        panic!("a plan")
    };
    plan.auto_cancel = serde_json::from_value(serde_json::json!({"on_job_failure": "all"})).unwrap();
    let Created::New { id, .. } = world.scheduler.create_pipeline(new).await.unwrap() else {
        panic!("new")
    };
    let a = world.take(&runner(1)).await;
    let b = world.take(&runner(2)).await;
    world.finish(&a, failed(FailureReason::ScriptFailure)).await.unwrap();
    world
        .check(id, "a:failed b:canceling c:canceled d:canceled =canceling")
        .await;
    world.finish(&b, Outcome::Success).await.unwrap();
    world
        .check(id, "a:failed b:canceled c:canceled d:canceled =failed")
        .await;
}
