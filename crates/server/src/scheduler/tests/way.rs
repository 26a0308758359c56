//! The way of a task, and what goes wrong on it.

use super::*;

#[tokio::test]
async fn from_a_commit_to_a_green_pipeline() {
    let world = World::new().await;
    let id = world
        .create(&["build", "lint", "test stage=1", "deploy stage=2 when=manual"])
        .await;
    world
        .check(id, "build:pending lint:pending test:created deploy:created =pending")
        .await;
    let (build, lint) = (world.take(&runner(1)).await, world.take(&runner(2)).await);
    assert!(world.try_claim(&runner(3)).await.is_none());
    world
        .check(id, "build:running lint:running test:created deploy:created =running")
        .await;
    world.pass(&build).await;
    world.pass(&lint).await;
    world
        .check(id, "build:success lint:success test:pending deploy:created =running")
        .await;
    let test = world.take(&runner(1)).await;
    world.pass(&test).await;
    world
        .check(id, "build:success lint:success test:success deploy:manual =manual")
        .await;
    world
        .scheduler
        .play(world.job(id, "deploy").await, Default::default())
        .await
        .unwrap();
    let deploy = world.take(&runner(1)).await;
    world.pass(&deploy).await;
    world
        .check(id, "build:success lint:success test:success deploy:success =success")
        .await;
}

#[tokio::test]
async fn a_failure_ends_what_depends_on_it() {
    let world = World::new().await;
    let id = world
        .create(&["build", "test stage=1", "report stage=1 when=on_failure"])
        .await;
    let build = world.take(&runner(1)).await;
    world
        .finish(&build, failed(FailureReason::ScriptFailure))
        .await
        .unwrap();
    world
        .check(id, "build:failed test:skipped report:pending =running")
        .await;
}

#[tokio::test]
async fn a_trigger_repeated_gives_the_same_pipeline() {
    let world = World::new().await;
    let mut new = world.new_pipeline(0, &["build"]);
    new.idempotency_key = Some("delivery 1".into());
    let first = world.scheduler.create_pipeline(new.clone()).await.unwrap();
    let Created::New { id, iid: 1 } = first else {
        panic!("{first:?}")
    };
    assert_eq!(
        world.scheduler.create_pipeline(new).await.unwrap(),
        Created::Existing(id)
    );
    world.take(&runner(1)).await;
    assert!(world.try_claim(&runner(1)).await.is_none());
}

#[tokio::test]
async fn invalid_and_skipped_pipelines_have_no_jobs() {
    let world = World::new().await;
    for (content, shown) in [
        (
            Content::Invalid {
                errors: vec!["bad".into()],
            },
            "=failed",
        ),
        (Content::Skipped, "=skipped"),
    ] {
        let mut new = world.new_pipeline(0, &[]);
        new.content = content;
        let Created::New { id, .. } = world.scheduler.create_pipeline(new).await.unwrap() else {
            panic!("new")
        };
        world.check(id, shown).await;
    }
}

/// Covers: CM-TASK-01, CM-TASK-02, CM-TASK-03
#[tokio::test]
async fn parallelism_makes_tasks() {
    let world = World::new().await;
    let id = world.create(&["one", "three parallelism=3", "after stage=1"]).await;
    let (one, three) = (world.job(id, "one").await, world.job(id, "three").await);
    assert_eq!(
        (world.tasks_of(one).await.len(), world.tasks_of(three).await.len()),
        (1, 3)
    );
    let mut tasks = Vec::new();
    for n in 1..=4 {
        tasks.push(world.take(&runner(n)).await);
    }
    let parts: BTreeSet<i64> = tasks
        .iter()
        .filter(|task| task.job == three)
        .map(|task| task.parallel_index)
        .collect();
    assert_eq!(parts, BTreeSet::from([0, 1, 2]));
    for task in &tasks[..3] {
        world.pass(task).await;
    }
    assert!(world.shown(id).await.contains("after:created"));
    world
        .finish(&tasks[3], failed(FailureReason::ScriptFailure))
        .await
        .unwrap();
    world.check(id, "one:success three:failed after:skipped =failed").await;
}

#[tokio::test]
async fn a_task_of_a_lost_runner_is_queued_again_and_the_late_result_refused() {
    let world = World::new().await;
    let id = world.create(&["build"]).await;
    let job = world.job(id, "build").await;
    let mut lost = Vec::new();
    for attempt in 1..=3 {
        let task = world.take(&runner(attempt)).await;
        assert_eq!(task.attempt, attempt);
        // Contact keeps it.
        world.advance(Duration::from_secs(9)).await;
        world.scheduler.touch(task.id, &hash(&task)).await.unwrap();
        world.advance(Duration::from_millis(9_999)).await;
        assert_eq!(world.tasks_of(job).await.len() as i64, attempt);
        world.advance(Duration::from_millis(1)).await;
        lost.push(task);
    }
    // Twice more on our account, then it is the job's end.
    world.check(id, "build:failed =failed").await;
    for task in &lost {
        let touched = world.scheduler.touch(task.id, &hash(task)).await;
        assert!(
            matches!(touched, Err(Error::NotYours(Some(Status::Failed)))),
            "{touched:?}"
        );
        assert!(matches!(
            world.finish(task, Outcome::Success).await,
            Ok(Reported::Already(Status::Failed))
        ));
    }
}

#[tokio::test]
async fn a_claim_that_is_not_acknowledged_goes_back() {
    let world = World::new().await;
    let id = world.create(&["build"]).await;
    let first = world.try_claim(&runner(1)).await.unwrap();
    world.check(id, "build:pending =pending").await;
    world.advance(Duration::from_secs(10)).await;
    let second = world.take(&runner(2)).await;
    assert_eq!((first.id, second.attempt), (second.id, 1));
    let late = world.ack(&first).await;
    assert!(matches!(late, Err(Error::NotYours(Some(Status::Running)))), "{late:?}");
    assert!(world.finish(&first, Outcome::Success).await.is_err());
    world.pass(&second).await;
}

