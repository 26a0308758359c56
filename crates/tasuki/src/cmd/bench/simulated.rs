//! A runner without a sandbox: it claims, says two lines and reports success, over the real protocol.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use hyper::Method;
use serde::Deserialize;
use tasuki_rt::Clock;

use super::wire::Wire;

/// A simulated runner's process.
pub(super) struct Simulated {
    wire: Wire,
    request: String,
    update: String,
}

/// What of a claimed task is needed to report on it.
#[derive(Deserialize)]
pub(super) struct Claimed {
    id: i64,
    token: String,
}

const LOG: &str = "one line of a trivial job\nand another one\n";

impl Simulated {
    /// Speaks through `wire` as manager number `number` of the runner with this token.
    pub(super) fn new(wire: Wire, token: &str, number: usize) -> Self {
        let info = serde_json::json!({
            "name": "tasuki", "version": env!("CARGO_PKG_VERSION"), "platform": "linux", "architecture": "amd64",
            "executor": "shell", "shell": "bash",
            "features": {"tasuki": true, "trace_checksum": true, "trace_size": true, "cancelable": true,
                "cancel_gracefully": true, "return_exit_code": true, "raw_variables": true, "artifacts": true,
                "cache": true, "refspecs": true, "masking": true, "multi_build_steps": true,
                "artifacts_exclude": true, "upload_multiple_artifacts": true, "upload_raw_artifacts": true,
                "variables": true, "fallback_cache_keys": true},
        });
        let request =
            serde_json::json!({"token": token, "system_id": format!("r_{number:012}"), "info": info}).to_string();
        let crc = tasuki_proto::gitlab::checksum(crc32fast::hash(LOG.as_bytes()));
        let output = serde_json::json!({"checksum": crc, "bytesize": LOG.len()});
        let update = serde_json::json!({"state": "success", "output": output}).to_string();
        Self { wire, request, update }
    }

    /// Asks until a task is there or `until` has passed; the server holds the request. Returns the task and when it came.
    pub(super) async fn claim(&mut self, until: Instant) -> anyhow::Result<Option<(Claimed, Instant)>> {
        let headers = [("content-type", "application/json"), ("accept", "application/json")];
        while Clock::instant() < until {
            let call = self
                .wire
                .call(Method::POST, "/api/v4/jobs/request", &headers, self.request.clone());
            let left = until.saturating_duration_since(Clock::instant()) + Duration::from_millis(200);
            let Ok(answer) = tokio::time::timeout(left, call).await else {
                return Ok(None);
            };
            let answer = answer?;
            match answer.status.as_u16() {
                201 => {
                    let at = Clock::instant();
                    let task = serde_json::from_slice(&answer.body).context("the payload is not JSON")?;
                    return Ok(Some((task, at)));
                }
                204 | 409 => {}
                status => anyhow::bail!("jobs/request: {status} {}", String::from_utf8_lossy(&answer.body)),
            }
        }
        Ok(None)
    }

    /// Sends the log and the result. Returns when the result was sent and when it was acknowledged.
    pub(super) async fn finish(&mut self, task: &Claimed) -> anyhow::Result<(Instant, Instant)> {
        let range = format!("0-{}", LOG.len() - 1);
        let headers = [
            ("job-token", task.token.as_str()),
            ("content-type", "text/plain"),
            ("content-range", &range),
        ];
        let answer = self
            .wire
            .call(Method::PATCH, &format!("/api/v4/jobs/{}/trace", task.id), &headers, LOG)
            .await?;
        anyhow::ensure!(
            answer.status == 202,
            "trace: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        // The token stands in the body too: the protocol demands it.
        let body = format!("{{\"token\":\"{}\",{}", task.token, &self.update[1..]);
        let headers = [("job-token", task.token.as_str()), ("content-type", "application/json")];
        let sent = Clock::instant();
        let answer = self
            .wire
            .call(Method::PUT, &format!("/api/v4/jobs/{}", task.id), &headers, body)
            .await?;
        anyhow::ensure!(
            answer.status == 200,
            "update: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        Ok((sent, Clock::instant()))
    }
}
