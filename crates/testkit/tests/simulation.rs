//! Scheduler and store under a simulated clock with seeded faults.
//!
//! `cargo test -p tasuki-testkit --test simulation` runs 100 simulated hours, `… -- --seeds 40` the 1,000 of the heavy
//! suite; `… -- --seed N` repeats one run, `--hours H` makes them longer.

#![expect(
    clippy::print_stdout,
    reason = "a test target without the usual harness prints its own result"
)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tasuki_testkit::sim;

/// Hours of each run, and runs, where nothing else is said.
const HOURS: u64 = 25;
const SEEDS: u64 = 4;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    // Tools that list tests, or filter them by name, find one test here.
    if arguments.iter().any(|argument| argument == "--list") {
        println!("simulation: test");
        return ExitCode::SUCCESS;
    }
    let hours = number("--hours").unwrap_or(HOURS);
    let (first, count) = match number("--seed") {
        Some(seed) => (seed, 1),
        None => (1, number("--seeds").unwrap_or(SEEDS)),
    };
    simulate(first, count, hours)
}

fn simulate(first: u64, count: u64, hours: u64) -> ExitCode {
    let start = Instant::now();
    let next = AtomicU64::new(first);
    let broken = AtomicU64::new(0);
    let totals = std::sync::Mutex::new((0_u64, 0_u64, 0_u64));
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    match sim::run(seed, hours) {
                        Ok(report) => {
                            if count == 1 {
                                println!("{:#?}", report.tally);
                            }
                            if let Ok(mut totals) = totals.lock() {
                                totals.0 += report.tally.events;
                                totals.1 += report.tally.accepted;
                                totals.2 += report.tally.restarts;
                            }
                        }
                        Err(failed) => {
                            broken.fetch_add(1, Ordering::Relaxed);
                            show(&failed, hours);
                        }
                    }
                }
            });
        }
    });
    let (events, accepted, restarts) = totals.into_inner().unwrap_or_default();
    let broken = broken.into_inner();
    println!(
        "simulation: {} hours, {events} events, {accepted} results accepted, {restarts} restarts, {broken} of {count} \
         seeds broken, {:.1} s",
        hours * count,
        start.elapsed().as_secs_f64(),
    );
    if broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn show(failed: &sim::Broken, hours: u64) {
    let seed = failed.seed;
    for line in &failed.history {
        println!("{line}");
    }
    println!("seed {seed} broke: {}", failed.what);
    println!("to repeat it: cargo test -p tasuki-testkit --test simulation -- --seed {seed} --hours {hours}");
}
