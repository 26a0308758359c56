//! Variables: expansion, precedence, predefined ones.

use std::borrow::Cow;
use std::collections::HashMap;

use tasuki_model::plan::Variable;
use tasuki_model::secret::Secret;
use tasuki_model::time::Timestamp;
use tasuki_model::trigger::{Commit, GitRef, MergeRequest, Source};
use tasuki_pipeline::lang::gitlab::predefined::{self, EnvironmentFacts, JobFacts, RunnerFacts, TaskFacts};
use tasuki_pipeline::lang::gitlab::variables::{
    Sources, expand, expand_existing, expand_values, references, scope_matches, settings,
};
use tasuki_pipeline::{Context, ScopedVariable, VariableLevel};

fn lookup(name: &str) -> Option<Cow<'static, str>> {
    match name {
        "A" => Some("a".into()),
        "EMPTY" => Some("".into()),
        "_x1" => Some("x".into()),
        _ => None,
    }
}

#[test]
fn texts() {
    for (text, all, existing) in [
        ("plain", "plain", "plain"),
        ("$A", "a", "a"),
        ("${A}", "a", "a"),
        ("%A%", "a", "a"),
        ("$A-$A$A", "a-aa", "a-aa"),
        ("$AB", "", "$AB"),
        ("${A}B", "aB", "aB"),
        ("x$NOPE/y", "x/y", "x$NOPE/y"),
        ("${NOPE}%NOPE%", "", "${NOPE}%NOPE%"),
        ("$EMPTY.", ".", "."),
        ("$_x1", "x", "x"),
        ("$1", "$1", "$1"),
        ("${}", "", "${}"),
        ("${A", "${A", "${A"),
        ("100%", "100%", "100%"),
        ("5% of %A%", "5% of a", "5% of a"),
        ("$$A", "$a", "$a"),
        ("$", "$", "$"),
        ("é$Aé", "éaé", "éaé"),
    ] {
        assert_eq!(expand(text, lookup), all, "{text}");
        assert_eq!(expand_existing(text, lookup), existing, "{text}");
    }
}

#[test]
fn references_in_values() {
    assert_eq!(references("$A ${B} %C% $$D %%E% $1 ${}"), ["A", "B", "C", ""]);
}

/// `key=value` is plain, `key!=value` raw, `key@=value` a file.
fn variable(text: &str) -> Variable {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    let name = key.trim_end_matches(['!', '@']);
    Variable {
        raw: key.ends_with('!'),
        file: key.ends_with('@'),
        ..Variable::plain(name, value)
    }
}

fn values(list: &[&str], expected: Result<&[&str], &str>) {
    let found = expand_values(list.iter().map(|text| variable(text)).collect());
    let found = found.map(|list| list.into_iter().map(|v| v.value).collect::<Vec<_>>());
    match (found, expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{list:?}"),
        (Err(err), Err(expected)) => assert_eq!(err.to_string(), expected, "{list:?}"),
        (found, _) => panic!("{list:?}: {found:?}"),
    }
}

#[test]
fn values_expand_in_order_of_reference() {
    values(&["A=$B", "B=$C-$C", "C=c"], Ok(&["c-c", "c-c", "c"]));
    values(&["A=$NOPE/$$B", "B=b"], Ok(&["$NOPE/$$B", "b"]));
    values(
        &["A=$R $F", "R!=$B", "F@=content", "B=b"],
        Ok(&["$R $F", "$B", "content", "b"]),
    );
    // The last of a name wins, and a self-reference means the one before it.
    values(&["A=1", "B=$A", "A=2"], Ok(&["1", "2", "2"]));
    values(&["P=base", "P=$P:more"], Ok(&["base", "base:more"]));
    values(&["P=$P"], Ok(&["$P"]));
    values(&["A=$B", "B=$A"], Err("circular variable reference detected: [A, B]"));
    values(
        &["X=$A", "A=$B", "B=$C", "C=$A"],
        Err("circular variable reference detected: [A, B, C]"),
    );
    values(&["A!=$B", "B=$A"], Ok(&["$B", "$A"]));
    let long: Vec<String> = (0..20_000).map(|n| format!("V{n}=$V{}", n + 1)).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let found = expand_values(long.iter().map(|text| variable(text)).collect()).unwrap();
    assert_eq!(found[0].value, "$V20000");
}

