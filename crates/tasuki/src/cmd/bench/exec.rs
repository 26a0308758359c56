//! `tasuki exec` → first command of the job.
//!
//! The first command is `date`, which prints the clock: starting it is inside.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;

use super::Scene;
use super::figure::{Figure, Samples, Target};
use super::hop::stamp;
use super::stage::{repository, tasuki};

const RUNS: usize = 50;
const WARM_UP: usize = 3;

pub(super) fn measure(scene: &Scene) -> anyhow::Result<Vec<Figure>> {
    let folder = repository(&scene.scratch, "exec", "first:\n  script:\n    - date '+at=%s%N'\n")?;
    let (mut first, mut whole) = (Vec::new(), Vec::new());
    for run in 0..RUNS + WARM_UP {
        let start = now()?;
        let output = tasuki()?
            .arg("exec")
            .current_dir(&folder)
            .output()
            .context("cannot start tasuki exec")?;
        let end = now()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(
            output.status.success(),
            "tasuki exec ended with {}: {text}",
            output.status
        );
        let at = Duration::from_nanos(stamp(&text).with_context(|| format!("no time in the output: {text}"))?);
        if run < WARM_UP {
            continue;
        }
        first.push(at.saturating_sub(start));
        whole.push(end.saturating_sub(start));
    }
    let mut figures = Samples::new(first)?.figures("exec to first command", [Some(Target::AtMost(15.0)), None, None]);
    figures.extend(Samples::new(whole)?.figures("exec whole run", [None; 3]));
    Ok(figures)
}

#[expect(
    clippy::disallowed_methods,
    reason = "compared with what `date` printed on the same machine"
)]
fn now() -> anyhow::Result<Duration> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?)
}
