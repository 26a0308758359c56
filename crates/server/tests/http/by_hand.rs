//! Pipelines that somebody starts by hand: inputs, parameters and variables, checked, in each language.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Server, text};
use crate::triggers::project;
use crate::ui::log_in;

const DEPLOY: &str = "name: Deploy\non:\n  workflow_dispatch:\n    inputs:\n      \
    where: {description: Where to, type: choice, options: [test, live], required: true}\n      \
    dry: {type: boolean, default: true}\n      times: {type: number, default: 2}\n      note: {}\n\
    jobs:\n  deploy:\n    runs-on: linux\n    env:\n      \
    SEEN: '${{ inputs.where }} ${{ inputs.dry == true }} ${{ inputs.times == 3 }} ${{ github.event.inputs.dry }} ${{ inputs.note }}'\n    \
    steps: [{run: x}]\n";
const OTHER: &str = "on: [workflow_dispatch]\njobs: {other: {runs-on: linux, steps: [{run: x}]}}\n";
const PUSHED: &str = "name: Pushed\non: push\njobs: {pushed: {runs-on: linux, steps: [{run: x}]}}\n";

const HUB: &[(&str, &str)] = &[
    (".github/workflows/deploy.yml", DEPLOY),
    (".github/workflows/other.yml", OTHER),
    (".github/workflows/pushed.yml", PUSHED),
];

const CIRCLE: &[(&str, &str)] = &[(
    ".circleci/config.yml",
    "version: 2.1\nparameters:\n  deep: {type: boolean, default: false}\n  size: {type: enum, enum: [s, m], default: s}\n  \
     times: {type: integer, default: 1, description: How often}\n\
     jobs:\n  a:\n    docker: [{image: i}]\n    parallelism: << pipeline.parameters.times >>\n    \
     environment: {SIZE: << pipeline.parameters.size >>}\n    steps: [{run: x}]\n  \
     b: {docker: [{image: i}], steps: [{run: x}]}\n\
     workflows:\n  deep: {when: << pipeline.parameters.deep >>, jobs: [a]}\n  plain: {unless: << pipeline.parameters.deep >>, jobs: [b]}\n",
)];

const LAB: &[(&str, &str)] = &[(
    ".gitlab-ci.yml",
    "spec:\n  inputs:\n    where: {options: [test, live], default: test, description: Where to}\n    count: {type: number, default: 1}\n    \
     must: {}\n---\nvariables:\n  MODE: {value: quick, options: [quick, full], description: How}\n  PLAIN: x\n\
     \"job-$[[ inputs.where ]]-$[[ inputs.must ]]\": {script: [x], parallel: '$[[ inputs.count ]]', rules: [{if: $MODE == \"full\"}]}\n\
     \"always-$[[ inputs.must ]]\": {script: [x]}\n",
)];

async fn started(files: &[(&str, &str)]) -> (Server, i64, tempfile::TempDir) {
    let (server, dir) = (Server::start().await, tempfile::tempdir().unwrap());
    for (name, _) in files {
        std::fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
    }
    let id = project(&server, dir.path(), files).await;
    (server, id, dir)
}

/// Starts a pipeline; its jobs, or the refusal.
async fn run(server: &Server, project: i64, body: Value) -> Result<Vec<Value>, String> {
    let answer = server.post(&format!("/projects/{project}/pipelines"), body).await;
    if answer.status != 201 {
        let problem = answer.json();
        let first = |found: &Value| text(&found[0]["message"]);
        return Err(match &problem["diagnostics"] {
            found @ Value::Array(_) => first(found),
            _ => text(&problem["detail"]),
        });
    }
    let id = answer.json()["id"].clone();
    let jobs = server.get(&format!("/pipelines/{id}/jobs")).await;
    Ok(jobs["items"].as_array().unwrap().clone())
}