#[test]
fn scopes_of_environments() {
    for (scope, environment, expected) in [
        ("*", None, true),
        ("*", Some("x"), true),
        ("production", None, false),
        ("production", Some("production"), true),
        ("production", Some("production/eu"), false),
        ("review/*", Some("review/x"), true),
        ("review/*", Some("review/x/y"), true),
        ("review/*", Some("review"), false),
        ("*/eu", Some("production/eu"), true),
        ("a*b*c", Some("a-b-c"), true),
        ("a*b*c", Some("acb"), false),
        ("a*a", Some("a"), false),
    ] {
        assert_eq!(scope_matches(scope, environment), expected, "{scope} {environment:?}");
    }
}

#[test]
fn settings_in_order() {
    let variable = |level, scope: &str, value: &str, protected| ScopedVariable {
        level,
        environment_scope: scope.to_owned(),
        variable: Variable {
            protected,
            ..Variable::plain("A", value)
        },
    };
    let mut context = Context {
        variables: vec![
            variable(VariableLevel::Project, "review/x", "exact", false),
            variable(VariableLevel::Project, "review/*", "pattern", false),
            variable(VariableLevel::Project, "*", "project", false),
            variable(VariableLevel::Group(1), "*", "near", false),
            variable(VariableLevel::Group(0), "*", "root", false),
            variable(VariableLevel::Instance, "*", "instance", false),
            variable(VariableLevel::Project, "*", "secret", true),
        ],
        ..Context::default()
    };
    let values = |context: &Context, environment| -> Vec<String> {
        settings(context, environment).into_iter().map(|v| v.value).collect()
    };
    assert_eq!(
        values(&context, Some("review/x")),
        ["instance", "root", "near", "project", "pattern", "exact"]
    );
    assert_eq!(values(&context, None), ["instance", "root", "near", "project"]);
    context.pipeline.protected_ref = true;
    assert_eq!(
        values(&context, None),
        ["instance", "root", "near", "project", "secret"]
    );
}

#[test]
fn sources_in_order() {
    let one = |value: &str| vec![Variable::plain("A", value)];
    let all = Sources {
        persisted: one("1"),
        id_tokens: one("2"),
        job: one("3"),
        pipeline: one("4"),
        runner: one("5"),
        yaml: one("6"),
        user: one("7"),
        dotenv: one("8"),
        settings: one("9"),
        given: one("10"),
        played: one("11"),
        environment: one("12"),
    };
    let values: Vec<String> = all.in_order().into_iter().map(|v| v.value).collect();
    assert_eq!(values, (1..=12).map(|n| n.to_string()).collect::<Vec<_>>());
}

fn map(variables: Vec<Variable>) -> HashMap<String, String> {
    variables.into_iter().map(|v| (v.key, v.value)).collect()
}

fn check(found: &HashMap<String, String>, expected: &[(&str, &str)]) {
    for (key, value) in expected {
        let found = found.get(*key).map(String::as_str);
        assert_eq!(found, (*value != "-").then_some(*value), "{key}");
    }
}

fn context() -> Context {
    let mut context = Context::default();
    context.server.url = "https://ci.example.com:8443/".to_owned();
    context.server.version = "1.2.3-rc1".to_owned();
    context.project.id = 42;
    context.project.path = "Group/sub/My.App".to_owned();
    context.project.topics = vec!["a".to_owned(), "b".to_owned()];
    context.pipeline.iid = 9;
    context.pipeline.created_at = Timestamp(1_700_000_000_123);
    context.trigger.git_ref = GitRef::Branch("Feature/X_1".to_owned());
    context.trigger.user = Some(("ada".to_owned(), "Ada L".to_owned(), "ada@example.com".to_owned()));
    context.trigger.commit = Commit {
        sha: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        before_sha: "f".repeat(40),
        message: "Title of $IT\n\nBody\n".to_owned(),
        author_name: "Ada".to_owned(),
        author_email: "a@example.com".to_owned(),
        timestamp: "2023-11-14T22:13:20Z".to_owned(),
        tag_message: None,
    };
    context
}

