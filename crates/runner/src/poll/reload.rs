//! Settings that change while the runner runs: the file, and tokens that grow old.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tasuki_model::secret::Secret;
use tasuki_proto::client::RunnerClient;
use toml::value::Datetime;
use tracing::{error, info, warn};

use super::pool::{Pool, Reload};
use crate::config::{ConfigFile, RunnerConfig};
use crate::trace::chain;

const EVERY: Duration = Duration::from_secs(3);

/// Follows the file until the end of the pool; never returns. A broken file keeps the old settings.
pub(super) async fn follow(pool: &mut Pool) {
    let Some(source) = pool.options.reload.clone() else {
        return std::future::pending().await;
    };
    let mut file = ConfigFile::load(&source.path).ok();
    loop {
        let asked = tokio::time::timeout(EVERY, source.now.notified()).await.is_ok();
        let due = due(pool);
        if !due.is_empty() {
            // On a task of its own: a new token must reach the file also when the runner is stopped meanwhile.
            let (rotation, tasks) = (
                rotate(due, source.clone(), pool.options.clock.now_ms()),
                pool.options.tasks.clone(),
            );
            let _ = tasks.spawn("rotate tokens", rotation).await;
        }
        if !asked && file.as_ref().is_some_and(|file| !file.is_stale()) {
            continue;
        }
        let loaded = ConfigFile::load(&source.path);
        let config = loaded.and_then(|new| {
            let config = new.config(&source.environment);
            file = Some(new);
            config
        });
        match config {
            Ok(config) => {
                (source.applied)(&config);
                info!(file = %source.path.display(), "settings read again");
                pool.apply(config).await;
            }
            Err(problem) => {
                pool.options.metrics.misconfigured();
                error!(error = %chain(&problem), "the settings cannot be used; the old ones stay");
            }
        }
    }
}

/// A runner whose token is to be exchanged.
struct Due {
    name: String,
    url: String,
    client: Arc<RunnerClient>,
    token: Secret,
}

/// Runners of whose tokens' life three quarters are over.
fn due(pool: &Pool) -> Vec<Due> {
    let now = pool.options.clock.now_ms();
    pool.clients()
        .filter(|(runner, ..)| {
            let off = runner
                .feature_flags
                .get("FF_DISABLE_AUTOMATIC_TOKEN_ROTATION")
                .copied()
                .unwrap_or(false);
            !off && is_due(runner, now)
        })
        .map(|(runner, client, token)| Due {
            name: runner.name.clone(),
            url: runner.url.clone(),
            client,
            token,
        })
        .collect()
}

/// Exchanges tokens and writes the file.
async fn rotate(due: Vec<Due>, source: Reload, now_ms: i64) {
    for Due {
        name,
        url,
        client,
        token,
    } in due
    {
        let reset = match client.reset_token(&token).await {
            Ok(reset) => reset,
            Err(problem) => {
                warn!(runner = %name, error = %chain(&problem), "the token cannot be exchanged yet");
                continue;
            }
        };
        let expires = reset.token_expires_at.as_deref().and_then(|at| at.parse().ok());
        let stored = ConfigFile::load(&source.path).and_then(|mut file| {
            let config = file.config(&source.environment)?;
            let at = config
                .runners
                .iter()
                .position(|other| other.token == token && other.url == url);
            if let Some(at) = at {
                file.set_token(at, reset.token.expose(), datetime(now_ms), expires)?;
                file.save()?;
            }
            Ok(())
        });
        match stored {
            Ok(()) => info!(runner = %name, "token exchanged"),
            Err(problem) => {
                error!(runner = %name, error = %chain(&problem), "the new token cannot be stored: register the runner again");
            }
        }
    }
}

/// Whether three quarters of the token's life are over.
fn is_due(runner: &RunnerConfig, now_ms: i64) -> bool {
    let (Some(obtained), Some(expires)) = (&runner.token_obtained_at, &runner.token_expires_at) else {
        return false;
    };
    let (Some(obtained), Some(expires)) = (millis(obtained), millis(expires)) else {
        return false;
    };
    // The zero time of Go stands for "never".
    obtained > 0 && expires > obtained && now_ms >= obtained + (expires - obtained) / 4 * 3
}

fn millis(at: &Datetime) -> Option<i64> {
    at.to_string().parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// A point in time as TOML writes it.
pub(crate) fn datetime(at_ms: i64) -> Datetime {
    let text = Timestamp::from_second(at_ms.div_euclid(1000))
        .unwrap_or_default()
        .to_string();
    text.parse().unwrap_or(Datetime {
        date: None,
        time: None,
        offset: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_exchanged_after_three_quarters_of_their_life() {
        let runner = |obtained: &str, expires: &str| RunnerConfig {
            token_obtained_at: obtained.parse().ok(),
            token_expires_at: expires.parse().ok(),
            ..RunnerConfig::default()
        };
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let month = runner("2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z");
        assert!(!is_due(&month, at("2026-01-03T23:59:59Z")));
        assert!(is_due(&month, at("2026-01-04T00:00:00Z")));
        assert!(!is_due(
            &runner("2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            at("2026-06-01T00:00:00Z")
        ));
        assert!(!is_due(&RunnerConfig::default(), at("2026-06-01T00:00:00Z")));
        assert_eq!(datetime(at("2026-01-01T00:00:00Z")).to_string(), "2026-01-01T00:00:00Z");
    }
}
