//! "Why is this pending?"

use tasuki_store::runners;

use super::super::Cause;
use super::*;

async fn check(world: &World, pipeline: PipelineId, job: &str, cause: Cause, text: &str) {
    let pending = world
        .scheduler
        .why_pending(world.job(pipeline, job).await)
        .await
        .unwrap()
        .expect("it is pending");
    assert_eq!(pending.cause, cause, "{pending:?}");
    assert!(pending.text.contains(text), "{pending:?}");
}

async fn register(world: &World, tags: &str, contact: bool) {
    let now = Timestamp(world.clock.now_ms());
    let tags = format!("[{tags}]");
    world
        .store
        .write(move |tx| {
            let new = runners::NewRunner {
                token_hash: &format!("hash of {tags}"),
                description: "linux box",
                scope: "instance",
                project_id: None,
                resource_class_id: None,
                tags_json: &tags,
                run_untagged: false,
                locked: false,
                paused: false,
                access_level: "not_protected",
                maximum_timeout_s: None,
                maintenance_note: "",
                token_expires_ms: None,
            };
            let id = runners::create(tx, &new, now)?;
            if contact {
                runners::touch_all(tx, &[(id, "s_1", now)])?;
            }
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn every_cause_is_named() {
    let world = World::new().await;
    let id = world
        .create(&[
            "queued tags=[\"linux\"]",
            "odd tags=[\"vax\"]",
            "manual when=manual",
            "delayed when=delayed | {\"gate\": {\"type\": \"delay\", \"seconds\": 600}}",
            "later stage=1",
            r#"one | {"resource_group": {"key": "k"}}"#,
            r#"two | {"resource_group": {"key": "k"}}"#,
        ])
        .await;
    check(&world, id, "queued", Cause::NoRunner, "No runner is registered").await;
    register(&world, "\"linux\"", false).await;
    check(&world, id, "queued", Cause::RunnersAway, "`linux box`").await;
    check(&world, id, "odd", Cause::NoMatch, "`linux box`: it lacks the tag `vax`").await;
    check(&world, id, "one", Cause::NoMatch, "takes no jobs without tags").await;
    register(&world, "\"linux\", \"x\"", true).await;
    check(&world, id, "queued", Cause::RunnersBusy, "1 of 2 runners").await;
    check(&world, id, "manual", Cause::Manual, "start it").await;
    check(&world, id, "delayed", Cause::Delayed, "10 min").await;
    check(&world, id, "later", Cause::Predecessors, "`queued` (pending)").await;
    check(&world, id, "two", Cause::Resource, "held by job `one`").await;
    let claimed = world.try_claim(&tagged(1, "linux")).await.unwrap();
    check(&world, id, "queued", Cause::Starting, "about to start").await;
    world.ack(&claimed).await.unwrap();
    assert_eq!(world.scheduler.why_pending(claimed.job).await.unwrap(), None);
}