#[test]
fn predefined_of_a_push() {
    let context = context();
    let list = predefined::pipeline(&context, Some("nightly"));
    let message = list.iter().find(|v| v.key == "CI_COMMIT_MESSAGE").unwrap();
    assert!(message.raw, "a dollar in a message is a dollar");
    let found = map(list);
    check(
        &found,
        &[
            ("CI", "true"),
            ("GITLAB_CI", "true"),
            ("CI_SERVER_URL", "https://ci.example.com:8443"),
            ("CI_SERVER_HOST", "ci.example.com"),
            ("CI_SERVER_PORT", "8443"),
            ("CI_SERVER_PROTOCOL", "https"),
            ("CI_SERVER_FQDN", "ci.example.com:8443"),
            ("CI_SERVER_VERSION_MAJOR", "1"),
            ("CI_SERVER_VERSION_PATCH", "3"),
            ("CI_API_V4_URL", "https://ci.example.com:8443/api/v4"),
            ("CI_PROJECT_ID", "42"),
            ("CI_PROJECT_NAME", "My.App"),
            ("CI_PROJECT_PATH", "Group/sub/My.App"),
            ("CI_PROJECT_PATH_SLUG", "group-sub-my-app"),
            ("CI_PROJECT_NAMESPACE", "Group/sub"),
            ("CI_PROJECT_ROOT_NAMESPACE", "Group"),
            ("CI_PROJECT_URL", "https://ci.example.com:8443/Group/sub/My.App"),
            ("CI_PROJECT_TOPICS", "a,b"),
            ("CI_DEFAULT_BRANCH", "main"),
            ("CI_CONFIG_PATH", ".gitlab-ci.yml"),
            ("CI_PIPELINE_SOURCE", "push"),
            ("CI_PIPELINE_IID", "9"),
            ("CI_PIPELINE_NAME", "nightly"),
            ("CI_PIPELINE_CREATED_AT", "2023-11-14T22:13:20Z"),
            ("CI_PIPELINE_ID", "-"),
            ("CI_PIPELINE_TRIGGERED", "-"),
            ("CI_COMMIT_SHA", "0123456789abcdef0123456789abcdef01234567"),
            ("CI_COMMIT_SHORT_SHA", "01234567"),
            ("CI_COMMIT_BEFORE_SHA", "ffffffffffffffffffffffffffffffffffffffff"),
            ("CI_COMMIT_REF_NAME", "Feature/X_1"),
            ("CI_COMMIT_REF_SLUG", "feature-x-1"),
            ("CI_COMMIT_BRANCH", "Feature/X_1"),
            ("CI_COMMIT_TAG", "-"),
            ("CI_COMMIT_REF_PROTECTED", "false"),
            ("CI_COMMIT_TITLE", "Title of $IT"),
            ("CI_COMMIT_DESCRIPTION", "\nBody"),
            ("CI_COMMIT_AUTHOR", "Ada <a@example.com>"),
            ("CI_OPEN_MERGE_REQUESTS", "-"),
            ("CI_MERGE_REQUEST_IID", "-"),
            (
                "CI_CONFIG_REF_URI",
                "ci.example.com:8443/Group/sub/My.App//.gitlab-ci.yml@refs/heads/Feature/X_1",
            ),
        ],
    );
    check(
        &map(predefined::user(&context)),
        &[("GITLAB_USER_LOGIN", "ada"), ("GITLAB_USER_EMAIL", "ada@example.com")],
    );
}

