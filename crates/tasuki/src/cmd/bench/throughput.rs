//! Trivial jobs a second, end to end: created, claimed, logged, finished, each step durable before it is answered.
//!
//! The backlog is the same at the start of the measured time as at its end, so as many jobs are created in that time as
//! are finished in it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tasuki_rt::Clock;

use super::Scene;
use super::figure::{Figure, Target};
use super::process::cpu_time;
use super::simulated::Simulated;
use super::stage::Stage;

/// Jobs of one pipeline.
const JOBS: u64 = 2000;
/// Jobs that wait at any time: enough that no runner does.
const BACKLOG: u64 = 2 * JOBS;
const WARM_UP: Duration = Duration::from_secs(2);

pub(super) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Figure>> {
    let stage = Stage::server(scene).await?;
    let mut wire = stage.wire().await?;
    let mut config = String::from("workflow:\n  rules:\n    - if: $CI_PIPELINE_SOURCE == \"api\"\n");
    for name in 0..JOBS / 200 {
        writeln!(config, "trivial-{name}:\n  parallel: 200\n  script: [\"true\"]")?;
    }
    let project = stage.project(&mut wire, "throughput", &config).await?;
    let token = stage.runner_token(&mut wire).await?;
    let mut created = 0;
    while created < BACKLOG {
        stage.pipeline(&mut wire, project).await?;
        created += JOBS;
    }
    let done = Arc::new(AtomicU64::new(0));
    let measured_from = Clock::instant() + WARM_UP;
    let until = measured_from + scene.seconds;
    let mut workers = Vec::new();
    for number in 0..scene.runners {
        let mut runner = Simulated::new(stage.wire().await?, &token, number);
        let done = Arc::clone(&done);
        workers.push(stage.tasks.spawn("simulated runner", async move {
            while let Some((task, _)) = runner.claim(until).await? {
                runner.finish(&task).await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        }));
    }
    let mut begun = None;
    while Clock::instant() < until {
        if begun.is_none() && Clock::instant() >= measured_from {
            begun = Some((Clock::instant(), done.load(Ordering::Relaxed), cpu_time(stage.pid())?));
        }
        if created.saturating_sub(done.load(Ordering::Relaxed)) < BACKLOG {
            stage.pipeline(&mut wire, project).await?;
            created += JOBS;
        } else {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let (start, before, cpu_before) = begun.context("the time was too short for a measurement; raise --seconds")?;
    let elapsed = start.elapsed();
    let jobs = done.load(Ordering::Relaxed) - before;
    let cpu = cpu_time(stage.pid())?.saturating_sub(cpu_before);
    for worker in workers {
        worker.await?.unwrap_or(Ok(()))?;
    }
    anyhow::ensure!(jobs > 0, "no job was finished");
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let (jobs_f, samples) = (jobs as f64, usize::try_from(jobs)?);
    Ok(vec![
        Figure::new(
            "throughput",
            "jobs/s",
            jobs_f / elapsed.as_secs_f64(),
            Some(Target::AtLeast(2000.0)),
            samples,
        ),
        Figure::new(
            "server CPU per job",
            "ms",
            cpu.as_secs_f64() * 1000.0 / jobs_f,
            Some(Target::AtMost(0.5)),
            samples,
        ),
    ])
}
