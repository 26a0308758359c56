//! Resource groups over pipelines.

use super::*;

const DEPLOY: &str = r#"deploy | {"resource_group": {"key": "prod"}}"#;

#[tokio::test]
async fn one_at_a_time() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(world.create(&[DEPLOY]).await);
    }
    // Another project's group of the same name is another group.
    let other = world.create_in(1, &[DEPLOY]).await;
    world.check(other, "deploy:pending =pending").await;
    for (i, id) in ids.iter().enumerate() {
        for later in &ids[i + 1..] {
            world
                .check(*later, "deploy:waiting_for_resource =waiting_for_resource")
                .await;
        }
        world.check(*id, "deploy:pending =pending").await;
        let task = loop {
            let task = world.take(&runner(1)).await;
            if task.pipeline == *id {
                break task;
            }
            world.pass(&task).await;
        };
        world.pass(&task).await;
    }
}

#[tokio::test]
async fn a_cancelled_holder_frees_it() {
    let world = World::new().await;
    let first = world.create(&[DEPLOY]).await;
    let second = world.create(&[DEPLOY]).await;
    let third = world.create(&[DEPLOY]).await;
    world.scheduler.cancel_pipeline(second).await.unwrap();
    world.scheduler.cancel_pipeline(first).await.unwrap();
    world.check(third, "deploy:pending =pending").await;
    // A retry waits its turn.
    world.scheduler.retry_pipeline(first).await.unwrap();
    world
        .check(first, "deploy:waiting_for_resource =waiting_for_resource")
        .await;
}

#[tokio::test]
async fn process_modes_from_the_configuration() {
    let world = World::new().await;
    let job = |mode: &str| format!(r#"deploy | {{"resource_group": {{"key": "{mode}", "mode": "{mode}"}}}}"#);
    for (mode, next) in [("newest_first", 2), ("oldest_first", 1), ("newest_ready_first", 2)] {
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(world.create(&[&job(mode)]).await);
        }
        world.scheduler.cancel_pipeline(ids[0]).await.unwrap();
        world.check(ids[next], "deploy:pending =pending").await;
        world.scheduler.cancel_pipeline(ids[1]).await.unwrap();
        world.scheduler.cancel_pipeline(ids[2]).await.unwrap();
    }
    let latest = r#"deploy | {"resource_group": {"key": "l", "mode": "latest_only", "cancel_in_progress": true}}"#;
    let first = world.create(&[latest]).await;
    let task = world.take(&runner(1)).await;
    let second = world.create(&[latest]).await;
    world.check(first, "deploy:canceling =canceling").await;
    let third = world.create(&[latest]).await;
    world.check(second, "deploy:canceled =canceled").await;
    world.finish(&task, Outcome::Success).await.unwrap();
    world.check(third, "deploy:pending =pending").await;
}
