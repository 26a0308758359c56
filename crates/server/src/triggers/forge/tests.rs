//! Recorded webhooks through the public functions.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tasuki_model::secret::Secret;
use tasuki_model::trigger::GitRef;

use super::*;

const SECRET: &str = "It's a Secret to Everybody";

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| {
            (
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect()
}

fn hmac(body: &[u8], secret: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    mac.finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What a webhook should come to.
enum Expect {
    Push {
        git_ref: GitRef,
        before: Option<&'static str>,
        after: &'static str,
        login: &'static str,
    },
    Deleted(GitRef),
    Ignored,
    Refused,
}

fn check(forge: Forge, event: &str, body: &str, expect: &Expect) {
    let json: Value = serde_json::from_str(body).unwrap();
    match (forge.parse_event(event, &json), expect) {
        (
            Ok(Event::Push(push)),
            Expect::Push {
                git_ref,
                before,
                after,
                login,
            },
        ) => {
            assert_eq!(&push.git_ref, git_ref);
            assert_eq!(push.before.as_ref().map(Oid::as_str), *before);
            assert_eq!(push.after.as_str(), *after);
            assert_eq!(push.user.unwrap().0, *login);
        }
        (Ok(Event::Deleted(found)), Expect::Deleted(git_ref)) => assert_eq!(found, *git_ref),
        (Ok(Event::Ignored(_)), Expect::Ignored) | (Err(_), Expect::Refused) => {}
        (other, _) => panic!("{forge:?} {event}: {other:?}"),
    }
}

fn branch(name: &str) -> GitRef {
    GitRef::Branch(name.to_owned())
}

#[test]
fn recorded_webhooks_are_understood() {
    let tag = || GitRef::Tag("v1.0.0".to_owned());
    let gitlab = |event: &str, body: &str, expect: &Expect| check(Forge::Gitlab, event, body, expect);
    gitlab(
        "Push Hook",
        include_str!("gitlab/recorded/push.json"),
        &Expect::Push {
            git_ref: branch("feature/login"),
            before: Some("95790bf891e76fee5e1747ab589903a6a1f80f22"),
            after: "da1560886d4f094c3e6c9ef40349f7d38b5d27d7",
            login: "ada",
        },
    );
    // `after` is the tag object; what is built is the commit that it leads to.
    let expect = Expect::Push {
        git_ref: tag(),
        before: None,
        after: "5937ac0a7beb003549fc5fd26fc247adbce4a52e",
        login: "ada",
    };
    gitlab("Tag Push Hook", include_str!("gitlab/recorded/tag.json"), &expect);
    gitlab("System Hook", include_str!("gitlab/recorded/tag.json"), &expect);
    gitlab(
        "Push Hook",
        include_str!("gitlab/recorded/branch-deleted.json"),
        &Expect::Deleted(branch("gone")),
    );
    gitlab("Note Hook", "{}", &Expect::Ignored);
    gitlab("Push Hook", r#"{"object_kind": "push"}"#, &Expect::Refused);

    let github = |event: &str, body: &str, expect: &Expect| check(Forge::Github, event, body, expect);
    github(
        "push",
        include_str!("github/recorded/push.json"),
        &Expect::Push {
            git_ref: branch("main"),
            before: Some("6113728f27ae82c7b1a177c8d03f9e96e0adf246"),
            after: "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c",
            login: "ada",
        },
    );
    let expect = Expect::Push {
        git_ref: tag(),
        before: None,
        after: "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c",
        login: "ada",
    };
    github("push", include_str!("github/recorded/tag.json"), &expect);
    github(
        "push",
        include_str!("github/recorded/tag-deleted.json"),
        &Expect::Deleted(tag()),
    );
    github("ping", r#"{"zen": "Keep it logically awesome."}"#, &Expect::Ignored);
    github("push", "[]", &Expect::Refused);

    let gitea = |event: &str, body: &str, expect: &Expect| check(Forge::Gitea, event, body, expect);
    for (body, expect) in [
        (
            r#"{"ref": "a/b", "ref_type": "branch"}"#,
            Expect::Deleted(branch("a/b")),
        ),
        (r#"{"ref": "v1.0.0", "ref_type": "tag"}"#, Expect::Deleted(tag())),
        (r#"{"ref": "x", "ref_type": "repository"}"#, Expect::Ignored),
        (r#"{"ref": "../x", "ref_type": "branch"}"#, Expect::Refused),
        (r#"{"ref": "x"}"#, Expect::Refused),
    ] {
        gitea("delete", body, &expect);
    }
    gitea(
        "push",
        include_str!("gitea/recorded/push.json"),
        &Expect::Push {
            git_ref: branch("develop"),
            before: Some("28e1879d029cb852e4844d9c718537df08844e03"),
            after: "bffeb74224043ba2feb48d137756c8a9331c449a",
            login: "gitea",
        },
    );
    gitea(
        "create",
        include_str!("gitea/recorded/create-tag.json"),
        &Expect::Ignored,
    );
}

#[test]
fn what_cannot_be_a_ref_or_a_commit_is_refused() {
    let body = |git_ref: &str, after: &str| {
        format!(
            r#"{{"ref": "{git_ref}", "before": "{}", "after": "{after}", "pusher": null}}"#,
            "0".repeat(40)
        )
    };
    let good = "a".repeat(40);
    for git_ref in [
        "main",
        "refs/heads/",
        "refs/heads/-x",
        "refs/heads/a..b",
        "refs/heads/a b",
        "refs/notes/x",
        "refs/tags/a\\u0000",
    ] {
        check(Forge::Github, "push", &body(git_ref, &good), &Expect::Refused);
    }
    for after in ["", "main", "--help", &"z".repeat(40)] {
        check(Forge::Github, "push", &body("refs/heads/main", after), &Expect::Refused);
    }
}

#[test]
fn push_options_of_gitlab_are_read() {
    let json: Value = serde_json::from_str(include_str!("gitlab/recorded/push.json")).unwrap();
    let Ok(Event::Push(push)) = Forge::Gitlab.parse_event("Push Hook", &json) else {
        panic!("not a push")
    };
    let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
    assert_eq!(
        push.options,
        PushOptions {
            skip: true,
            no_pipeline: false,
            variables: vec![pair("A", "one=1"), pair("B", "")],
            inputs: vec![pair("level", "3")],
        }
    );
}

#[test]
fn only_who_knows_the_secret_is_believed() {
    let body = include_str!("github/recorded/push.json").as_bytes();
    let (good, bad) = (hmac(body, SECRET), hmac(body, "guess"));
    let check = |forge: Forge, name: &str, value: &str, expected: bool| {
        let headers = headers(&[(name, value)]);
        assert_eq!(
            forge.verify(&headers, body, &Secret::new(SECRET)),
            expected,
            "{forge:?} {name}: {value}"
        );
        assert!(
            !forge.verify(&headers, body, &Secret::new("")),
            "an empty secret opens nothing"
        );
        assert!(!forge.verify(&HeaderMap::new(), body, &Secret::new(SECRET)));
    };
    check(Forge::Gitlab, "x-gitlab-token", SECRET, true);
    check(Forge::Gitlab, "x-gitlab-token", "It's a Secret to Everybod", false);
    check(Forge::Gitlab, "x-gitlab-token", "", false);
    check(Forge::Github, "x-hub-signature-256", &format!("sha256={good}"), true);
    check(Forge::Github, "x-hub-signature-256", &format!("sha256={bad}"), false);
    check(Forge::Github, "x-hub-signature-256", &good, false);
    check(
        Forge::Github,
        "x-hub-signature-256",
        &format!("sha256={}", &good[..62]),
        false,
    );
    check(Forge::Github, "x-hub-signature", &format!("sha1={good}"), false);
    check(Forge::Gitea, "x-gitea-signature", &good, true);
    check(Forge::Gitea, "x-forgejo-signature", &good.to_uppercase(), true);
    check(Forge::Gitea, "x-gitea-signature", &bad, false);
    // One more byte at the end, and the signature no longer fits.
    let longer = [body, b"\n"].concat();
    let signed = headers(&[("x-gitea-signature", &good)]);
    assert!(!Forge::Gitea.verify(&signed, &longer, &Secret::new(SECRET)));
}

#[test]
fn a_repeated_delivery_has_the_same_id() {
    let check = |forge: Forge, list: &[(&str, &str)], expected: &str| {
        assert_eq!(forge.delivery(&headers(list), b"body"), expected);
    };
    check(Forge::Github, &[("x-github-delivery", "72d3162e")], "github:72d3162e");
    check(
        Forge::Gitlab,
        &[("idempotency-key", "k"), ("x-gitlab-event-uuid", "u")],
        "gitlab:k",
    );
    check(Forge::Gitlab, &[("x-gitlab-event-uuid", "u")], "gitlab:u");
    check(Forge::Gitea, &[("x-gitea-delivery", "f6")], "gitea:f6");
    // Without an id, or with a useless one, the body stands for itself.
    let digest = "gitea:230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5";
    check(Forge::Gitea, &[], digest);
    check(Forge::Gitea, &[("x-gitea-delivery", &"x".repeat(200))], digest);
}

#[test]
fn a_form_is_read_like_json() {
    let headers = headers(&[("content-type", "application/x-www-form-urlencoded")]);
    let body = b"payload=%7B%22repository%22%3A%7B%22clone_url%22%3A%22https%3A%2F%2Fgithub.com%2Fa%2Fb.git%22%7D%7D";
    let found = Forge::Github.repository(&headers, body).unwrap();
    assert_eq!(found.addresses, ["https://github.com/a/b.git"]);
    assert!(Forge::Github.repository(&headers, b"other=1").is_err());
}

#[test]
fn addresses_of_one_repository_are_the_same_place() {
    for address in [
        "https://Example.org/a/b.git",
        "https://example.org/a/b",
        "http://example.org:8080/a/b/",
        "git@example.org:a/b.git",
        "ssh://git@example.org:2222/a/b.git",
    ] {
        assert_eq!(same_place(address).as_deref(), Some("example.org/a/b"), "{address}");
    }
    for address in [
        "",
        "/srv/a.git",
        "https://example.org",
        "https:///a",
        "https://example.org/",
    ] {
        assert_eq!(same_place(address), None, "{address}");
    }
}

/// Real payloads, where the conformance data is at hand.
#[test]
#[expect(clippy::disallowed_methods, reason = "tests are configured by the environment")]
fn published_payloads_of_github_are_understood() {
    let Ok(data) = std::env::var("TASUKI_CONFORMANCE") else {
        eprintln!("skipped: TASUKI_CONFORMANCE is not set");
        return;
    };
    let mut pushes = 0;
    for (event, expects_push) in [
        ("push", true),
        ("pull_request", false),
        ("ping", false),
        ("workflow_job", false),
    ] {
        let folder = std::path::Path::new(&data).join("github/webhooks").join(event);
        for file in std::fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            let body = std::fs::read(&path).unwrap();
            let json = Forge::Github.json(&HeaderMap::new(), &body).unwrap();
            let parsed = Forge::Github.parse_event(event, &json).unwrap();
            let deleted = json["deleted"].as_bool() == Some(true);
            let is_push = matches!(parsed, Event::Push(_));
            assert_eq!(is_push, expects_push && !deleted, "{}", path.display());
            if is_push {
                assert!(
                    !Forge::Github
                        .repository(&HeaderMap::new(), &body)
                        .unwrap()
                        .addresses
                        .is_empty()
                );
            }
            pushes += usize::from(is_push);
        }
    }
    assert!(pushes > 0);
}

/// One merge request as the three forges tell of it.
#[test]
fn merge_requests_are_understood() {
    let recorded = [
        (
            Forge::Gitlab,
            "Merge Request Hook",
            include_str!("gitlab/recorded/merge-request.json"),
        ),
        (
            Forge::Github,
            "pull_request",
            include_str!("github/recorded/pull-request.json"),
        ),
        (
            Forge::Gitea,
            "pull_request",
            include_str!("gitea/recorded/pull-request.json"),
        ),
    ];
    for (forge, event, body) in recorded {
        let body: Value = serde_json::from_str(body).unwrap();
        let Ok(Event::Merge(merge)) = forge.parse_event(event, &body) else {
            panic!("{forge:?}")
        };
        assert_eq!(
            (merge.what, merge.request.forked),
            (Change::Commits, false),
            "{forge:?}"
        );
        assert_eq!(merge.head.as_str(), "da1560886d4f094c3e6c9ef40349f7d38b5d27d7");
        assert_eq!(merge.user.as_ref().map(|user| user.0.as_str()), Some("ada"));
        let request = &merge.request;
        assert_eq!((request.iid, request.title.as_str()), (7, "Log in again"));
        assert_eq!(
            (request.source_branch.as_str(), request.target_branch.as_str()),
            ("side", "main")
        );
        assert_eq!(request.labels, ["bug", "urgent"]);
        assert_eq!(request.assignees, ["grace"]);
        assert_eq!(request.source_project, "jsmith/example");
    }
}

#[test]
fn only_new_commits_of_a_merge_request_are_built() {
    let gitlab = |action: &str, with: Value| {
        let mut body: Value = serde_json::from_str(include_str!("gitlab/recorded/merge-request.json")).unwrap();
        body["object_attributes"]["action"] = action.into();
        for (key, value) in with.as_object().unwrap() {
            body["object_attributes"][key] = value.clone();
        }
        match Forge::Gitlab.parse_event("Merge Request Hook", &body) {
            Ok(Event::Merge(merge)) => (merge.what, merge.request.forked),
            other => panic!("{other:?}"),
        }
    };
    let old = serde_json::json!({"oldrev": "95790bf891e76fee5e1747ab589903a6a1f80f22"});
    let none = serde_json::json!({});
    assert_eq!(gitlab("reopen", none.clone()), (Change::Commits, false));
    assert_eq!(gitlab("update", old), (Change::Commits, false));
    assert_eq!(gitlab("update", none.clone()), (Change::Words, false));
    assert_eq!(gitlab("approved", none.clone()), (Change::Words, false));
    assert_eq!(gitlab("merge", none.clone()), (Change::Closed, false));
    assert_eq!(gitlab("close", none), (Change::Closed, false));
    assert_eq!(
        gitlab("open", serde_json::json!({"source_project_id": 2})),
        (Change::Commits, true)
    );
    let pull = |forge: Forge, action: &str| {
        let mut body: Value = serde_json::from_str(include_str!("github/recorded/pull-request.json")).unwrap();
        body["action"] = action.into();
        body["pull_request"]["head"]["repo"] = Value::Null;
        match forge.parse_event("pull_request", &body) {
            Ok(Event::Merge(merge)) => (merge.what, merge.request.forked),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(pull(Forge::Github, "synchronize"), (Change::Commits, true));
    assert_eq!(pull(Forge::Gitea, "synchronized"), (Change::Commits, true));
    assert_eq!(pull(Forge::Github, "labeled"), (Change::Words, true));
    assert_eq!(pull(Forge::Github, "closed"), (Change::Closed, true));
    let broken = serde_json::json!({"action": "opened", "pull_request": {}});
    assert!(Forge::Github.parse_event("pull_request", &broken).is_err());
}
