//! Waiting until services listen.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::protocol::Answer;

const PAUSE: Duration = Duration::from_millis(100);
const ONE_TRY: Duration = Duration::from_secs(1);

/// Tries all of them until each has taken a connection, or the time is over.
pub(super) async fn wait(mut targets: Vec<(String, u16)>, limit: Duration) -> Answer {
    let started = Instant::now();
    loop {
        let mut silent = Vec::new();
        for (host, port) in targets {
            let tried = timeout(ONE_TRY, TcpStream::connect((host.as_str(), port))).await;
            if !matches!(tried, Ok(Ok(_))) {
                silent.push((host, port));
            }
        }
        if silent.is_empty() || started.elapsed() >= limit {
            return Answer::Waited { silent };
        }
        targets = silent;
        sleep(PAUSE).await;
    }
}
