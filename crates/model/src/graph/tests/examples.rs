//! Rules and traps, one line each.

use super::*;

/// Builds the jobs, does `acts` (`job:what`), and compares the jobs' and the pipeline's status.
fn check(jobs: &[&str], acts: &str, statuses: &str) {
    check_with(jobs, acts, statuses, &mut AlwaysTrue);
}

fn check_with(jobs: &[&str], acts: &str, statuses: &str, conditions: &mut dyn Conditions) {
    let jobs_of = jobs.iter().map(|text| (spec(text), job::State::Created)).collect();
    let mut graph = Graph::new(jobs_of);
    graph.settle(NOW, conditions).unwrap();
    for word in acts.split_whitespace() {
        let (node, what) = word.split_once(':').unwrap();
        act(&mut graph, NodeIndex(node.parse().unwrap()), what).unwrap_or_else(|e| panic!("{word}: {e} in {jobs:?}"));
        graph.settle(NOW, conditions).unwrap();
    }
    let mut got: Vec<&str> = graph
        .indices()
        .map(|node| graph.state(node).status().as_str())
        .collect();
    got.push("=");
    got.push(graph.status().as_str());
    assert_eq!(got.join(" "), statuses, "{jobs:?} after `{acts}`");
}

#[test]
fn stages_go_one_after_the_other() {
    let jobs = ["0", "0", "1", "2"];
    check(&jobs, "", "pending pending created created = pending");
    check(&jobs, "0:ok", "success pending created created = running");
    check(&jobs, "0:ok 1:ok", "success success pending created = running");
    check(&jobs, "0:ok 1:fail", "success failed skipped skipped = failed");
    check(&jobs, "0:ok 1:cancel", "success canceled skipped skipped = canceled");
    check(
        &jobs,
        "0:ok 1:ok 2:ok 3:ok",
        "success success success success = success",
    );
}

#[test]
fn when_decides() {
    let jobs = ["0", "1", "1 on_failure", "1 always"];
    check(&jobs, "0:ok", "success pending skipped pending = running");
    check(&jobs, "0:fail", "failed skipped pending pending = running");
    // Trap 20: `always` does not follow a cancellation.
    check(&jobs, "0:cancel", "canceled skipped skipped skipped = canceled");
    // A canceled and a failed job together are failed.
    check(
        &["0", "0", "1 on_failure"],
        "0:cancel 1:fail",
        "canceled failed pending = running",
    );
}

#[test]
fn allowed_failures_pass_with_warnings() {
    check(
        &["0 allow", "1", "1 on_failure"],
        "0:fail",
        "failed pending skipped = pending",
    );
    check(&["0 codes", "1"], "0:fail7", "failed pending = pending");
    check(&["0 codes", "1"], "0:fail", "failed skipped = failed");
    check(&["0 allow"], "0:cancel", "canceled = success");
}

#[test]
fn manual_jobs_hold_or_are_passed() {
    // Blocking: later stages wait, and the pipeline says so even where something failed (trap 21).
    check(&["0 manual", "1"], "", "manual created = manual");
    check(
        &["0 manual", "0", "1 always"],
        "1:fail",
        "manual failed created = manual",
    );
    check(&["0 manual", "1"], "0:play 0:ok", "success pending = running");
    // Optional: later stages go on.
    check(&["0 manual allow", "1"], "", "manual pending = pending");
    // Trap 19: who needs an optional one is skipped, and decided again when it is played.
    let jobs = ["0 manual allow", "1 needs=0", "1 needs=1"];
    check(&jobs, "", "manual skipped skipped = skipped");
    check(&jobs, "0:play", "pending created created = pending");
    check(&jobs, "0:play 0:ok", "success pending created = running");
    check(&["0 manual", "1 needs=0"], "", "manual created = manual");
}

#[test]
fn needs_ignore_stages() {
    check(&["0", "1", "2 needs=0"], "0:ok", "success pending pending = running");
    // Trap 22: no needs at all means at once. Trap 23: so do needs that all are absent.
    check(&["0", "1 needs="], "", "pending pending = pending");
    // A skipped need skips at once, whatever the others do; `always` breaks the chain.
    let jobs = ["0", "0", "1 on_failure needs=0", "2 needs=1,2", "2 always needs=2"];
    check(&jobs, "0:ok", "success pending skipped skipped pending = running");
    // With needs, on_failure waits for all of them.
    let jobs = ["0", "0", "1 on_failure needs=0,1"];
    check(&jobs, "0:fail", "failed pending created = running");
    check(&jobs, "0:fail 1:ok", "failed success pending = running");
    check(&jobs, "0:cancel 1:ok", "canceled success skipped = canceled");
}

#[test]
fn delayed_jobs_wait_for_the_clock() {
    check(&["0 delay", "1"], "", "scheduled created = scheduled");
    check(&["0 delay", "1"], "0:play 0:run", "running created = running");
    // The delay begins when what comes before is done: it is done anew.
    check(&["0", "1 delay"], "0:run 0:ok", "success scheduled = scheduled");
    check(&["0", "1 delay"], "0:run 0:ok 0:retry", "pending created = pending");
    check(
        &["0", "1 delay"],
        "0:run 0:ok 0:retry 0:run 0:ok",
        "success scheduled = scheduled",
    );
    check(
        &["0", "1 delay needs=0"],
        "0:run 0:ok 0:retry",
        "pending created = pending",
    );
}

#[test]
fn jobs_without_work_pass_by_themselves() {
    check(&["0 nothing", "1"], "", "success pending = running");
    check(&["0 nothing manual", "1"], "0:play", "success pending = running");
}

