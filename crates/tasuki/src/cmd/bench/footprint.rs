//! What idle processes cost: a server and a runner that waits at it. And the size of the program.

use std::process::Child;
use std::time::Duration;

use super::Scene;
use super::figure::{Figure, Target};
use super::process::{Used, megabytes, resident, used};
use super::stage::{Stage, tasuki};

/// From the start until what only the start needs is done.
const SETTLE: Duration = Duration::from_secs(5);
/// Time over which the processor's use is measured.
const WINDOW: Duration = Duration::from_secs(30);

pub(super) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Figure>> {
    let stage = Stage::start(scene, 0).await?;
    let mut wire = stage.wire().await?;
    let token = stage.runner_token(&mut wire).await?;
    drop(wire);
    let mut runner = Runner::start(scene, &stage.host, &token)?;
    tokio::time::sleep(SETTLE).await;
    let both = |runner: &Runner| -> anyhow::Result<[Used; 2]> { Ok([used(stage.pid())?, used(runner.0.id())?]) };
    let before = both(&runner)?;
    tokio::time::sleep(WINDOW).await;
    let after = both(&runner)?;
    anyhow::ensure!(runner.0.try_wait()?.is_none(), "the runner has ended");
    let (of_server, of_runner) = (resident(stage.pid())?, resident(runner.0.id())?);
    let program = std::fs::metadata(std::env::current_exe()?)?.len();
    let pairs = || before.iter().zip(&after);
    let cpu: Duration = pairs().map(|(a, b)| b.cpu.saturating_sub(a.cpu)).sum();
    let sleeps: u64 = pairs().map(|(a, b)| b.sleeps.saturating_sub(a.sleeps)).sum();
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let wakes = sleeps as f64 / WINDOW.as_secs_f64();
    let at_most = |most| Some(Target::AtMost(most));
    let memory = |name, bytes, target| Figure::new(name, "MB", megabytes(bytes), target, 1);
    Ok(vec![
        memory("idle server RSS", of_server.all, at_most(25.0)),
        memory("idle server RSS, its own pages", of_server.own, None),
        memory("idle runner RSS", of_runner.all, at_most(6.0)),
        memory("idle runner RSS, its own pages", of_runner.own, None),
        Figure::new(
            "idle server + runner CPU",
            "% of a core",
            cpu.as_secs_f64() / WINDOW.as_secs_f64() * 100.0,
            at_most(0.1),
            1,
        ),
        Figure::new("idle server + runner wake-ups", "1/s", wakes, None, 1),
        memory("program size", program, at_most(30.0)),
    ])
}

/// A runner's process; ended when dropped.
struct Runner(Child);

impl Runner {
    fn start(scene: &Scene, host: &str, token: &str) -> anyhow::Result<Self> {
        let config = scene.scratch.join("runner.toml");
        let text = format!(
            "concurrent = 1\n[[runners]]\n  name = \"bench\"\n  url = \"http://{host}\"\n  token = \"{token}\"\n  executor = \"shell\"\n"
        );
        std::fs::write(&config, text)?;
        let log = std::fs::File::create(scene.scratch.join("runner.log"))?;
        let child = tasuki()?
            .args(["runner", "run", "--config"])
            .arg(&config)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
