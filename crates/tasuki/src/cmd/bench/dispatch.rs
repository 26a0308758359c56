//! Need met and durable → a waiting runner holds the task.
//!
//! A chain of jobs, each needing the one before. Some runners wait in long polls. The need is met and durable somewhere
//! between the moment the result of a job is *sent* and the moment it is *acknowledged*; the wait until a runner has
//! the whole payload of the next job is measured from both. The target holds for the longer one, which has the commit
//! of the result inside.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tasuki_rt::Clock;
use tokio::sync::mpsc;

use super::Scene;
use super::figure::{Figure, Samples, Target};
use super::simulated::Simulated;
use super::stage::Stage;

const LINKS: usize = 1000;
const WARM_UP: usize = 50;

pub(super) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Figure>> {
    let stage = Stage::server(scene).await?;
    let mut wire = stage.wire().await?;
    let project = stage.project(&mut wire, "dispatch", &chain()?).await?;
    let token = stage.runner_token(&mut wire).await?;
    let until = Clock::instant() + Duration::from_secs(240);
    let (events, mut seen) = mpsc::unbounded_channel();
    for number in 0..scene.idle_runners.max(2) {
        let mut runner = Simulated::new(stage.wire().await?, &token, number);
        let events = events.clone();
        drop(stage.tasks.spawn("simulated runner", async move {
            while let Ok(Some((task, at))) = runner.claim(until).await {
                let Ok(told) = runner.finish(&task).await else {
                    break;
                };
                if events.send((at, told)).is_err() {
                    break;
                }
            }
        }));
    }
    drop(events);
    // Let all of them reach their long poll.
    tokio::time::sleep(Duration::from_millis(500)).await;
    stage.pipeline(&mut wire, project).await?;
    let mut legs: Vec<(Instant, (Instant, Instant))> = Vec::with_capacity(LINKS);
    while legs.len() < LINKS {
        let next = tokio::time::timeout(Duration::from_secs(60), seen.recv()).await;
        let Ok(Some(leg)) = next else {
            anyhow::bail!("only {} of {LINKS} jobs were handed out", legs.len())
        };
        legs.push(leg);
    }
    legs.sort_unstable_by_key(|(claimed, _)| *claimed);
    let waits = |from: fn((Instant, Instant)) -> Instant| {
        let pairs = legs.windows(2).skip(WARM_UP);
        Samples::new(
            pairs
                .map(|pair| pair[1].0.saturating_duration_since(from(pair[0].1)))
                .collect(),
        )
    };
    let mut figures = waits(|(sent, _)| sent)?.figures(
        "dispatch",
        [Some(Target::AtMost(5.0)), Some(Target::AtMost(25.0)), None],
    );
    figures.extend(waits(|(_, acknowledged)| acknowledged)?.figures("dispatch after acknowledgement", [None; 3]));
    Ok(figures)
}

/// Jobs in a row, each needing the one before, that run only when the API asks.
pub(super) fn chain_of(links: usize, script: &str) -> anyhow::Result<String> {
    let mut config = String::from(
        "workflow:\n  rules:\n    - if: $CI_PIPELINE_SOURCE == \"api\"\nvariables:\n  GIT_STRATEGY: none\n",
    );
    for link in 0..links {
        let needs = if link == 0 {
            "[]".to_owned()
        } else {
            format!("[link-{}]", link - 1)
        };
        writeln!(config, "link-{link}:\n  needs: {needs}\n  script:\n    - {script}")?;
    }
    Ok(config)
}

fn chain() -> anyhow::Result<String> {
    chain_of(LINKS, "\"true\"")
}
