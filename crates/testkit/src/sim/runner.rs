//! Simulated runners: what a runner does, and how it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tasuki_model::id::RunnerId;
use tasuki_model::labels::{EXTENSION, Intake, Offer, Refs, Scope, Untagged};
use tasuki_model::reason::FailureReason;
use tasuki_model::state::task::{Commit, Log};
use tasuki_model::state::{Failure, Outcome, Status};
use tasuki_server::scheduler::{ClaimedTask, Reported, RunnerIdentity};

use super::network::{Message, Reply};
use super::random::Random;
use super::world::{Event, Sim};

pub(super) struct Runner {
    pub(super) identity: RunnerIdentity,
    /// Counts up when it dies: what its former life had planned does not happen.
    life: u64,
    alive: bool,
    slots: usize,
    runs: BTreeMap<u64, Run>,
    next: u64,
}

struct Run {
    task: ClaimedTask,
    hash: String,
    acknowledged: bool,
    canceled: bool,
    outcome: Option<Outcome>,
}

impl Runner {
    pub(super) fn new(i: usize, random: &mut Random) -> Self {
        let ours = i < 3;
        let tags: &[&str] = match i {
            0 => &[],
            1 => &["linux"],
            2 => &["linux", "gpu"],
            _ => &["linux", "docker"],
        };
        Self {
            identity: RunnerIdentity {
                runner: RunnerId(i as i64 + 1),
                system_id: format!("s_{i}"),
                offer: Arc::new(Offer {
                    tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
                    untagged: if i == 2 { Untagged::Refuse } else { Untagged::Run },
                    refs: Refs::All,
                    scope: Scope::Instance,
                    resource_class: None,
                    features: if ours {
                        BTreeSet::from([EXTENSION.to_owned()])
                    } else {
                        BTreeSet::new()
                    },
                    intake: Intake::Open,
                }),
                commit: if i == 4 { Commit::OnePhase } else { Commit::TwoPhase },
                cancels_gracefully: i != 4,
                keeps_contact: ours,
            },
            life: 0,
            alive: true,
            slots: 1 + random.below(3),
            runs: BTreeMap::new(),
            next: 0,
        }
    }

    fn lives(&self, life: u64) -> bool {
        self.alive && self.life == life
    }

    /// Time between two signs of life.
    fn beat_ms(&self) -> i64 {
        if self.identity.keeps_contact { 3_000 } else { 30_000 }
    }
}

