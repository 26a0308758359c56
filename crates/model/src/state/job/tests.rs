use super::*;

const T0: Timestamp = Timestamp(1_000);

fn state(name: &str) -> State {
    let finished = |outcome| State::Finished {
        started: None,
        at: T0,
        outcome,
        allowed: false,
    };
    match name {
        "created" => State::Created,
        "manual" => State::Manual {
            since: T0,
            lapses: None,
        },
        "scheduled" => State::Scheduled {
            since: T0,
            run_at: Timestamp(9_000),
        },
        "waiting_for_resource" => State::WaitingForResource { since: T0 },
        "pending" => State::Pending { since: T0 },
        "running" => State::Running { started: T0 },
        "canceling" => State::Canceling { started: T0, since: T0 },
        "success" => finished(Outcome::Success),
        "skipped" => finished(Outcome::Skipped),
        other => panic!("no state {other}"),
    }
}

fn check(from: &str, event: Event, to: &str) {
    let name = event.name();
    let got = state(from)
        .apply(event, T0)
        .map_or("-", |(next, _)| next.status().as_str());
    assert_eq!(got, to, "{from} --{name}-->");
}

#[test]
fn every_transition() {
    let end = || Event::End {
        outcome: Outcome::Success,
        allowed: false,
    };
    let cancel = |stop| Event::Cancel { stop, allowed: false };
    let hold = || Event::Hold { lapses: None };
    let schedule = || Event::Schedule { run_at: T0 };
    let events: Vec<(Event, [&str; 9])> = vec![
        // created manual scheduled waiting pending running canceling success skipped
        (
            Event::Enqueue,
            ["pending", "pending", "pending", "-", "-", "-", "-", "-", "-"],
        ),
        (
            Event::AwaitResource,
            [
                "waiting_for_resource",
                "waiting_for_resource",
                "waiting_for_resource",
                "-",
                "-",
                "-",
                "-",
                "-",
                "-",
            ],
        ),
        (
            Event::AcquireResource,
            ["-", "-", "-", "pending", "-", "-", "-", "-", "-"],
        ),
        (hold(), ["manual", "-", "-", "-", "-", "-", "-", "-", "-"]),
        (schedule(), ["scheduled", "-", "-", "-", "-", "-", "-", "-", "-"]),
        (Event::Unschedule, ["-", "-", "manual", "-", "-", "-", "-", "-", "-"]),
        (Event::Skip, ["skipped", "-", "-", "-", "-", "-", "-", "-", "-"]),
        (
            Event::TaskStarted,
            ["-", "-", "-", "-", "running", "running", "canceling", "-", "-"],
        ),
        (
            Event::Requeue,
            ["-", "-", "-", "-", "pending", "pending", "-", "-", "-"],
        ),
        (
            end(),
            [
                "success", "success", "success", "success", "success", "success", "canceled", "-", "-",
            ],
        ),
        (
            cancel(Stop::Now),
            [
                "canceled", "canceled", "canceled", "canceled", "canceled", "canceled", "canceled", "-", "-",
            ],
        ),
        (
            cancel(Stop::WhenTasksEnd),
            [
                "canceled",
                "canceled",
                "canceled",
                "canceled",
                "canceled",
                "canceling",
                "canceling",
                "-",
                "-",
            ],
        ),
        (Event::Retry, ["-", "-", "-", "-", "-", "-", "-", "created", "created"]),
        (Event::Reset, ["-", "-", "-", "-", "-", "-", "-", "-", "created"]),
    ];
    let froms = [
        "created",
        "manual",
        "scheduled",
        "waiting_for_resource",
        "pending",
        "running",
        "canceling",
        "success",
        "skipped",
    ];
    for (event, tos) in events {
        for (from, to) in froms.iter().zip(tos) {
            check(from, event.clone(), to);
        }
    }
}

#[test]
fn a_resource_is_given_back_exactly_by_those_who_hold_it() {
    for from in ["created", "waiting_for_resource", "pending", "running", "canceling"] {
        let event = Event::End {
            outcome: Outcome::Success,
            allowed: false,
        };
        let (_, effects) = state(from).apply(event, T0).unwrap();
        assert_eq!(
            effects.contains(&Effect::ReleaseResource),
            state(from).holds_resource(),
            "{from}"
        );
    }
}

#[test]
fn states_survive_their_stored_form() {
    for name in [
        "created",
        "manual",
        "scheduled",
        "waiting_for_resource",
        "pending",
        "running",
        "canceling",
        "skipped",
    ] {
        let text = serde_json::to_string(&state(name)).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state(name), "{text}");
    }
}
