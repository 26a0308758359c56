//! Start of the process → its `ready` line, on an empty data folder: the database is made inside.

use super::Scene;
use super::figure::{Figure, Samples, Target};
use super::stage::Stage;

const RUNS: usize = 20;

pub(super) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Figure>> {
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        times.push(Stage::start(scene, 0).await?.started_in);
    }
    Ok(Samples::new(times)?.figures("start to ready", [None, None, Some(Target::AtMost(1000.0))]))
}
