//! Memory of idle processes, size of the program, start-up time.

use std::time::Duration;

use anyhow::Context as _;

use super::Scene;
use super::figure::{Figure, Target};
use super::stage::{Stage, tasuki};

pub(super) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Figure>> {
    let stage = Stage::start(&scene.scratch, 0).await?;
    let mut wire = stage.wire().await?;
    let token = stage.runner_token(&mut wire).await?;
    let config = scene.scratch.join("runner.toml");
    let text = format!(
        "concurrent = 1\n[[runners]]\n  name = \"bench\"\n  url = \"http://{}\"\n  token = \"{token}\"\n  executor = \"shell\"\n",
        stage.host
    );
    std::fs::write(&config, text)?;
    let log = std::fs::File::create(scene.scratch.join("runner.log"))?;
    let mut runner = tasuki()?
        .args(["runner", "run", "--config"])
        .arg(&config)
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let server_kib = resident_kib(stage.pid());
    let runner_kib = resident_kib(runner.id());
    runner.kill()?;
    runner.wait()?;
    let program = std::fs::metadata(std::env::current_exe()?)?.len();
    let mib = |kib: u64| {
        #[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
        let value = kib as f64 / 1024.0;
        value
    };
    Ok(vec![
        Figure::new(
            "start to ready",
            "ms",
            stage.started_in.as_secs_f64() * 1000.0,
            Some(Target::AtMost(1000.0)),
            1,
        ),
        Figure::new(
            "idle server RSS",
            "MiB",
            mib(server_kib?),
            Some(Target::AtMost(25.0)),
            1,
        ),
        Figure::new("idle runner RSS", "MiB", mib(runner_kib?), Some(Target::AtMost(6.0)), 1),
        Figure::new(
            "program size",
            "MiB",
            mib(program / 1024),
            Some(Target::AtMost(30.0)),
            1,
        ),
    ])
}

/// Resident memory of a process.
fn resident_kib(pid: u32) -> anyhow::Result<u64> {
    status_kib(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// The most memory this process ever had resident.
pub(super) fn own_peak_kib() -> anyhow::Result<u64> {
    status_kib("/proc/self/status", "VmHWM:")
}

fn status_kib(path: &str, field: &str) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    text.lines()
        .find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("no {field} in {path}"))
}

/// User and system time that a process has used, to a hundredth of a second.
pub(super) fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name stands in parentheses and may hold anything; the fields after it are counted from 3.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Ok(Duration::from_millis((ticks(11) + ticks(12)) * 10))
}
