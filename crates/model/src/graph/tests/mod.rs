//! The rules by example, and against a slow twin that works everything out from scratch.

mod against_reference;
mod examples;
mod reference;

use super::*;
use crate::plan::{AllowFailure, Gate, When};
use crate::reason::FailureReason;
use crate::state::{Failure, Outcome, job};
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp(1_000);

/// A job written as `stage when flags needs`: `0`, `1 on_failure`, `2 manual allow`, `1 needs=0,2`,
/// `1 manual needs=`, `0 delay`, `0 nothing`, `1 needs=0 want=failed`, `0 matrix=0:max=2`.
fn spec(text: &str) -> Spec {
    let mut words = text.split_whitespace();
    let mut spec = Spec {
        workflow: 0,
        stage: words.next().unwrap().parse().unwrap(),
        needs: None,
        when: When::OnSuccess,
        allow_failure: AllowFailure::No,
        gate: None,
        conditional: false,
        resource: false,
        work: Work::Tasks,
        matrix: None,
    };
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "on_failure" => spec.when = When::OnFailure,
            "always" => spec.when = When::Always,
            "manual" => spec.when = When::Manual,
            "delay" => {
                spec.when = When::Delayed;
                spec.gate = Some(Gate::Delay { seconds: 60 });
            }
            "allow" => spec.allow_failure = AllowFailure::Flag(true),
            "codes" => spec.allow_failure = AllowFailure::ExitCodes { exit_codes: vec![7] },
            "nothing" => spec.work = Work::Nothing,
            "resource" => spec.resource = true,
            "cond" => spec.conditional = true,
            "wf" => spec.workflow = value.parse().unwrap(),
            "needs" => {
                spec.needs = Some(
                    value
                        .split(',')
                        .filter(|n| !n.is_empty())
                        .map(|n| Edge {
                            need: NodeIndex(n.parse().unwrap()),
                            wanted: Vec::new(),
                        })
                        .collect(),
                );
            }
            "want" => {
                for edge in spec.needs.as_mut().unwrap() {
                    edge.wanted = value.split(',').map(|w| Wanted::parse(w).unwrap()).collect();
                }
            }
            "matrix" | "fast" => {
                let (first, max) = value.split_once(':').unwrap_or((value, ""));
                spec.matrix = Some(Strategy {
                    first: NodeIndex(first.parse().unwrap()),
                    fail_fast: key == "fast",
                    max_parallel: max.parse().ok(),
                });
            }
            other => panic!("no flag {other}"),
        }
    }
    spec
}

fn failure(exit_code: i32) -> Outcome {
    Outcome::Failed(Failure {
        reason: FailureReason::ScriptFailure,
        exit_code: Some(exit_code),
    })
}

/// Does `what` to a job: `run`, `ok`, `fail`, `fail7`, `cancel`, `play`, `retry`, `acquire`.
fn act(graph: &mut Graph, node: NodeIndex, what: &str) -> Result<(), crate::state::BadTransition> {
    let mut end = |outcome: Outcome| {
        let allowed = graph.allows(node, &outcome);
        graph.apply(node, job::Event::End { outcome, allowed }, NOW)
    };
    match what {
        "run" => graph.apply(node, job::Event::TaskStarted, NOW),
        "ok" => end(Outcome::Success),
        "fail" => end(failure(1)),
        "fail7" => end(failure(7)),
        "cancel" => {
            let event = job::Event::Cancel {
                stop: job::Stop::Now,
                allowed: graph.allows(node, &Outcome::Canceled),
            };
            graph.apply(node, event, NOW)
        }
        "play" => graph.play(node, NOW),
        "retry" => graph.retry(node, NOW),
        "acquire" => graph.apply(node, job::Event::AcquireResource, NOW),
        other => panic!("no action {other}"),
    }
}