#[test]
fn resources_are_asked_for() {
    check(
        &["0 resource", "1"],
        "",
        "waiting_for_resource created = waiting_for_resource",
    );
    check(
        &["0 resource", "1"],
        "0:acquire 0:run 0:ok",
        "success pending = running",
    );
}

#[test]
fn retries_start_over_and_wake_the_skipped() {
    let jobs = ["0", "1", "2"];
    check(&jobs, "0:fail 0:retry", "pending created created = pending");
    check(&jobs, "0:fail 0:retry 0:ok", "success pending created = running");
    check(&["0 manual", "1"], "0:play 0:fail 0:retry", "pending created = pending");
}

#[test]
fn required_statuses() {
    let jobs = [
        "0 needs=",
        "0 needs=0 want=failed",
        "0 needs=0 want=terminal",
        "0 needs=0 want=success,failed",
    ];
    check(&jobs, "0:ok", "success skipped pending pending = running");
    check(&jobs, "0:fail", "failed pending pending pending = running");
    check(&jobs, "0:cancel", "canceled skipped pending skipped = running");
    check(&["0 manual", "0 needs=0 want=terminal"], "", "manual created = manual");
}

#[test]
fn a_matrix_keeps_its_width_and_fails_fast() {
    let wide = ["0 needs= matrix=0:2", "0 needs= matrix=0:2", "0 needs= matrix=0:2"];
    check(&wide, "", "pending pending waiting_for_resource = running");
    check(&wide, "0:ok", "success pending pending = running");
    check(&wide, "2:cancel 0:ok 1:ok", "success success canceled = canceled");
    let fast = ["0 needs= fast=0:1", "0 needs= fast=0:1", "0 needs= fast=0:1"];
    check(&fast, "0:fail", "failed canceled canceled = failed");
}

#[test]
fn workflows_have_stages_of_their_own() {
    let jobs = ["0", "1", "0 wf=1", "1 wf=1"];
    check(&jobs, "0:fail", "failed skipped pending created = running");
    check(&jobs, "0:fail 2:ok", "failed skipped success pending = running");
}

/// Answers as GitHub's `success()`, or `failure()`, over all ancestors.
struct Asks(&'static str);

impl Conditions for Asks {
    fn holds(&mut self, graph: &Graph, node: NodeIndex) -> Result<bool, Failure> {
        match self.0 {
            "success" => Ok(graph.ancestry(node).succeeded()),
            "failure" => Ok(graph.ancestry(node).failed),
            _ => Err(Failure::of(FailureReason::UnmetPrerequisites)),
        }
    }
}

#[test]
fn conditions_see_all_ancestors() {
    let chain = ["0 needs=", "0 needs=0 cond", "0 needs=1 cond"];
    check_with(
        &chain,
        "0:ok",
        "success pending created = running",
        &mut Asks("success"),
    );
    check_with(
        &chain,
        "0:fail",
        "failed skipped skipped = failed",
        &mut Asks("success"),
    );
    check_with(
        &chain,
        "0:fail",
        "failed pending created = running",
        &mut Asks("failure"),
    );
    check_with(
        &chain,
        "0:fail 1:ok",
        "failed success pending = running",
        &mut Asks("failure"),
    );
    check_with(&chain, "0:ok", "success failed failed = failed", &mut Asks("nonsense"));
    // A condition waits for all needs, also where one was skipped.
    let two = ["0 needs=", "0 needs=", "0 needs=0,1 cond"];
    check_with(&two, "0:ok", "success pending created = running", &mut AlwaysTrue);
    check_with(
        &two,
        "0:fail 1:cancel",
        "failed canceled pending = running",
        &mut AlwaysTrue,
    );
}

#[test]
fn a_graph_loaded_in_mid_life_goes_on() {
    let mut graph = Graph::new(vec![
        (spec("0"), job::State::Running { started: NOW }),
        (spec("1"), job::State::Created),
    ]);
    graph.settle(NOW, &mut AlwaysTrue).unwrap();
    assert_eq!(graph.drain(), Changes::default());
    act(&mut graph, NodeIndex(0), "ok").unwrap();
    graph.settle(NOW, &mut AlwaysTrue).unwrap();
    let changes = graph.drain();
    assert_eq!(changes.nodes, [NodeIndex(0), NodeIndex(1)]);
    let expected = [(NodeIndex(0), Action::ReleaseResource), (NodeIndex(1), Action::Start)];
    assert_eq!(changes.actions, expected);
}

#[test]
fn ten_thousand_jobs_cost_what_changes() {
    let mut jobs: Vec<(Spec, job::State)> = (0..10_000).map(|_| (spec("0"), job::State::Created)).collect();
    jobs.push((spec("1"), job::State::Created));
    let mut graph = Graph::new(jobs);
    graph.settle(NOW, &mut AlwaysTrue).unwrap();
    assert_eq!(graph.drain().actions.len(), 10_000);
    for i in 0..10_000 {
        act(&mut graph, NodeIndex(i), "ok").unwrap();
        graph.settle(NOW, &mut AlwaysTrue).unwrap();
        let changed = graph.drain().nodes.len();
        assert_eq!(changed, if i == 9_999 { 2 } else { 1 });
    }
    assert_eq!(graph.status(), crate::state::Status::Running);
}

#[test]
fn specs_survive_their_stored_form() {
    for text in [
        "0",
        "1 manual allow needs=0",
        "2 delay codes",
        "0 needs=1 want=failed fast=0:3 resource cond",
    ] {
        let json = serde_json::to_string(&spec(text)).unwrap();
        let back: Spec = serde_json::from_str(&json).unwrap();
        assert_eq!(
            format!("{back:?}"),
            format!("{:?}", spec(text)).replace("allow_failure: No", "allow_failure: Flag(false)")
        );
    }
}