#[tokio::test]
async fn a_doubled_report_changes_nothing() {
    let world = World::new().await;
    let id = world.create(&["build", "test stage=1"]).await;
    let build = world.take(&runner(1)).await;
    world.pass(&build).await;
    let again = world
        .finish(&build, failed(FailureReason::ScriptFailure))
        .await
        .unwrap();
    assert_eq!(again, Reported::Already(Status::Success));
    world.check(id, "build:success test:pending =running").await;
    let stranger = world
        .scheduler
        .finish(build.id, "0000", Outcome::Success, Log::Complete)
        .await;
    assert!(matches!(stranger, Err(Error::NotYours(_))));
}

#[tokio::test]
async fn a_result_waits_for_its_log() {
    let world = World::new().await;
    let id = world.create(&["build"]).await;
    let task = world.take(&runner(1)).await;
    let report = |outcome, log| world.scheduler.finish(task.id, "", outcome, log);
    assert!(report(Outcome::Success, Log::Complete).await.is_err());
    let own = hash(&task);
    let first = world
        .scheduler
        .finish(task.id, &own, Outcome::Success, Log::Incomplete)
        .await
        .unwrap();
    assert_eq!(first, Reported::LogMissing { waited: Duration::ZERO });
    world.check(id, "build:running =running").await;
    let second = world
        .scheduler
        .finish(task.id, &own, failed(FailureReason::ScriptFailure), Log::Complete)
        .await
        .unwrap();
    assert_eq!(second, Reported::Accepted(Status::Success));
}

#[tokio::test]
async fn retries_follow_the_jobs_policy() {
    let world = World::new().await;
    let id = world
        .create(&[r#"build | {"retry": {"max": 1, "when": ["script_failure"]}}"#])
        .await;
    let first = world.take(&runner(1)).await;
    world
        .finish(&first, failed(FailureReason::ScriptFailure))
        .await
        .unwrap();
    world.check(id, "build:pending =pending").await;
    let second = world.take(&runner(1)).await;
    assert_eq!((second.attempt, second.id == first.id), (2, false));
    world
        .finish(&second, failed(FailureReason::ScriptFailure))
        .await
        .unwrap();
    world.check(id, "build:failed =failed").await;
    // A person's retry starts counting anew.
    let job = world.job(id, "build").await;
    world.scheduler.retry_job(job).await.unwrap();
    let third = world.take(&runner(1)).await;
    assert_eq!(third.attempt, 3);
    world
        .finish(&third, failed(FailureReason::ScriptFailure))
        .await
        .unwrap();
    let fourth = world.take(&runner(1)).await;
    world.pass(&fourth).await;
    world.check(id, "build:success =success").await;
}

#[tokio::test]
async fn conditions_are_evaluated_when_the_needs_are_done() {
    let world = World::new().await;
    let needs = |names: &[&str], condition: &str| {
        let needs: Vec<_> = names.iter().map(|name| serde_json::json!({"job": name})).collect();
        serde_json::json!({"needs": needs, "condition": serde_json::from_str::<serde_json::Value>(condition).unwrap()})
    };
    let call = |function: &str| format!(r#"{{"call": {{"function": "{function}", "arguments": []}}}}"#);
    let result = r#"{"binary": {"op": "loose_eq", "right": {"literal": "failure"}, "left": {"index": {
        "of": {"index": {"of": {"context": "needs"}, "index": {"literal": "a"}}}, "index": {"literal": "result"}}}}}"#;
    let id = world
        .create(&[
            "a",
            &format!("b | {}", needs(&["a"], &call("success"))),
            &format!("c | {}", needs(&["a"], &call("failure"))),
            &format!("d | {}", needs(&["a"], result)),
            &format!("e | {}", needs(&["a", "b"], &call("always"))),
            &format!("f | {}", needs(&["b"], &call("nonsense"))),
        ])
        .await;
    world
        .check(
            id,
            "a:pending b:created c:created d:created e:created f:created =pending",
        )
        .await;
    let a = world.take(&runner(1)).await;
    world.finish(&a, failed(FailureReason::ScriptFailure)).await.unwrap();
    world
        .check(id, "a:failed b:skipped c:pending d:pending e:pending f:failed =running")
        .await;
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let mut world = World::new().await;
    let id = world
        .create(&[
            "a",
            "b",
            "c stage=1",
            "d stage=1 when=delayed | {\"gate\": {\"type\": \"delay\", \"seconds\": 60}}",
        ])
        .await;
    let a = world.take(&runner(1)).await;
    let b = world.try_claim(&runner(2)).await.unwrap();
    world.stop().await;
    world.clock.advance(Duration::from_mins(5));
    world.restart().await;
    // A runner could not reach a server that was down: its lease starts anew.
    world.scheduler.tick().await.unwrap();
    world.ack(&b).await.unwrap();
    world.pass(&a).await;
    world.restart().await;
    world.pass(&b).await;
    world
        .check(id, "a:success b:success c:pending d:scheduled =running")
        .await;
    world.restart().await;
    let c = world.take(&runner(1)).await;
    world.advance(Duration::from_secs(59)).await;
    world.scheduler.touch(c.id, &hash(&c)).await.ok();
    assert!(world.shown(id).await.contains("d:scheduled"));
    world.advance(Duration::from_secs(1)).await;
    assert!(world.shown(id).await.contains("d:pending"));
}
