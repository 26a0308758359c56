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

fn check(from: &str, name: &str, to: &str) {
    let got = state(from)
        .apply(event(name), T0)
        .map_or("-", |(next, _)| next.status().as_str());
    assert_eq!(got, to, "{from} --{name}-->");
}

fn event(name: &str) -> Event {
    match name {
        "enqueue" => Event::Enqueue,
        "await resource" => Event::AwaitResource,
        "acquire resource" => Event::AcquireResource,
        "hold" => Event::Hold { lapses: None },
        "schedule" => Event::Schedule { run_at: T0 },
        "unschedule" => Event::Unschedule,
        "skip" => Event::Skip,
        "task started" => Event::TaskStarted,
        "requeue" => Event::Requeue,
        "end" => Event::End {
            outcome: Outcome::Success,
            allowed: false,
        },
        "cancel now" => Event::Cancel {
            stop: Stop::Now,
            allowed: false,
        },
        "cancel" => Event::Cancel {
            stop: Stop::WhenTasksEnd,
            allowed: false,
        },
        "retry" => Event::Retry,
        "reset" => Event::Reset,
        other => panic!("no event {other}"),
    }
}

/// Rows are events, columns the states before them (`waiting`: for a resource).
const TRANSITIONS: &str = "\
                 | created   | manual   | scheduled | waiting  | pending  | running   | canceling | success | skipped
enqueue          | pending   | pending  | pending   | -        | -        | -         | -         | -       | -
await resource   | waiting   | waiting  | waiting   | -        | -        | -         | -         | -       | -
acquire resource | -         | -        | -         | pending  | -        | -         | -         | -       | -
hold             | manual    | -        | -         | -        | -        | -         | -         | -       | -
schedule         | scheduled | -        | -         | -        | -        | -         | -         | -       | -
unschedule       | -         | -        | manual    | -        | -        | -         | -         | -       | -
skip             | skipped   | -        | -         | -        | -        | -         | -         | -       | -
task started     | -         | -        | -         | -        | running  | running   | canceling | -       | -
requeue          | -         | -        | -         | -        | pending  | pending   | -         | -       | -
end              | success   | success  | success   | success  | success  | success   | canceled  | -       | -
cancel now       | canceled  | canceled | canceled  | canceled | canceled | canceled  | canceled  | -       | -
cancel           | canceled  | canceled | canceled  | canceled | canceled | canceling | canceling | -       | -
retry            | -         | -        | -         | -        | -        | -         | -         | created | created
reset            | -         | -        | created   | -        | -        | -         | -         | -       | created
";

#[test]
fn every_transition() {
    let full = |name| match name {
        "waiting" => "waiting_for_resource",
        name => name,
    };
    let mut lines = TRANSITIONS.lines();
    let froms: Vec<&str> = lines.next().unwrap().split('|').skip(1).map(str::trim).collect();
    for line in lines {
        let mut cells = line.split('|').map(str::trim);
        let name = cells.next().unwrap();
        for (from, to) in froms.iter().zip(cells) {
            check(full(from), name, full(to));
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
