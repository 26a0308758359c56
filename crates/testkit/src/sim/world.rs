//! The simulated world: time, events, and their order.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tasuki_model::id::{PipelineId, ProjectId};
use tasuki_model::time::Timestamp;
use tasuki_rt::{Clock, Tasks};
use tasuki_server::scheduler::{Scheduler, Settings};
use tasuki_store::{DbUrl, Store, projects};

use super::ledger::{Ledger, Tally};
use super::network::Message;
use super::random::Random;
use super::runner::Runner;

/// The simulation's first instant.
const START_MS: i64 = 1_800_000_000_000;
/// Lines of history that a failure shows.
const HISTORY: usize = 60;
/// How long everything may take once there are no more faults.
const PATIENCE: Duration = Duration::from_hours(72);

/// An invariant that did not hold.
#[derive(Debug)]
pub struct Broken {
    pub seed: u64,
    pub what: String,
    /// What happened before, newest last.
    pub history: Vec<String>,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub seed: u64,
    pub hours: u64,
    pub tally: Tally,
}

/// Something that happens at a time.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A runner asks for work.
    Poll {
        runner: usize,
        life: u64,
    },
    /// A runner shows that it lives.
    Contact {
        runner: usize,
        life: u64,
        run: u64,
    },
    /// A job's script has ended on its runner.
    Done {
        runner: usize,
        life: u64,
        run: u64,
    },
    /// A runner reports, again if need be.
    Report {
        runner: usize,
        life: u64,
        run: u64,
    },
    /// A message arrives late, or once more.
    Arrival(Message),
    Revive {
        runner: usize,
    },
    People,
    /// The servers' timers.
    Tick,
    Flush,
    Sweep,
    Restart,
    /// Another server joins, or leaves.
    Scale,
}

pub(super) struct Sim {
    pub(super) random: Random,
    pub(super) clock: Clock,
    pub(super) store: Store,
    pub(super) servers: Vec<Scheduler>,
    pub(super) tasks: Tasks,
    pub(super) runners: Vec<Runner>,
    pub(super) projects: Vec<ProjectId>,
    pub(super) ledger: Ledger,
    pub(super) tally: Tally,
    /// Pipelines that this event may have changed.
    pub(super) touched: Vec<PipelineId>,
    /// Faults happen.
    pub(super) stormy: bool,
    queue: BTreeMap<(i64, u64), Event>,
    next: u64,
    history: VecDeque<String>,
}

/// Runs `hours` of simulated time with faults, then lets everything end.
///
/// # Errors
/// The first invariant that does not hold, with what led to it.
pub fn run(seed: u64, hours: u64) -> Result<Report, Box<Broken>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| broken(seed, &error))?;
    runtime.block_on(async {
        let mut sim = Sim::new(seed).await.map_err(|error| broken(seed, &error))?;
        match sim.live(hours).await {
            Ok(()) => Ok(Report {
                seed,
                hours,
                tally: sim.tally.clone(),
            }),
            Err(what) => Err(Box::new(Broken {
                seed,
                what,
                history: sim.history.into(),
            })),
        }
    })
}

fn broken(seed: u64, error: &dyn std::fmt::Display) -> Box<Broken> {
    Box::new(Broken {
        seed,
        what: error.to_string(),
        history: Vec::new(),
    })
}

