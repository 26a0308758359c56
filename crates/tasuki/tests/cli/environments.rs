//! Environments through a real server with a real runner.

use serde_json::Value;

use crate::server::Up;
use crate::world::{World, wait_for};

const CONFIG: &str = "stages: [deploy, use]\n\
    review:\n  stage: deploy\n  script:\n    - echo \"to $CI_ENVIRONMENT_NAME $CI_ENVIRONMENT_TIER $CI_ENVIRONMENT_ACTION $WHERE\"\n    \
    - echo \"PORT=$((8000 + 80))\" > deploy.env\n  artifacts: {reports: {dotenv: deploy.env}}\n  \
    environment:\n    name: review/$CI_COMMIT_REF_NAME\n    url: http://$CI_COMMIT_REF_SLUG.example.com:$PORT/\n    \
    on_stop: stop review\n    auto_stop_in: 2 days\n\
    stop review:\n  stage: use\n  when: manual\n  allow_failure: true\n  variables: {GIT_STRATEGY: none}\n  \
    script: [echo \"stops $CI_ENVIRONMENT_URL of $CI_ENVIRONMENT_SLUG by $CI_ENVIRONMENT_ACTION\"]\n  \
    environment: {name: review/$CI_COMMIT_REF_NAME, action: stop}\n\
    check:\n  stage: use\n  script: [echo \"checks $CI_ENVIRONMENT_URL $WHERE\"]\n  \
    environment: {name: review/$CI_COMMIT_REF_NAME, action: verify}\n\
    plain:\n  stage: use\n  script: [echo \"plain <$CI_ENVIRONMENT_NAME> $WHERE\"]\n";

fn log(up: &Up<'_>, pipeline: i64, job: &str) -> String {
    up.run(&["job", "log", &up.job(pipeline, job)]).expect(0).out
}

fn names(list: &Value) -> Vec<&str> {
    let all = list.as_array().unwrap().iter();
    all.map(|environment| environment["name"].as_str().unwrap()).collect()
}

/// Waits until the environment is in this state.
fn wait_for_state(up: &Up<'_>, name: &str, state: &str) -> Value {
    wait_for(&format!("{name} to be {state}"), || {
        let shown = up.json(&["environment", "show", "local/app", name]);
        (shown["state"] == state).then_some(shown)
    })
}

