//! What may end a job from outside: cancel, refusal, silence, time limit, stop of the runner.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tasuki_model::reason::FailureReason;
use tasuki_rt::CancellationToken;
use tokio::sync::watch;

use super::failure::Failure;
use crate::config::show_duration;
use crate::executor::Stop;
use crate::trace::Contact;

/// How the runner's process ends. Shared by all jobs.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    force: CancellationToken,
}

impl Shutdown {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes no more jobs; those that run end by themselves.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Ends running jobs too (`runner_interrupted`).
    pub fn force(&self) {
        self.drain.cancel();
        self.force.cancel();
    }

    /// Whether no more jobs are taken.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Whether running jobs are being ended.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        self.force.is_cancelled()
    }

    /// Resolves when no more jobs are to be taken.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Resolves when running jobs are to end.
    pub async fn forced(&self) {
        self.force.cancelled().await;
    }
}

/// Why a job was stopped; the first cause stays, but that the server does not want it any more beats all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Cause {
    Canceled = 1,
    TimedOut = 2,
    Interrupted = 3,
    Aborted = 4,
    Lost = 5,
}

/// The levers of one job.
#[derive(Debug, Clone)]
pub(super) struct Control {
    /// Ends everything.
    all: Stop,
    /// Ends the user's scripts only.
    user: Stop,
    cause: Arc<AtomicU8>,
    timeout: Duration,
}

impl Control {
    pub(super) fn new(timeout: Duration) -> Self {
        let all = Stop::new();
        Self {
            user: all.child(),
            all,
            cause: Arc::new(AtomicU8::new(0)),
            timeout,
        }
    }

    /// For commands that run also after a cancel.
    pub(super) fn all(&self) -> Stop {
        self.all.clone()
    }

    /// For the user's scripts.
    pub(super) fn user(&self) -> Stop {
        self.user.clone()
    }

    pub(super) fn cause(&self) -> Option<Cause> {
        match self.cause.load(Ordering::SeqCst) {
            1 => Some(Cause::Canceled),
            2 => Some(Cause::TimedOut),
            3 => Some(Cause::Interrupted),
            4 => Some(Cause::Aborted),
            5 => Some(Cause::Lost),
            _ => None,
        }
    }

    /// Whether nothing more may run but the clean-up.
    pub(super) fn is_over(&self) -> bool {
        self.all.is_pulled()
    }

    /// The failure of something that was stopped.
    pub(super) fn failure(&self) -> Failure {
        match self.cause() {
            Some(Cause::TimedOut) => Failure::job(
                FailureReason::JobExecutionTimeout,
                format!("execution took longer than {} seconds", show_duration(self.timeout)),
            ),
            Some(Cause::Interrupted) => Failure {
                system: true,
                ..Failure::job(FailureReason::RunnerInterrupted, "the runner was shut down")
            },
            Some(Cause::Lost) => Failure::system("the server was out of reach for longer than the job's lease"),
            Some(Cause::Canceled | Cause::Aborted) | None => Failure::job(FailureReason::JobCanceled, "canceled"),
        }
    }

    /// Pulls the levers as the world asks. Ends when everything is stopped, or never.
    pub(super) async fn watch(&self, mut contact: watch::Receiver<Contact>, shutdown: &Shutdown) {
        let deadline = tokio::time::sleep(self.timeout);
        tokio::pin!(deadline);
        let (mut forced, mut late) = (false, false);
        loop {
            tokio::select! {
                heard = heard(&mut contact) => match heard {
                    Contact::Good => {}
                    Contact::CancelGracefully => {
                        self.because(Cause::Canceled);
                        self.user.graceful();
                    }
                    Contact::Abort => {
                        self.because(Cause::Aborted);
                        return self.all.force();
                    }
                    Contact::Lost => {
                        self.because(Cause::Lost);
                        return self.all.force();
                    }
                },
                () = shutdown.forced(), if !forced => {
                    forced = true;
                    self.because(Cause::Interrupted);
                    self.all.graceful();
                }
                () = &mut deadline, if !late => {
                    late = true;
                    self.because(Cause::TimedOut);
                    self.all.graceful();
                }
            }
        }
    }

    fn because(&self, new: Cause) {
        let keep_first = |old: u8| match new {
            Cause::Aborted | Cause::Lost => Some(new as u8),
            Cause::Canceled | Cause::TimedOut | Cause::Interrupted => (old == 0 || old == 1).then_some(new as u8),
        };
        // An error only says that the old cause stays.
        let _ = self.cause.fetch_update(Ordering::SeqCst, Ordering::SeqCst, keep_first);
    }
}

/// The next news; never, once the uploader is gone.
async fn heard(contact: &mut watch::Receiver<Contact>) -> Contact {
    if contact.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
    *contact.borrow_and_update()
}
