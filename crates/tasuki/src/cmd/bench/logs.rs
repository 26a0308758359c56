//! Byte written by a job → received by a reader of the live log (SSE).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use hyper::Method;

use super::Scene;
use super::figure::{Figure, Samples, Target};
use super::stage::Stage;

/// A line every 20 ms for 10 s.
const CONFIG: &str = r#"workflow:
  rules:
    - if: $CI_PIPELINE_SOURCE == "api"
variables:
  GIT_STRATEGY: none
talk:
  script:
    - for i in $(seq 500); do date '+at=%s%N;'; sleep 0.02; done
"#;

pub(super) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Figure>> {
    let stage = Stage::start(scene, 1).await?;
    let mut wire = stage.wire().await?;
    let project = stage.project(&mut wire, "logs", CONFIG).await?;
    let pipeline = stage.pipeline(&mut wire, project).await?;
    let task = loop {
        let detail = wire
            .api(
                &stage.token,
                Method::GET,
                &format!("/api/v1/pipelines/{pipeline}"),
                None,
            )
            .await?;
        if let Some(id) = stage.task(&mut wire, &detail["workflows"][0]["jobs"][0]).await? {
            break id;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    tasuki_proto::tls::install();
    let url = format!("http://{}/api/v1/tasks/{task}/log/events", stage.host);
    let response = reqwest::Client::new()
        .get(url)
        .bearer_auth(&stage.token)
        .send()
        .await?
        .error_for_status()?;
    let mut stream = response.bytes_stream();
    let (mut text, mut seen, mut lags) = (String::new(), 0, Vec::new());
    while let Some(chunk) = stream.next().await {
        text.push_str(&String::from_utf8_lossy(&chunk?));
        let now = now_ns()?;
        // Only whole stamps, which end in `;`. What was printed before this reader came is history, not lag.
        while let Some(end) = text[seen..].find(';').map(|at| seen + at) {
            let stamp = text[seen..end]
                .rsplit("at=")
                .next()
                .and_then(|digits| digits.parse::<u64>().ok());
            if let Some(stamp) = stamp {
                lags.push(Duration::from_nanos(now.saturating_sub(stamp)));
            }
            seen = end + 1;
        }
    }
    let live = lags.split_off(lags.len().min(10));
    let samples = Samples::new(live).context("no line of the live log arrived")?;
    Ok(samples.figures("log byte to reader", [None, Some(Target::AtMost(200.0)), None]))
}

#[expect(
    clippy::disallowed_methods,
    reason = "compared with what `date` printed on the same machine"
)]
fn now_ns() -> anyhow::Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?)
}