#[test]
fn predefined_of_tags_triggers_and_merge_requests() {
    let mut context = context();
    context.trigger.git_ref = GitRef::Tag("v1".to_owned());
    context.trigger.commit.tag_message = Some("first".to_owned());
    context.trigger.source = Source::Trigger;
    context.trigger.payload = Some(serde_json::json!({"a": 1}));
    context.pipeline.triggered = true;
    context.pipeline.open_merge_requests = (1..=5).map(|n| format!("g/p!{n}")).collect();
    let list = predefined::pipeline(&context, None);
    assert!(list.iter().any(|v| v.key == "TRIGGER_PAYLOAD" && v.file));
    check(
        &map(list),
        &[
            ("CI_COMMIT_TAG", "v1"),
            ("CI_COMMIT_TAG_MESSAGE", "first"),
            ("CI_COMMIT_BRANCH", "-"),
            ("CI_COMMIT_BEFORE_SHA", "0000000000000000000000000000000000000000"),
            ("CI_PIPELINE_TRIGGERED", "true"),
            ("CI_OPEN_MERGE_REQUESTS", "g/p!1,g/p!2,g/p!3,g/p!4"),
        ],
    );
    context.trigger.source = Source::MergeRequestEvent;
    context.trigger.git_ref = GitRef::MergeRequest {
        iid: 7,
        kind: "merge".to_owned(),
    };
    let request = MergeRequest {
        id: 70,
        iid: 7,
        title: "A".to_owned(),
        description: "d".repeat(3_000),
        source_branch: "Feature/Y".to_owned(),
        source_sha: "s".to_owned(),
        target_branch: "main".to_owned(),
        target_sha: "t".to_owned(),
        labels: vec!["x".to_owned(), "y".to_owned()],
        event_type: "merged_result".to_owned(),
        ..MergeRequest::default()
    };
    context.trigger.merge_request = Some(request);
    let found = map(predefined::pipeline(&context, None));
    check(
        &found,
        &[
            ("CI_COMMIT_BRANCH", "-"),
            ("CI_COMMIT_TAG", "-"),
            ("CI_COMMIT_REF_NAME", "Feature/Y"),
            ("CI_COMMIT_REF_SLUG", "feature-y"),
            ("CI_MERGE_REQUEST_ID", "70"),
            ("CI_MERGE_REQUEST_IID", "7"),
            ("CI_MERGE_REQUEST_REF_PATH", "refs/merge-requests/7/head"),
            ("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "s"),
            ("CI_MERGE_REQUEST_TARGET_BRANCH_SHA", "t"),
            ("CI_MERGE_REQUEST_LABELS", "x,y"),
            ("CI_MERGE_REQUEST_EVENT_TYPE", "merged_result"),
            ("CI_MERGE_REQUEST_DESCRIPTION_IS_TRUNCATED", "true"),
            ("CI_MERGE_REQUEST_APPROVED", "false"),
        ],
    );
    assert_eq!(found["CI_MERGE_REQUEST_DESCRIPTION"].len(), 2_700);
    if let Some(request) = &mut context.trigger.merge_request {
        request.event_type = "detached".to_owned();
    }
    check(
        &map(predefined::pipeline(&context, None)),
        &[("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "")],
    );
}

#[test]
fn predefined_of_jobs_and_tasks() {
    let facts = JobFacts {
        name: "test: [Linux, 1]",
        stage: "test",
        manual: false,
        parallel: Some((2, 5)),
        environment: Some(EnvironmentFacts {
            name: "review/x",
            action: Default::default(),
            tier: Some("development"),
            url: None,
        }),
    };
    check(
        &map(predefined::job(&facts)),
        &[
            ("CI_JOB_NAME", "test: [Linux, 1]"),
            ("CI_JOB_NAME_SLUG", "test---linux--1"),
            ("CI_JOB_GROUP_NAME", "test"),
            ("CI_JOB_MANUAL", "-"),
            ("CI_NODE_INDEX", "2"),
            ("CI_NODE_TOTAL", "5"),
            ("CI_ENVIRONMENT_NAME", "review/x"),
            ("CI_ENVIRONMENT_ACTION", "start"),
            ("CI_ENVIRONMENT_TIER", "development"),
            ("CI_ENVIRONMENT_URL", "-"),
        ],
    );
    let plain = JobFacts {
        manual: true,
        parallel: None,
        environment: None,
        ..facts
    };
    check(
        &map(predefined::job(&plain)),
        &[
            ("CI_NODE_INDEX", "-"),
            ("CI_NODE_TOTAL", "1"),
            ("CI_JOB_MANUAL", "true"),
            ("CI_ENVIRONMENT_NAME", "-"),
        ],
    );
    let token = Secret::new("secret");
    let task = predefined::persisted(&TaskFacts {
        task_id: 1,
        pipeline_id: 2,
        task_url: "u/1",
        pipeline_url: "u/2",
        repository_url: "https://t:secret@h/p.git",
        token: &token,
        started_at: Timestamp(1_700_000_000_000),
    });
    assert!(task.iter().filter(|v| v.value.contains("secret")).all(|v| v.masked));
    check(
        &map(task),
        &[
            ("CI_JOB_ID", "1"),
            ("CI_PIPELINE_ID", "2"),
            ("CI_JOB_TOKEN", "secret"),
            ("CI_JOB_STARTED_AT", "2023-11-14T22:13:20Z"),
            ("CI_JOB_STARTED_AT_SLUG", "2023-11-14t22-13-20z"),
        ],
    );
    let tags = ["a".to_owned(), "b \"c\"".to_owned()];
    let runner = predefined::runner(&RunnerFacts {
        id: 3,
        description: "box",
        tags: &tags,
    });
    check(
        &map(runner),
        &[("CI_RUNNER_ID", "3"), ("CI_RUNNER_TAGS", "[\"a\", \"b \\\"c\\\"\"]")],
    );
}
