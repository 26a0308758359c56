//! A pipeline of 10,000 jobs, created in a running server: request sent → answered, so configuration read, compiled, stored
//! and durable.

use std::time::Duration;

use hyper::Method;
use tasuki_rt::Clock;

use super::Scene;
use super::compile::JOBS;
use super::configs;
use super::figure::{Figure, Samples, Target};
use super::stage::Stage;

const RUNS: usize = 5;

pub(super) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Figure>> {
    let stage = Stage::server(scene).await?;
    let mut wire = stage.wire().await?;
    let config = format!(
        "workflow:\n  rules:\n    - if: $CI_PIPELINE_SOURCE == \"api\"\n{}",
        configs::gitlab()?
    );
    let project = stage.project(&mut wire, "create", &config).await?;
    let mut times: Vec<Duration> = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let start = Clock::instant();
        let pipeline = stage.pipeline(&mut wire, project).await?;
        times.push(start.elapsed());
        let path = format!("/api/v1/pipelines/{pipeline}");
        let detail = wire.api(&stage.token, Method::GET, &path, None).await?;
        anyhow::ensure!(
            detail["counts"]["total"] == JOBS,
            "not all jobs were created: {}",
            detail["counts"]
        );
    }
    Ok(Samples::new(times)?.figures("create 10,000 jobs", [None, None, Some(Target::AtMost(1000.0))]))
}
