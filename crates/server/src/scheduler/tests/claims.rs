//! Who gets what, and when.

use super::*;

#[tokio::test]
async fn a_waiting_runner_is_woken_by_the_task() {
    let world = World::new().await;
    let scheduler = world.scheduler.clone();
    let waiting = tokio::time::timeout(Duration::from_secs(20), async {
        let who = runner(1);
        let (claimed, id) = tokio::join!(scheduler.claim(&who, Duration::from_secs(15)), async {
            tokio::task::yield_now().await;
            world.create(&["build"]).await
        });
        (claimed.unwrap().unwrap(), id)
    });
    let (claimed, id) = waiting.await.unwrap();
    assert_eq!(claimed.pipeline, id);
}

#[tokio::test]
async fn a_runner_that_hangs_up_loses_nothing() {
    let world = World::new().await;
    {
        let who = runner(1);
        let waiting = world.scheduler.claim(&who, Duration::from_secs(60));
        tokio::pin!(waiting);
        assert!(
            tokio::time::timeout(Duration::from_millis(20), waiting.as_mut())
                .await
                .is_err()
        );
    }
    world.create(&["build"]).await;
    // Hung up in the middle of the claim: it goes back, whether or not it was committed.
    {
        let who = runner(2);
        let claiming = world.scheduler.claim(&who, Duration::from_secs(60));
        tokio::pin!(claiming);
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(claiming.as_mut().poll(cx).is_pending())).await;
        assert!(polled, "the commit takes longer than a poll");
    }
    let got = world
        .scheduler
        .claim(&runner(3), Duration::from_secs(20))
        .await
        .unwrap()
        .unwrap();
    world.ack(&got).await.unwrap();
    world.pass(&got).await;
}

use std::future::Future as _;

#[tokio::test]
async fn tags_decide() {
    let world = World::new().await;
    world.create(&["gpu tags=[\"gpu\",\"linux\"]", "any"]).await;
    assert_eq!(world.try_claim(&tagged(1, "linux")).await.unwrap().attempt, 1);
    assert!(world.try_claim(&tagged(1, "linux")).await.is_none());
    assert!(world.try_claim(&tagged(2, "gpu linux fast")).await.is_some());
}

#[tokio::test]
async fn projects_share_fairly() {
    let world = World::new().await;
    let many: Vec<String> = (0..200).map(|i| format!("j{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    world.create_in(0, &many).await;
    for n in 0..20 {
        world.take(&runner(n)).await;
    }
    let id = world.create_in(1, &["first", "second"]).await;
    assert_eq!(world.take(&runner(50)).await.pipeline, id);
    assert_eq!(world.take(&runner(51)).await.pipeline, id);
    assert_ne!(world.take(&runner(52)).await.pipeline, id);
}

#[tokio::test]
async fn shares_are_counted_over_a_restart() {
    let mut world = World::new().await;
    world.create_in(0, &["a", "b", "c"]).await;
    for n in 0..2 {
        world.take(&runner(n)).await;
    }
    world.restart().await;
    let id = world.create_in(1, &["x"]).await;
    assert_eq!(world.take(&runner(9)).await.pipeline, id);
}

#[tokio::test]
async fn two_servers_never_give_a_task_twice() {
    let world = World::new().await;
    let other = world.another().await;
    let jobs: Vec<String> = (0..30).map(|i| format!("j{i}")).collect();
    let jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
    let id = world.create(&jobs).await;
    other.resync().await.unwrap();
    let mut seen = BTreeSet::new();
    for n in 0..15 {
        let (one, two) = (runner(n), runner(100 + n));
        let (a, b) = tokio::join!(
            world.scheduler.claim(&one, Duration::ZERO),
            other.claim(&two, Duration::ZERO)
        );
        for (task, by) in [(a.unwrap().unwrap(), &world.scheduler), (b.unwrap().unwrap(), &other)] {
            assert!(seen.insert(task.id), "{} was given twice", task.id);
            // Whichever server the runner asks next knows it.
            let elsewhere = if n % 2 == 0 { &world.scheduler } else { &other };
            elsewhere.ack(task.id, &hash(&task)).await.unwrap();
            by.touch(task.id, &hash(&task)).await.unwrap();
            let done = by
                .finish(task.id, &hash(&task), Outcome::Success, Log::Complete)
                .await
                .unwrap();
            assert_eq!(done, Reported::Accepted(Status::Success));
        }
    }
    assert!(world.shown(id).await.ends_with("=success"));
}

#[tokio::test]
async fn ten_thousand_jobs_are_created_at_once() {
    let world = World::new().await;
    let jobs: Vec<String> = (0..10_000).map(|i| format!("j{i} stage={}", i / 2_500)).collect();
    let jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
    world.create(&jobs).await;
    assert_eq!(world.scheduler.lengths(), (2_500, 0, 0));
    let task = world.take(&runner(1)).await;
    world.pass(&task).await;
}

/// The lease runs out in a server that has not read the pipeline before.
#[tokio::test]
async fn a_loss_does_not_count_once_another_attempt_has_passed() {
    let mut world = World::new().await;
    let id = world.create(&["a", "b"]).await;
    world.take(&runner(1)).await;
    world.take(&runner(2)).await;
    world.restart().await;
    world.advance(Duration::from_secs(11)).await;
    world.check(id, "a:pending b:pending =pending").await;
    for _ in 0..2 {
        let again = world.take(&runner(1)).await;
        world.pass(&again).await;
    }
    world.check(id, "a:success b:success =success").await;
}