pub(super) fn digest(token: &str) -> String {
    Sha256::digest(token.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl Sim {
    pub(super) async fn poll(&mut self, at: usize, life: u64) -> Result<(), String> {
        if !self.runners[at].lives(life) {
            return Ok(());
        }
        if self.stormy && self.random.permille(2) {
            self.die(at);
            return Ok(());
        }
        let mut pause = self.random.between(500, 150_000);
        if self.runners[at].runs.len() < self.runners[at].slots {
            let reply = self.send(Message::Claim { runner: at }).await?;
            if let Reply::Task(Some(task)) = reply {
                pause = self.random.between(1, 50);
                self.begin(at, *task);
            }
        }
        self.plan(pause, Event::Poll { runner: at, life });
        Ok(())
    }

    fn begin(&mut self, at: usize, task: ClaimedTask) {
        self.note(|| format!("runner {at} got task {} (attempt {})", task.id, task.attempt));
        let runner = &mut self.runners[at];
        runner.next += 1;
        let (run, life) = (runner.next, runner.life);
        let acknowledged = runner.identity.commit == Commit::OnePhase;
        runner.runs.insert(
            run,
            Run {
                hash: digest(task.token.expose()),
                task,
                acknowledged,
                canceled: false,
                outcome: None,
            },
        );
        self.plan(1, Event::Contact { runner: at, life, run });
        let work = match self.random.below(20) {
            0..12 => self.random.between(10, 5_000),
            12..19 => self.random.between(5_000, 120_000),
            _ => self.random.between(120_000, 1_800_000),
        };
        self.plan(work, Event::Done { runner: at, life, run });
    }

    /// The first word about a task, and all later signs of life.
    pub(super) async fn contact(&mut self, at: usize, life: u64, run: u64) -> Result<(), String> {
        if !self.runners[at].lives(life) {
            return Ok(());
        }
        if self.stormy && self.random.permille(1) {
            self.die(at);
            return Ok(());
        }
        let runner = self.runners[at].identity.runner;
        let Some(this) = self.runners[at].runs.get(&run) else {
            return Ok(());
        };
        let (task, hash, acknowledged) = (this.task.id, this.hash.clone(), this.acknowledged);
        let frozen = self.stormy && self.random.permille(if acknowledged { 2 } else { 40 });
        if frozen {
            // Swapped out, suspended, cut off: it comes back and believes nothing has happened.
            self.tally.freezes += 1;
            let pause = self.random.between(5_000, 400_000);
            self.note(|| format!("runner {at} freezes for {pause} ms"));
            self.plan(pause, Event::Contact { runner: at, life, run });
            return Ok(());
        }
        let message = if acknowledged {
            Message::Touch { task, hash }
        } else {
            Message::Ack { runner, task, hash }
        };
        match self.send(message).await? {
            Reply::Refused => self.abandon(at, run),
            Reply::Status(status) => self.told(at, life, run, status),
            Reply::Task(_) | Reply::Reported(_) | Reply::Silence => {}
        }
        let beat = self.runners[at].beat_ms();
        self.plan(beat, Event::Contact { runner: at, life, run });
        Ok(())
    }

    fn told(&mut self, at: usize, life: u64, run: u64, status: Status) {
        let cleanup = self.random.between(10, 5_000);
        let Some(this) = self.runners[at].runs.get_mut(&run) else {
            return;
        };
        this.acknowledged = true;
        if status == Status::Canceling && !this.canceled {
            this.canceled = true;
            self.plan(cleanup, Event::Done { runner: at, life, run });
        }
    }

    /// The script has ended.
    pub(super) fn done(&mut self, at: usize, life: u64, run: u64) -> Result<(), String> {
        let roll = self.random.below(100);
        if !self.runners[at].lives(life) {
            return Ok(());
        }
        let Some(this) = self.runners[at].runs.get_mut(&run) else {
            return Ok(());
        };
        if this.outcome.is_some() {
            return Ok(());
        }
        let fail = |reason, exit_code| Outcome::Failed(Failure { reason, exit_code });
        this.outcome = Some(match roll {
            _ if this.canceled => fail(FailureReason::JobCanceled, None),
            0..80 => Outcome::Success,
            80..92 => fail(FailureReason::ScriptFailure, Some(i32::from(roll as u8 % 4) + 1)),
            92..95 => fail(FailureReason::RunnerSystemFailure, None),
            95..97 => fail(FailureReason::JobExecutionTimeout, None),
            _ => fail(FailureReason::RunnerInterrupted, None),
        });
        self.plan(1, Event::Report { runner: at, life, run });
        Ok(())
    }

    pub(super) async fn report(&mut self, at: usize, life: u64, run: u64) -> Result<(), String> {
        if !self.runners[at].lives(life) {
            return Ok(());
        }
        let log = if self.random.percent(10) {
            Log::Incomplete
        } else {
            Log::Complete
        };
        let runner = self.runners[at].identity.runner;
        let Some(this) = self.runners[at].runs.get(&run) else {
            return Ok(());
        };
        let Some(outcome) = this.outcome.clone() else {
            return Ok(());
        };
        let message = Message::Report {
            runner,
            task: this.task.id,
            hash: this.hash.clone(),
            outcome,
            log,
        };
        match self.send(message).await? {
            Reply::Reported(Reported::LogMissing { .. }) | Reply::Silence => {
                self.plan(1_000, Event::Report { runner: at, life, run });
            }
            Reply::Reported(Reported::Accepted(_) | Reported::Already(_)) | Reply::Refused => self.abandon(at, run),
            Reply::Task(_) | Reply::Status(_) => {}
        }
        Ok(())
    }

    fn abandon(&mut self, at: usize, run: u64) {
        self.runners[at].runs.remove(&run);
    }

    /// kill -9: it forgets everything, and comes back some time.
    fn die(&mut self, at: usize) {
        self.note(|| format!("runner {at} dies"));
        self.tally.deaths += 1;
        let runner = &mut self.runners[at];
        runner.alive = false;
        runner.life += 1;
        runner.runs.clear();
        let pause = self.random.between(1_000, 1_200_000);
        self.plan(pause, Event::Revive { runner: at });
    }

    pub(super) fn revive(&mut self, at: usize) {
        if self.runners[at].alive {
            return;
        }
        self.note(|| format!("runner {at} is back"));
        self.runners[at].alive = true;
        let life = self.runners[at].life;
        self.plan(0, Event::Poll { runner: at, life });
    }
}
