//! Several servers on one database: each with a memory of its own.

use super::*;

#[tokio::test]
async fn a_stale_memory_is_noticed() {
    let world = World::new().await;
    let other = world.another().await;
    let id = world.create(&["a", "b", "c stage=1"]).await;
    let (a, b) = (world.take(&runner(1)).await, world.take(&runner(2)).await);
    // The other one learns the pipeline now …
    other
        .finish(a.id, &hash(&a), Outcome::Success, Log::Complete)
        .await
        .unwrap();
    // … the first one's graph is old, and still the end of `b` starts `c`.
    world.pass(&b).await;
    world.check(id, "a:success b:success c:pending =running").await;
    other.cancel_pipeline(id).await.unwrap();
    world.check(id, "a:success b:success c:canceled =canceled").await;
    // The first still has the task in its queue: it finds that it is gone.
    assert!(world.try_claim(&runner(1)).await.is_none());
}

#[tokio::test]
async fn a_lease_is_believed_that_another_server_renewed() {
    let world = World::new().await;
    let other = world.another().await;
    let id = world.create(&["a"]).await;
    let a = world.take(&runner(1)).await;
    for _ in 0..5 {
        world.clock.advance(Duration::from_secs(6));
        other.touch(a.id, &hash(&a)).await.unwrap();
        other.flush_contacts().await.unwrap();
        world.scheduler.tick().await.unwrap();
    }
    world.check(id, "a:running =running").await;
    world.advance(Duration::from_secs(10)).await;
    world.check(id, "a:pending =pending").await;
    other.tick().await.unwrap();
    world.check(id, "a:pending =pending").await;
}

#[test]
fn hints_survive_their_text() {
    use super::super::start::Hint;
    let hint = Hint {
        queued: vec![TaskId(1), TaskId(22)],
        gone: vec![TaskId(3)],
        started: vec![ProjectId(4)],
        ended: vec![ProjectId(5), ProjectId(5)],
        everything: false,
    };
    assert_eq!(hint.text(), "q1 q22 g3 s4 e5 e5 ");
    assert_eq!(Hint::parse(&hint.text()), hint);
    let many = Hint {
        queued: (0..10_000).map(TaskId).collect(),
        ..Hint::default()
    };
    assert!(Hint::parse(&many.text()).everything && many.text().len() < 8_000);
    assert!(Hint::parse("z9").everything);
}

/// A report comes again, to a server that remembers the task as it was before the other one took the first.
#[tokio::test]
async fn a_report_that_is_repeated_elsewhere_is_not_taken_for_the_result() {
    let world = World::new().await;
    let other = world.another().await;
    world.create(&["build"]).await;
    let task = world.take(&runner(1)).await;
    let first = other
        .finish(task.id, &hash(&task), Outcome::Success, Log::Incomplete)
        .await;
    assert!(matches!(first, Ok(Reported::LogMissing { .. })), "{first:?}");
    world.clock.advance(Duration::from_secs(1));
    world.scheduler.touch(task.id, &hash(&task)).await.unwrap();
    let again = world
        .scheduler
        .finish(task.id, &hash(&task), Outcome::Success, Log::Incomplete)
        .await;
    assert!(matches!(again, Ok(Reported::LogMissing { .. })), "{again:?}");
    world.pass(&task).await;
}
