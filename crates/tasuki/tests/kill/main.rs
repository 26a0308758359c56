//! Real processes, really killed: a server and a runner lose their lives by `kill -9` in mid-job, again and again.
//!
//! Three projects build at once, so that a kill meets jobs in every stage: being claimed, checked out, run, reported.
//! After each cycle: every pipeline is green; every job has exactly one accepted success; no task was ever started
//! twice, and the accepted one ran to its end; its log holds every line exactly once and in order; no process, no
//! build file and no temporary file of a job is left.
//!
//! `cargo test -p tasuki --test kill -- --ignored --nocapture`; `KILL_CYCLES=200 KILL_SEED=7` for more or again.

mod witness;
mod world;

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use world::World;

const CYCLES: u64 = 50;
/// Lines of a job's log.
const LINES: usize = 150;
/// A killed runner's jobs are given to the next one after the lease; then they run again.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy)]
enum Victim {
    Server,
    /// Killed again while it comes back.
    ServerTwice,
    Runner,
    Both,
}

impl Victim {
    fn roll(dice: &mut StdRng) -> Self {
        match dice.random_range(0..10) {
            0..=3 => Self::Server,
            4..=5 => Self::ServerTwice,
            6..=8 => Self::Runner,
            _ => Self::Both,
        }
    }

    fn falls(self, world: &mut World, dice: &mut StdRng) {
        match self {
            Self::Server => world.kill_server(),
            Self::ServerTwice => {
                world.kill_server();
                world.start_what_is_dead();
                std::thread::sleep(Duration::from_millis(dice.random_range(0..400)));
                world.kill_server();
            }
            Self::Runner => world.kill_runner(),
            Self::Both => {
                world.kill_server();
                world.kill_runner();
            }
        }
    }
}

/// The promise behind "nothing lost, nothing doubled, nothing left".
#[test]
#[ignore = "heavy: minutes of real processes; run by `cargo xtask test heavy`"]
fn heavy_kill_nine_loses_nothing_doubles_nothing_leaves_nothing() {
    let number = |name: &str, default: u64| {
        std::env::var_os(name)
            .and_then(|text| text.to_str()?.parse().ok())
            .unwrap_or(default)
    };
    let (cycles, seed) = (number("KILL_CYCLES", CYCLES), number("KILL_SEED", 1));
    println!("KILL_SEED={seed} KILL_CYCLES={cycles}");
    let mut world = World::start(LINES);
    for cycle in 0..cycles {
        // A cycle's dice do not depend on how the ones before went.
        let mut dice = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(cycle));
        let began = Instant::now();
        let victim = Victim::roll(&mut dice);
        let context = format!("cycle {cycle}, {victim:?} killed, KILL_SEED={seed}");
        let pipelines = world.start_pipelines();
        world.wait_until_a_job_runs(&pipelines);
        std::thread::sleep(Duration::from_millis(dice.random_range(0..1500)));
        victim.falls(&mut world, &mut dice);
        world.start_what_is_dead();
        for pipeline in pipelines {
            for job in world.wait_until_finished(pipeline, PATIENCE, &context) {
                check_job(&mut world, &job, &context);
            }
        }
        world.assert_nothing_is_left(&context);
        println!("{context}: green after {:.1} s", began.elapsed().as_secs_f64());
    }
}

fn check_job(world: &mut World, job: &Value, context: &str) {
    let job = &world.job(&job["id"]);
    let tasks = job["tasks"]
        .as_array()
        .unwrap_or_else(|| panic!("{context}: no tasks in {job}"));
    let accepted: Vec<_> = tasks.iter().filter(|task| task["status"] == "success").collect();
    assert_eq!(accepted.len(), 1, "{context}: one accepted result in {tasks:?}");
    for task in tasks {
        let ended = ["success", "failed", "error", "canceled"].contains(&task["status"].as_str().unwrap_or_default());
        assert!(ended, "{context}: {task} is still open");
        let seen = world.witness().of(&task["id"]);
        assert!(
            seen.started <= 1 && seen.ended <= seen.started,
            "{context}: task {task} ran more than once: {seen:?}"
        );
    }
    let seen = world.witness().of(&accepted[0]["id"]);
    assert_eq!((seen.started, seen.ended), (1, 1), "{context}: {}", accepted[0]);
    let log = world.log(&accepted[0]["id"]);
    let lines: Vec<usize> = log
        .lines()
        .filter_map(|line| line.split("kilometre=").nth(1))
        .filter_map(|rest| rest.trim_end().parse().ok())
        .collect();
    let expected: Vec<usize> = (1..=LINES).collect();
    assert_eq!(
        lines, expected,
        "{context}: the log of {} is not whole:\n{log}",
        job["name"]
    );
}
