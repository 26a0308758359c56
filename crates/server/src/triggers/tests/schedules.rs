//! Pipelines that start by the clock.

use std::time::Duration;

use tasuki_model::time::Timestamp;
use tasuki_rt::Clock;
use tasuki_store::schedules::{self, Settings};

use super::world::World;

/// A turn that was missed while the server was down is made up for once, and the next turn is set; a ref that is gone is
/// told, not tried for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_starts_once_and_waits_for_its_next_turn() {
    let mut world = World::new().await;
    let config = "job: {script: x, rules: [{if: $CI_PIPELINE_SOURCE == \"schedule\" && $WHAT == \"all\"}]}\n";
    let dir = world.repository("app", config);
    let project = world.add("local", dir.to_str().unwrap(), "{}").await;
    let now = world.triggers.now();
    let ids = world.store.write(move |tx| {
        let make = |tx: &mut tasuki_store::Tx<'_>, git_ref: &str| {
            let settings = Settings {
                description: "",
                cron: "0 4 * * *",
                time_zone: "Europe/Berlin",
                ref_name: git_ref,
                variables_sealed: r#"[{"key":"WHAT","value":"all"}]"#,
                inputs_json: "{}",
                active: true,
                next_ms: Some(Timestamp(now.0 - 3 * 86_400_000)),
            };
            schedules::create(tx, project.id, None, &settings, now)
        };
        Ok((make(tx, "main")?, make(tx, "gone")?))
    });
    let (good, gone) = ids.await.unwrap();
    world.restart().await;
    assert_eq!(world.wait_for(1).await, [("main".to_owned(), "pending".to_owned())]);
    let start = Clock::instant();
    loop {
        let rows = world
            .store
            .read(move |tx| Ok((schedules::get(tx, good)?, schedules::get(tx, gone)?)));
        let (Some(good), Some(gone)) = rows.await.unwrap() else {
            panic!("they are gone")
        };
        if let (Some(said), Some(refused)) = (good.last_outcome, gone.last_outcome) {
            assert!(said.starts_with("pipeline "), "{said}");
            assert!(refused.contains("gone"), "{refused}");
            let next = good.next_ms.unwrap();
            assert!(next > now && next.since(now) <= Duration::from_hours(25), "{next:?}");
            assert_eq!(good.last_pipeline_id.map(|id| id.0), Some(1));
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(world.pipelines().await.len(), 1);
}
