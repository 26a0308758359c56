//! Last command of a job → first command of the job that needs it, with the real shell runner.
//!
//! Both commands print the clock, so the whole way is inside: end of the shell, clean-up, final log, result, commit,
//! dispatch, new sandbox, start of the shell.

use std::time::Duration;

use super::Scene;
use super::dispatch::chain_of;
use super::figure::{Figure, Samples, Target};
use super::stage::Stage;

const LINKS: usize = 300;
const WARM_UP: usize = 5;

pub(super) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Figure>> {
    let stage = Stage::start(scene, 2).await?;
    let mut wire = stage.wire().await?;
    let project = stage
        .project(&mut wire, "hop", &chain_of(LINKS, "date '+at=%s%N'")?)
        .await?;
    let pipeline = stage.pipeline(&mut wire, project).await?;
    let mut jobs = stage.finished(&mut wire, pipeline).await?;
    jobs.sort_by_key(|job| job["id"].as_i64());
    let mut times = Vec::with_capacity(jobs.len());
    for job in &jobs {
        let log = stage.log(&mut wire, job).await?;
        times.push(stamp(&log).ok_or_else(|| anyhow::anyhow!("no time in the log of {}: {log}", job["name"]))?);
    }
    let hops = times
        .windows(2)
        .skip(WARM_UP)
        .map(|pair| Duration::from_nanos(pair[1].saturating_sub(pair[0])))
        .collect();
    Ok(Samples::new(hops)?.figures("DAG hop", [None, Some(Target::AtMost(100.0)), None]))
}

/// Nanoseconds since the epoch that a job printed as `at=N`; the echo of the command itself holds no digits there.
pub(super) fn stamp(log: &str) -> Option<u64> {
    log.split("at=").skip(1).find_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    })
}