#[test]
fn an_environment_lives_from_its_deployment_to_its_stop() {
    let world = World::new();
    let repository = world.repository("app", &[(".gitlab-ci.yml", CONFIG)]);
    world.git(&repository, &["branch", "topic"]);
    let up = Up::start(&world);
    up.run(&["project", "add", repository.to_str().unwrap()]).expect(0);
    let set = |value: &str, scope: &str| {
        let args = [
            "variable",
            "set",
            "local/app",
            "WHERE",
            "--value",
            value,
            "--environment",
            scope,
        ];
        up.run(&args).expect(0);
    };
    up.wait_for_end("local/app", "main", "push");
    set("everywhere", "*");
    set("some-review", "review/*");
    set("the-topic", "review/topic");
    up.run(&["pipeline", "run", "local/app", "--ref", "topic", "--wait"])
        .expect(0);
    let pipeline = up.wait_for_end("local/app", "topic", "api");
    assert!(log(&up, pipeline, "review").contains("to review/topic development start the-topic"));
    let url = "http://topic.example.com:8080/";
    assert!(log(&up, pipeline, "check").contains(&format!("checks {url} the-topic")));
    assert!(log(&up, pipeline, "plain").contains("plain <> everywhere"));

    assert_eq!(
        names(&up.json(&["environment", "list", "local/app"])),
        ["review/main", "review/topic"]
    );
    let shown = up.json(&["environment", "show", "local/app", "review/topic"]);
    assert_eq!(
        (&shown["state"], &shown["external_url"]),
        (&"available".into(), &url.into())
    );
    let deployed: String = shown["last_deployment"]["job_id"].to_string();
    assert_eq!(deployed, up.job(pipeline, "review"));
    assert!(shown["auto_stop_at"].is_string());
    let kept = up.json(&["environment", "keep", "local/app", "review/topic"]);
    assert!(kept["auto_stop_at"].is_null());
    let table = up.run(&["environment", "list", "local/app"]).expect(0).out;
    assert!(table.contains("review/topic") && table.contains(url), "{table}");
    let table = up
        .run(&["environment", "show", "local/app", "review/topic"])
        .expect(0)
        .out;
    assert!(
        table.contains("review/topic  available, development") && table.contains("success"),
        "{table}"
    );

    let missing = up.run(&["environment", "stop", "local/app", "review/nope"]).expect(2);
    assert!(
        missing.err.contains("tasuki environment list local/app"),
        "{}",
        missing.err
    );
    let refused = up.run(&["environment", "delete", "local/app", "review/topic"]);
    assert!(
        refused.code != 0 && refused.err.contains("stop it first"),
        "{}",
        refused.err
    );
    let said = up.run(&["environment", "stop", "local/app", "review/topic"]).expect(0);
    assert_eq!(said.out.trim(), "review/topic is stopping");
    wait_for_state(&up, "review/topic", "stopped");
    let slug = shown["slug"].as_str().unwrap();
    assert!(log(&up, pipeline, "stop review").contains(&format!("stops {url} of {slug} by stop")));
    assert_eq!(
        names(&up.json(&["environment", "list", "local/app", "--state", "stopped"])),
        ["review/topic"]
    );
    up.run(&["environment", "delete", "local/app", "review/topic"])
        .expect(0);
    assert_eq!(names(&up.json(&["environment", "list", "local/app"])), ["review/main"]);
}

/// The branch goes, and the job that stops what was deployed from it runs.
#[test]
fn a_deleted_branch_stops_its_environment() {
    let world = World::new();
    let repository = world.repository("app", &[(".gitlab-ci.yml", CONFIG)]);
    world.git(&repository, &["branch", "topic"]);
    let up = Up::start(&world);
    up.run(&["project", "add", repository.to_str().unwrap()]).expect(0);
    up.wait_for_end("local/app", "main", "push");
    let run = up.run(&["pipeline", "run", "local/app", "--ref", "topic", "--wait"]);
    run.expect(0);
    let pipeline = up.wait_for_end("local/app", "topic", "api");
    world.git(&repository, &["branch", "-q", "-D", "topic"]);
    wait_for_state(&up, "review/topic", "stopped");
    assert!(log(&up, pipeline, "stop review").contains("stops http://topic.example.com:8080/"));
    assert_eq!(
        up.json(&["environment", "show", "local/app", "review/main"])["state"],
        "available"
    );
}

/// The record is the same for whatever language names an environment.
#[test]
fn a_workflow_of_github_deploys_too() {
    let world = World::new();
    let workflow = "on: push\njobs:\n  ship:\n    runs-on: ubuntu-latest\n    \
        environment: {name: \"${{ github.ref_name }}-live\", url: \"https://example.com/$x/${{ github.ref_name }}\"}\n    \
        steps:\n      - run: echo shipped\n";
    let repository = world.repository("app", &[(".github/workflows/ship.yml", workflow)]);
    let up = Up::start(&world);
    up.run(&["project", "add", repository.to_str().unwrap()]).expect(0);
    let pipeline = up.wait_for_end("local/app", "main", "push");
    let shown = wait_for_state(&up, "main-live", "available");
    assert_eq!(shown["last_deployment"]["job_id"].to_string(), up.job(pipeline, "ship"));
    assert_eq!(
        (&shown["tier"], &shown["external_url"]),
        (&"production".into(), &"https://example.com/$x/main".into())
    );
    let said = up.run(&["environment", "stop", "local/app", "main-live"]).expect(0);
    assert_eq!(said.out.trim(), "main-live is stopped");
}