#[track_caller]
fn names(jobs: Result<Vec<Value>, String>) -> Vec<String> {
    jobs.unwrap().iter().map(|job| text(&job["name"])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workflow_is_started_by_hand_with_checked_inputs() {
    let (server, id, _dir) = started(HUB).await;
    let run = async |body: Value| run(&server, id, body).await;
    for workflow in ["deploy.yml", ".github/workflows/deploy.yml", "Deploy"] {
        let body = json!({"workflow": workflow, "inputs": {"where": "live", "dry": false, "times": 3}});
        assert_eq!(names(run(body).await), ["deploy"], "{workflow}");
    }
    // As texts, the way a form sends them.
    assert_eq!(
        names(run(json!({"workflow": "deploy.yml", "inputs": {"where": "test", "dry": "true", "times": "4"}})).await),
        ["deploy"]
    );
    for (inputs, says) in [
        (json!({}), "input `where` must be given"),
        (json!({"where": "moon"}), "input `where` must be one of test, live"),
        (
            json!({"where": "live", "dry": "yes"}),
            "input `dry` must be true or false",
        ),
        (
            json!({"where": "live", "times": "many"}),
            "input `times` must be a number",
        ),
        (json!({"where": "live", "tmes": 1}), "there is no input `tmes`"),
    ] {
        let refused = run(json!({"workflow": "deploy.yml", "inputs": inputs}))
            .await
            .unwrap_err();
        assert_eq!(refused, says);
    }
    let of = async |workflow: &str| run(json!({"workflow": workflow})).await.unwrap_err();
    assert_eq!(
        of("Pushed").await,
        "workflow `Pushed` has no `workflow_dispatch` among what starts it"
    );
    assert_eq!(of("deplyo.yml").await, "there is no workflow `deplyo.yml`");
    let refused = run(json!({"inputs": {"where": "live"}})).await.unwrap_err();
    assert!(refused.contains("but not for which of the workflows"), "{refused}");
    let refused = run(json!({"workflow": "x", "language": "pascal"})).await.unwrap_err();
    assert!(refused.contains("none of gitlab, circleci, github"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_of_circleci_are_typed() {
    let (server, id, _dir) = started(CIRCLE).await;
    let run = async |parameters: Value| run(&server, id, json!({"inputs": parameters})).await;
    assert_eq!(names(run(json!({})).await), ["b"]);
    assert_eq!(names(run(json!({"deep": true, "times": 2, "size": "m"})).await), ["a"]);
    for (parameters, says) in [
        (json!({"deep": "perhaps"}), "pipeline parameter `deep` must be"),
        (json!({"times": 1.5}), "pipeline parameter `times` must be"),
        (json!({"size": "xl"}), "pipeline parameter `size` must be"),
        (json!({"depp": true}), "unexpected pipeline parameter `depp`"),
        (
            json!({"size": "s".repeat(513)}),
            "pipeline parameter `size` has 513 characters",
        ),
    ] {
        let refused = run(parameters).await.unwrap_err();
        assert!(refused.starts_with(says), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_and_variables_of_gitlab_are_given_and_checked() {
    let (server, id, _dir) = started(LAB).await;
    let run = async |body: Value| run(&server, id, body).await;
    let full = json!([{"key": "MODE", "value": "full"}]);
    let body = json!({"inputs": {"must": "m", "where": "live", "count": 2}, "variables": full});
    assert_eq!(names(run(body).await), ["job-live-m 1/2", "job-live-m 2/2", "always-m"]);
    assert_eq!(names(run(json!({"inputs": {"must": "m"}})).await), ["always-m"]);
    for (inputs, says) in [
        (json!({}), "required value has not been provided"),
        (json!({"must": "m", "where": "moon"}), "`where` input"),
        (json!({"must": "m", "count": "many"}), "`count` input"),
        (json!({"must": "m", "other": 1}), "unknown input arguments: other"),
    ] {
        let refused = run(json!({"inputs": inputs})).await.unwrap_err();
        assert!(refused.contains(says), "{refused}");
    }
}

/// The API and the page show what may be given, and the page's own form starts what it shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forms_show_what_may_be_given() {
    let all: Vec<_> = [HUB, CIRCLE, LAB].concat();
    let (server, id, _dir) = started(&all).await;
    let forms = server.get(&format!("/projects/{id}/forms")).await;
    insta::assert_snapshot!("forms", serde_json::to_string_pretty(&forms["items"]).unwrap());
    server
        .api(Method::GET, &format!("/projects/{id}/forms?ref=nowhere"), None)
        .await
        .expect(422);

    let cookie = log_in(&server).await;
    let page = server
        .raw(Method::GET, &format!("/projects/{id}/run"))
        .header("Cookie", &cookie);
    let page = Answer::of(page.send().await.unwrap()).await.expect(200).text;
    for part in [
        r#"name="workflow" value=".github/workflows/deploy.yml""#,
        r#"<select id="3-input.where" name="input.where" required>"#,
        r#"<option value="live">live</option>"#,
        "Where to",
        r#"name="variable.MODE""#,
        r#"name="input.times" value="1" type="number""#,
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(
        !page.contains("pushed.yml"),
        "a workflow that nobody starts by hand has a form"
    );
    let submit = async |fields: &[(&str, &str)]| {
        let request = server.raw(Method::POST, &format!("/projects/{id}/pipelines"));
        let request = request
            .header("Cookie", &cookie)
            .header("Sec-Fetch-Site", "same-origin")
            .form(fields);
        Answer::of(request.send().await.unwrap()).await
    };
    let base = [
        ("ref", "main"),
        ("language", "github"),
        ("workflow", ".github/workflows/deploy.yml"),
    ];
    let filled = [
        base.as_slice(),
        &[("input.where", "live"), ("input.dry", "false"), ("input.note", "")],
    ]
    .concat();
    let made = submit(&filled).await.expect(303);
    let made = server.get(made.header("location")).await;
    assert_eq!(
        (&made["source"], &made["workflows"][0]["jobs"][0]["name"]),
        (&json!("web"), &json!("deploy"))
    );
    let refused = submit(&[base.as_slice(), &[("input.where", "moon")]].concat()).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text.contains("one of test, live"), "{}", refused.text);
    let made = submit(&[
        ("ref", "main"),
        ("language", "gitlab"),
        ("input.must", "m"),
        ("variable.MODE", "full"),
    ])
    .await;
    let made = server.get(made.expect(303).header("location")).await;
    assert_eq!(made["workflows"][0]["jobs"][0]["name"], "job-test-m 1/1");
}
