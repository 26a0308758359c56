//! What signals do to a running runner.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::job::Shutdown;

/// Whose meaning signals have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum SignalMode {
    /// SIGQUIT waits for running jobs, SIGTERM and SIGINT end them, a second one ends the process
    #[default]
    Gitlab,
    /// SIGQUIT and the first SIGTERM or SIGINT wait for running jobs, the second ends them, the third ends the process
    Tasuki,
}

/// Follows signals until the process is to end at once. SIGHUP asks for the settings to be read again.
///
/// # Errors
/// When signals cannot be listened to.
pub async fn follow(mode: SignalMode, shutdown: &Shutdown, reload: &Arc<Notify>) -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut hup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            () = next(&mut hup) => reload.notify_one(),
            () = next(&mut quit) => {
                info!("no more jobs are taken; those that run go on");
                shutdown.drain();
            }
            () = ask(&mut term, &mut int) => match (mode, shutdown.is_draining(), shutdown.is_forced()) {
                (SignalMode::Tasuki, false, _) => {
                    info!("no more jobs are taken; those that run go on. Once more ends them");
                    shutdown.drain();
                }
                (SignalMode::Tasuki, true, false) | (SignalMode::Gitlab, _, false) => {
                    warn!("running jobs are ended. Once more ends at once");
                    shutdown.force();
                }
                (_, _, true) => return Ok(()),
            },
        }
    }
}

async fn ask(term: &mut Signal, int: &mut Signal) {
    tokio::select! {
        () = next(term) => {}
        () = next(int) => {}
    }
}

/// The next signal; never, where the listener is gone.
async fn next(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}
