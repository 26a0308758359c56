use super::*;
use crate::state::Failure;

const T0: Timestamp = Timestamp(1_000_000);

fn lease(graceful: bool) -> Lease {
    Lease {
        runner: RunnerId(7),
        system_id: "s_1".into(),
        expires: Timestamp(T0.0 + 10_000),
        length_ms: 10_000,
        cancels_gracefully: graceful,
    }
}

fn script_failure() -> Outcome {
    Outcome::Failed(Failure {
        reason: FailureReason::ScriptFailure,
        exit_code: Some(3),
    })
}

/// Every state, by name; `rude` is a running one whose runner cannot cancel gracefully.
fn state(name: &str) -> State {
    let (started, since) = (T0, T0);
    match name {
        "queued" => State::Queued { since },
        "claimed" => State::Claimed {
            since,
            lease: lease(true),
        },
        "running" => State::Running {
            started,
            lease: lease(true),
        },
        "rude" => State::Running {
            started,
            lease: lease(false),
        },
        "canceling" => State::Canceling {
            started,
            since,
            lease: lease(true),
        },
        "finishing" => State::Finishing {
            started,
            since,
            lease: lease(true),
            outcome: Outcome::Success,
        },
        "finished" => State::Finished {
            started: Some(started),
            at: since,
            outcome: Outcome::Success,
        },
        other => panic!("no state {other}"),
    }
}

fn event(name: &str) -> Event {
    match name {
        "claim" => Event::Claim {
            lease: lease(true),
            commit: Commit::TwoPhase,
        },
        "claim at once" => Event::Claim {
            lease: lease(true),
            commit: Commit::OnePhase,
        },
        "ack" => Event::Acknowledge,
        "touch" => Event::Touch,
        "success" => Event::Report {
            outcome: Outcome::Success,
            log: Log::Complete,
        },
        "failure" => Event::Report {
            outcome: script_failure(),
            log: Log::Complete,
        },
        "failure, log missing" => Event::Report {
            outcome: script_failure(),
            log: Log::Incomplete,
        },
        "log" => Event::LogStored,
        "cancel" => Event::Cancel,
        "drop" => Event::Drop {
            reason: FailureReason::TraceSizeExceeded,
        },
        "return" => Event::Return,
        "expire" => Event::Expire,
        other => panic!("no event {other}"),
    }
}

/// `from --event--> to[/outcome]`, or `-` where it is refused. The lease has run out when the event comes.
fn check(from: &str, name: &str, to: &str) {
    let now = Timestamp(T0.0 + 20_000);
    let got = match state(from).apply(event(name), now) {
        Err(_) => "-".to_owned(),
        Ok((next, effects)) => {
            let ended = effects.iter().filter(|e| matches!(e, Effect::Ended(_))).count();
            assert_eq!(ended, usize::from(next.outcome().is_some()), "{from} --{name}-->");
            assert_eq!(next.lease().is_none(), matches!(next.name(), "queued" | "finished"));
            match next.outcome() {
                Some(Outcome::Failed(failure)) => format!("{}/{}", next.name(), failure.reason),
                Some(outcome) => format!("{}/{}", next.name(), outcome.status()),
                None => next.name().to_owned(),
            }
        }
    };
    assert_eq!(got, to, "{from} --{name}-->");
}

/// Rows are events, columns the states before them.
const TRANSITIONS: &str = "\
                     | queued                       | claimed                      | running                      | rude                         | canceling         | finishing        | finished
claim                | claimed                      | -                            | -                            | -                            | -                 | -                | -
claim at once        | running                      | -                            | -                            | -                            | -                 | -                | -
ack                  | -                            | running                      | running                      | running                      | canceling         | finishing        | -
touch                | -                            | claimed                      | running                      | running                      | canceling         | finishing        | -
success              | -                            | finished/success             | finished/success             | finished/success             | finished/canceled | finished/success | -
failure              | -                            | finished/script_failure      | finished/script_failure      | finished/script_failure      | finished/canceled | finished/success | -
failure, log missing | -                            | finishing                    | finishing                    | finishing                    | finishing         | finishing        | -
log                  | -                            | -                            | -                            | -                            | -                 | finished/success | -
cancel               | finished/canceled            | finished/canceled            | canceling                    | finished/canceled            | canceling         | finishing        | -
drop                 | finished/trace_size_exceeded | finished/trace_size_exceeded | finished/trace_size_exceeded | finished/trace_size_exceeded | finished/canceled | finished/success | -
return               | -                            | queued                       | queued                       | queued                       | -                 | -                | -
expire               | -                            | queued                       | finished/runner_lost         | finished/runner_lost         | finished/canceled | finished/success | -
";

#[test]
fn every_transition() {
    let mut lines = TRANSITIONS.lines();
    let froms: Vec<&str> = lines.next().unwrap().split('|').skip(1).map(str::trim).collect();
    for line in lines {
        let mut cells = line.split('|').map(str::trim);
        let name = cells.next().unwrap();
        for (from, to) in froms.iter().zip(cells) {
            check(from, name, to);
        }
    }
}

#[test]
fn a_lease_that_still_holds_does_not_expire() {
    for from in ["claimed", "running", "canceling", "finishing"] {
        let early = Timestamp(T0.0 + 9_999);
        assert!(state(from).apply(Event::Expire, early).is_err(), "{from}");
        let (renewed, _) = state(from).apply(Event::Touch, early).unwrap();
        assert!(
            renewed.apply(Event::Expire, Timestamp(T0.0 + 19_998)).is_err(),
            "{from}"
        );
    }
}

#[test]
fn a_clock_that_jumps_back_shortens_no_lease() {
    let (renewed, _) = state("running").apply(Event::Touch, Timestamp(0)).unwrap();
    assert_eq!(renewed.lease().unwrap().expires, Timestamp(T0.0 + 10_000));
}

#[test]
fn a_result_waits_five_minutes_for_its_log() {
    let report = event("failure, log missing");
    let (waiting, _) = state("running").apply(report.clone(), T0).unwrap();
    let (waiting, effects) = waiting.apply(report.clone(), Timestamp(T0.0 + 299_999)).unwrap();
    assert!(effects.is_empty());
    let (done, _) = waiting.apply(report, Timestamp(T0.0 + 300_000)).unwrap();
    assert_eq!(done.outcome(), Some(&script_failure()));
}

#[test]
fn states_survive_their_stored_form() {
    for name in ["queued", "claimed", "running", "canceling", "finishing", "finished"] {
        let text = serde_json::to_string(&state(name)).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state(name), "{text}");
    }
}
