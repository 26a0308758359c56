//! Messages between runners and servers, and what becomes of them.

use tasuki_model::id::{RunnerId, TaskId};
use tasuki_model::state::task::Log;
use tasuki_model::state::{Outcome, Status};
use tasuki_server::scheduler::{ClaimedTask, Error, Reported};

use super::world::{Event, Sim, shown};

/// What a runner sends.
#[derive(Debug, Clone)]
pub(super) enum Message {
    Claim {
        runner: usize,
    },
    Ack {
        runner: RunnerId,
        task: TaskId,
        hash: String,
    },
    Touch {
        task: TaskId,
        hash: String,
    },
    Report {
        runner: RunnerId,
        task: TaskId,
        hash: String,
        outcome: Outcome,
        log: Log,
    },
}

/// What comes back.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Task(Option<Box<ClaimedTask>>),
    Status(Status),
    Reported(Reported),
    /// Not the runner's task (any more): stop.
    Refused,
    /// No answer came.
    Silence,
}

impl Sim {
    /// Sends a message over the network.
    pub(super) async fn send(&mut self, message: Message) -> Result<Reply, String> {
        if !self.stormy {
            return self.serve(message).await;
        }
        match self.random.below(1000) {
            // Never arrives.
            0..15 => {
                self.tally.lost += 1;
                self.note(|| format!("lost: {message:?}"));
                Ok(Reply::Silence)
            }
            // Arrives; the answer does not.
            15..30 => {
                self.tally.lost += 1;
                self.note(|| format!("answer lost: {message:?}"));
                self.serve(message).await?;
                Ok(Reply::Silence)
            }
            // Arrives twice; the first answer is lost.
            30..45 => {
                self.tally.doubled += 1;
                self.serve(message.clone()).await?;
                self.check_touched().await?;
                self.note(|| format!("doubled: {message:?}"));
                self.serve(message).await
            }
            // Arrives once more, much later.
            45..55 => {
                self.tally.doubled += 1;
                let delay = self.random.between(10, 600_000);
                self.plan(delay, Event::Arrival(message.clone()));
                self.serve(message).await
            }
            // Arrives late; the sender has given up by then.
            55..65 => {
                self.tally.delayed += 1;
                let delay = self.random.between(10, 60_000);
                self.plan(delay, Event::Arrival(message));
                Ok(Reply::Silence)
            }
            // The server dies before, or after, it.
            65..67 => {
                self.restart().await?;
                Ok(Reply::Silence)
            }
            67..69 => {
                self.serve(message).await?;
                self.check_touched().await?;
                self.restart().await?;
                Ok(Reply::Silence)
            }
            _ => self.serve(message).await,
        }
    }

    /// What the server does with a message.
    pub(super) async fn serve(&mut self, message: Message) -> Result<Reply, String> {
        let server = self.server();
        match message {
            Message::Claim { runner } => {
                let who = self.runners[runner].identity.clone();
                let before = self.before_claim(&who).await?;
                if self.servers.len() > 1 {
                    server.resync().await.map_err(shown)?;
                }
                let claimed = server.claim(&who, std::time::Duration::ZERO).await.map_err(shown)?;
                if let Some(task) = &claimed {
                    self.tally.claims += 1;
                    self.touched.push(task.pipeline);
                    let now = self.now();
                    self.ledger.heard.insert(task.id, now);
                }
                self.check_claim(before, claimed.as_ref())?;
                Ok(Reply::Task(claimed.map(Box::new)))
            }
            Message::Ack { runner, task, hash } => {
                let answer = server.ack(task, &hash).await;
                if let Ok(Status::Running) = answer {
                    self.check_holder(task, runner).await?;
                    self.touch_pipeline_of(task).await?;
                }
                self.answer(answer, task)
            }
            Message::Touch { task, hash } => {
                let answer = server.touch(task, &hash).await;
                // A sign of life changes nothing, which is looked at now and then.
                if self.random.percent(3) {
                    self.touch_pipeline_of(task).await?;
                }
                self.answer(answer, task)
            }
            Message::Report {
                runner,
                task,
                hash,
                outcome,
                log,
            } => match server.finish(task, &hash, outcome, log).await {
                Ok(reported) => {
                    self.touch_pipeline_of(task).await?;
                    if matches!(reported, Reported::LogMissing { .. }) {
                        let now = self.now();
                        self.ledger.heard.insert(task, now);
                    }
                    if let Reported::Accepted(status) = reported {
                        self.tally.accepted += 1;
                        self.accept(task, runner, status).await?;
                    }
                    Ok(Reply::Reported(reported))
                }
                Err(Error::NotYours(_)) => {
                    self.tally.refused += 1;
                    Ok(Reply::Refused)
                }
                Err(error) => Err(shown(error)),
            },
        }
    }

    fn answer(&mut self, answer: Result<Status, Error>, task: TaskId) -> Result<Reply, String> {
        match answer {
            Ok(status) => {
                let now = self.now();
                self.ledger.heard.insert(task, now);
                Ok(Reply::Status(status))
            }
            Err(Error::NotYours(_)) => {
                self.tally.refused += 1;
                Ok(Reply::Refused)
            }
            Err(error) => Err(shown(error)),
        }
    }
}
