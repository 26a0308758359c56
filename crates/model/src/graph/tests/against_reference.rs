//! Random graphs, random events: the incremental graph and the slow one must always agree.

use super::reference::Reference;
use super::*;

/// A small generator, so that a failing case is one number.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

fn random_job(random: &mut Random, i: usize) -> String {
    let stage = random.below(4);
    let when = random.pick(&["", "", "", "on_failure", "always", "manual", "manual", "delay"]);
    let flags = random.pick(&["", "", "allow", "codes"]);
    let work = random.pick(&["", "", "", "", "nothing", "resource"]);
    let workflow = random.pick(&["wf=0", "wf=0", "wf=1"]);
    let needs = match random.below(3) {
        0 => {
            let mut list: Vec<String> = (0..random.below(4))
                .map(|_| random.below(i.max(1)).to_string())
                .collect();
            list.sort();
            list.dedup();
            format!("needs={}", if i == 0 { String::new() } else { list.join(",") })
        }
        _ => String::new(),
    };
    format!("{stage} {when} {flags} {work} {workflow} {needs}")
}

fn check(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let texts: Vec<String> = (0..1 + random.below(14)).map(|i| random_job(&mut random, i)).collect();
    let jobs: Vec<_> = texts.iter().map(|text| (spec(text), job::State::Created)).collect();
    let mut slow = Reference { jobs: jobs.clone() };
    let mut graph = Graph::new(jobs);
    let mut history = Vec::new();
    for _ in 0..60 {
        graph.settle(NOW, &mut AlwaysTrue).unwrap();
        slow.settle();
        let before: Vec<_> = slow.jobs.iter().map(|(_, state)| state.clone()).collect();
        let same = graph.indices().all(|node| *graph.state(node) == before[node.at()]);
        assert!(
            same,
            "seed {seed}\n{texts:#?}\n{history:?}\nfast {graph:#?}\nslow {before:#?}"
        );
        assert_eq!(graph.status(), slow.status(), "seed {seed} {history:?}");
        // A graph loaded now must be where this one is.
        if random.below(10) == 0 {
            graph = Graph::new(slow.jobs.clone());
        }
        let node = NodeIndex(random.below(texts.len()) as u32);
        let what = random.pick(&[
            "run", "ok", "ok", "ok", "fail", "fail7", "cancel", "play", "retry", "acquire",
        ]);
        // Who waits does not end by itself.
        let waits = matches!(
            graph.state(node),
            job::State::Created | job::State::Manual { .. } | job::State::Scheduled { .. }
        );
        if waits && matches!(what, "ok" | "fail" | "fail7") {
            continue;
        }
        if act(&mut graph, node, what).is_err() {
            continue;
        }
        history.push(format!("{}:{what}", node.0));
        slow.jobs[node.at()].1 = graph.state(node).clone();
        if matches!(what, "play" | "retry") {
            slow.reset_after(node.at());
        }
    }
}

#[test]
fn agrees_with_the_slow_one() {
    for seed in 0..4_000 {
        check(seed);
    }
}
