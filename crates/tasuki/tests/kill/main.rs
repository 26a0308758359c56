//! Real processes, really killed: a server and a runner lose their lives by `kill -9` in mid-job, again and again.
//!
//! After each cycle: the pipeline is green, every job has exactly one accepted success, the log of that attempt
//! holds every line exactly once and in order. At the end no process and no folder of a job is left.
//!
//! `cargo test -p tasuki --test kill -- --ignored --nocapture`; `KILL_CYCLES=200 KILL_SEED=7` for more or again.

mod world;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use world::World;

const LINES: usize = 300;

#[derive(Debug, Clone, Copy)]
enum Victim {
    Server,
    Runner,
    Both,
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
    let (cycles, seed) = (number("KILL_CYCLES", 10), number("KILL_SEED", 1));
    println!("KILL_SEED={seed} KILL_CYCLES={cycles}");
    let mut dice = StdRng::seed_from_u64(seed);
    let mut world = World::start(LINES);
    for cycle in 0..cycles {
        let pipeline = world.start_pipeline();
        world.wait_until_a_job_runs(pipeline);
        std::thread::sleep(Duration::from_millis(dice.random_range(0..1200)));
        let victim = match dice.random_range(0..10) {
            0..=5 => Victim::Server,
            6..=8 => Victim::Runner,
            _ => Victim::Both,
        };
        if matches!(victim, Victim::Server | Victim::Both) {
            world.kill_server();
        }
        if matches!(victim, Victim::Runner | Victim::Both) {
            world.kill_runner();
        }
        world.start_what_is_dead();
        let jobs = world.wait_until_finished(pipeline, Duration::from_secs(90));
        for job in &jobs {
            check_job(
                &mut world,
                job,
                &format!("cycle {cycle}, {victim:?} killed, seed {seed}"),
            );
        }
        println!("cycle {cycle}: {victim:?} killed, pipeline {pipeline} is green");
    }
    world.assert_nothing_is_left();
}

fn check_job(world: &mut World, job: &serde_json::Value, context: &str) {
    let job = &world.job(&job["id"]);
    let tasks = job["tasks"]
        .as_array()
        .unwrap_or_else(|| panic!("{context}: no tasks in {job}"));
    let accepted: Vec<_> = tasks.iter().filter(|task| task["status"] == "success").collect();
    assert_eq!(accepted.len(), 1, "{context}: one accepted result in {tasks:?}");
    for task in tasks {
        let ended = ["success", "failed", "error", "canceled"].contains(&task["status"].as_str().unwrap_or_default());
        assert!(ended, "{context}: {task} is still open");
    }
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