impl Sim {
    async fn new(seed: u64) -> anyhow::Result<Self> {
        let mut random = Random::new(seed);
        let store = Store::open(&DbUrl::Memory)?;
        let clock = Clock::manual(START_MS);
        let tasks = Tasks::new();
        let now = Timestamp(clock.now_ms());
        let projects = store
            .write(move |tx| {
                (0..3)
                    .map(|i| {
                        let path = format!("sim/p{i}");
                        let new = projects::NewProject {
                            path: &path,
                            name: &path,
                            kind: "local",
                            url: "/nowhere",
                            default_branch: "main",
                            settings_json: "{}",
                        };
                        projects::create(tx, &new, now)
                    })
                    .collect()
            })
            .await?;
        let runners = (0..5).map(|i| Runner::new(i, &mut random)).collect();
        let first = Scheduler::open_still(store.clone(), clock.clone(), tasks.clone(), Settings::default()).await?;
        Ok(Self {
            random,
            clock,
            store,
            servers: vec![first],
            tasks,
            runners,
            projects,
            ledger: Ledger::default(),
            tally: Tally::default(),
            touched: Vec::new(),
            stormy: true,
            queue: BTreeMap::new(),
            next: 0,
            history: VecDeque::new(),
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_ms())
    }

    /// Lets `event` happen `delay_ms` from now.
    pub(super) fn plan(&mut self, delay_ms: i64, event: Event) {
        self.next += 1;
        self.queue.insert((self.now().0 + delay_ms.max(0), self.next), event);
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if self.history.len() >= HISTORY {
            self.history.pop_front();
        }
        let at = self.now().0 - START_MS;
        let line = line();
        self.history
            .push_back(format!("{:>12.3} s  {line}", at as f64 / 1000.0));
    }

    /// One of the servers: the messages of one runner may reach any of them.
    pub(super) fn server(&mut self) -> Scheduler {
        let at = self.random.below(self.servers.len());
        self.servers[at].clone()
    }

    async fn live(&mut self, hours: u64) -> Result<(), String> {
        for runner in 0..self.runners.len() {
            self.plan(0, Event::Poll { runner, life: 0 });
        }
        self.plan(1000, Event::People);
        self.plan(2000, Event::Flush);
        self.plan(60_000, Event::Sweep);
        let restart = self.random.between(60_000, 7_200_000);
        self.plan(restart, Event::Restart);
        let scale = self.random.between(600_000, 14_400_000);
        self.plan(scale, Event::Scale);
        let end = START_MS + i64::try_from(hours).unwrap_or(1) * 3_600_000;
        while self.now().0 < end {
            self.step().await?;
        }
        self.calm_down().await?;
        self.check_everything().await
    }

    /// No more faults: everything that was promised must come to its end.
    async fn calm_down(&mut self) -> Result<(), String> {
        self.note(|| "no more faults".to_owned());
        self.stormy = false;
        self.join_servers().await?;
        for runner in 0..self.runners.len() {
            self.revive(runner);
        }
        let limit = self.now().after(PATIENCE);
        while !self.all_done().await? {
            if self.now() > limit {
                return Err(self.unfinished().await?);
            }
            let until = self.now().after(Duration::from_mins(10));
            while self.now() < until {
                self.step().await?;
            }
            self.play_all().await?;
        }
        Ok(())
    }

    async fn step(&mut self) -> Result<(), String> {
        let due = self.servers.iter().filter_map(Scheduler::next_due).min();
        let planned = self.queue.keys().next().map(|(at, _)| *at);
        let tick = due
            .map(|at| at.0.max(self.now().0))
            .filter(|at| planned.is_none_or(|planned| *at <= planned));
        let event = match tick {
            Some(at) => {
                self.turn_to(at);
                Event::Tick
            }
            None => match self.queue.pop_first() {
                Some(((at, _), event)) => {
                    self.turn_to(at);
                    event
                }
                None => return Err("nothing is left to happen".to_owned()),
            },
        };
        self.tally.events += 1;
        self.happen(event).await?;
        self.check_touched().await
    }

    fn turn_to(&self, at: i64) {
        let ahead = at - self.now().0;
        if ahead > 0 {
            self.clock.advance(Duration::from_millis(ahead.unsigned_abs()));
        }
    }

    async fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Poll { runner, life } => self.poll(runner, life).await,
            Event::Contact { runner, life, run } => self.contact(runner, life, run).await,
            Event::Done { runner, life, run } => self.done(runner, life, run),
            Event::Report { runner, life, run } => self.report(runner, life, run).await,
            Event::Arrival(message) => {
                self.note(|| format!("late or doubled: {message:?}"));
                self.serve(message).await.map(|_| ())
            }
            Event::Revive { runner } => {
                self.revive(runner);
                Ok(())
            }
            Event::People => {
                let delay = self.random.between(5_000, 1_200_000);
                self.plan(delay, Event::People);
                if self.stormy { self.people().await } else { Ok(()) }
            }
            Event::Tick => self.tick().await,
            Event::Flush => {
                // What one server hears the other must learn within a lease.
                let pause = if self.servers.len() > 1 { 2_000 } else { 20_000 };
                self.plan(pause, Event::Flush);
                for server in self.servers.clone() {
                    server.flush_contacts().await.map_err(shown)?;
                }
                Ok(())
            }
            Event::Sweep => {
                self.plan(600_000, Event::Sweep);
                let ids: Vec<PipelineId> = self.open_pipelines();
                self.touched.extend(ids);
                let server = self.server();
                server.sweep().await.map_err(shown)
            }
            Event::Restart => {
                let delay = self.random.between(60_000, 7_200_000);
                self.plan(delay, Event::Restart);
                if self.stormy { self.restart().await } else { Ok(()) }
            }
            Event::Scale => {
                let delay = self.random.between(600_000, 14_400_000);
                self.plan(delay, Event::Scale);
                if self.servers.len() > 1 {
                    self.join_servers().await
                } else if !self.stormy {
                    Ok(())
                } else {
                    self.note(|| "a second server joins".to_owned());
                    let second = self.open().await?;
                    self.servers.push(second);
                    self.plan(0, Event::Flush);
                    Ok(())
                }
            }
        }
    }

    async fn tick(&mut self) -> Result<(), String> {
        let open = self.open_pipelines();
        self.touched.extend(open);
        for server in self.servers.clone() {
            server.tick().await.map_err(shown)?;
        }
        let now = self.now();
        if self.servers.iter().filter_map(Scheduler::next_due).any(|at| at <= now) {
            return Err("after a tick something is still due".to_owned());
        }
        Ok(())
    }

    async fn open(&self) -> Result<Scheduler, String> {
        let (store, clock, tasks) = (self.store.clone(), self.clock.clone(), self.tasks.clone());
        Scheduler::open_still(store, clock, tasks, Settings::default())
            .await
            .map_err(shown)
    }

    /// kill -9 of every server and start: all that was in memory is gone.
    pub(super) async fn restart(&mut self) -> Result<(), String> {
        self.note(|| "servers restart".to_owned());
        self.tally.restarts += 1;
        for at in 0..self.servers.len() {
            self.servers[at] = self.open().await?;
        }
        self.hear_all();
        Ok(())
    }

    /// Back to one server, which knows everything.
    async fn join_servers(&mut self) -> Result<(), String> {
        self.note(|| "one server only".to_owned());
        self.servers = vec![self.open().await?];
        self.hear_all();
        Ok(())
    }

    /// A server that starts gives every lease anew.
    fn hear_all(&mut self) {
        let now = self.now();
        for heard in self.ledger.heard.values_mut() {
            *heard = now;
        }
    }

    pub(super) fn open_pipelines(&self) -> Vec<PipelineId> {
        self.ledger
            .pipelines
            .iter()
            .filter(|(_, made)| !made.done)
            .map(|(id, _)| *id)
            .collect()
    }
}

pub(super) fn shown(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
