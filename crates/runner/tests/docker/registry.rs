//! Pulling from a registry that wants a password.

use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use serde_json::json;
use tasuki_model::plan::{Image, PullPolicy};
use tasuki_model::reason::FailureReason;
use tasuki_model::secret::Secret;
use tasuki_rt::Tasks;
use tasuki_runner::executor::docker::Docker;
use tasuki_runner::executor::{Collected, Executor as _, RegistryLogin, Stop, Task};

use crate::conformance::task;
use crate::engine::{BUSYBOX, chain, docker, images, settings};

/// `host:port` of a registry whose user is `builder` and whose password is `secret`.
fn registry() -> String {
    std::env::vars()
        .find_map(|(key, value)| (key == "TASUKI_TEST_REGISTRY").then_some(value))
        .expect("TASUKI_TEST_REGISTRY names a registry; run `cargo xtask test docker`")
}

/// `DOCKER_AUTH_CONFIG`, `config.json`, the payload's credentials; whose word counts.
type Case<'a> = (Option<String>, Option<String>, Vec<RegistryLogin>, Option<&'a str>);

/// Every source of credentials is enough, and the first that speaks of the registry counts.
#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn credentials_are_found_in_their_order() {
    images();
    let registry = registry();
    let name = format!("{registry}/group/busybox:1");
    docker(&["tag", BUSYBOX, &name]);
    let folder = tempfile::tempdir().expect("a folder");
    let own_config = folder.path().join("config");
    std::fs::create_dir(&own_config).expect("a folder");
    let client = text(&own_config);
    docker(&["--config", &client, "login", "-u", "builder", "-p", "secret", &registry]);
    docker(&["--config", &client, "push", &name]);

    let auth = |password: &str| base64::prelude::BASE64_STANDARD.encode(format!("builder:{password}"));
    let with = |password: &str| json!({"auths": {(registry.as_str()): {"auth": auth(password)}}}).to_string();
    let helped = json!({"credHelpers": {(registry.as_str()): "test"}}).to_string();
    let login = |password: &str| {
        vec![RegistryLogin {
            registry: registry.clone(),
            user: "builder".to_owned(),
            password: Secret::new(password),
        }]
    };
    let cases: [Case<'_>; 8] = [
        (None, None, Vec::new(), None),
        (Some(with("secret")), None, Vec::new(), Some("DOCKER_AUTH_CONFIG")),
        (
            Some(with("secret")),
            Some(with("wrong")),
            login("wrong"),
            Some("DOCKER_AUTH_CONFIG"),
        ),
        (Some(with("wrong")), Some(with("secret")), login("secret"), None),
        (
            None,
            Some(with("secret")),
            login("wrong"),
            Some("the runner's config.json"),
        ),
        (
            Some("{}".to_owned()),
            None,
            login("secret"),
            Some("the job's credentials"),
        ),
        (
            Some("no json".to_owned()),
            None,
            login("secret"),
            Some("the job's credentials"),
        ),
        (Some(helped), None, login("wrong"), Some("DOCKER_AUTH_CONFIG")),
    ];
    let helpers = folder.path().join("bin");
    std::fs::create_dir(&helpers).expect("a folder");
    let helper = helpers.join("docker-credential-test");
    std::fs::write(&helper, "#!/bin/sh\nread server\necho \"{\\\"ServerURL\\\": \\\"$server\\\", \\\"Username\\\": \\\"builder\\\", \\\"Secret\\\": \\\"secret\\\"}\"\n").expect("is written");
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).expect("is ours");
    for (variable, file, logins, source) in cases {
        let shown = format!("{source:?} {}", variable.is_some());
        let config_dir = folder.path().join("of-the-runner");
        std::fs::create_dir_all(&config_dir).expect("a folder");
        std::fs::write(config_dir.join("config.json"), file.unwrap_or_else(|| "{}".to_owned())).expect("is written");
        let mut settings = settings("", folder.path().join("state"));
        settings.surroundings.config_dir = Some(config_dir);
        settings.surroundings.path = format!("{}:{}", helpers.display(), settings.surroundings.path);
        settings.config.allowed_pull_policies = vec!["always".to_owned()];
        let executor = Docker::new(settings, Tasks::new()).expect("is configured");
        let task = Task {
            image: Some(Image {
                name: name.clone(),
                pull_policy: vec![PullPolicy::Always],
                ..Image::default()
            }),
            variables: variable
                .map(|text| ("DOCKER_AUTH_CONFIG".to_owned(), text))
                .into_iter()
                .collect(),
            registry_logins: logins,
            ..task()
        };
        let output = std::sync::Arc::new(Collected::default());
        let made = executor.prepare(task, Stop::new(), output.clone()).await;
        let printed = output.text();
        match (made, source) {
            (Ok(sandbox), Some(source)) => {
                assert!(
                    printed.contains(&format!("Authenticating with credentials from {source}")),
                    "{shown}: {printed}"
                );
                sandbox.teardown().await.expect("is torn down");
            }
            (Err(error), None) => assert_eq!(
                error.reason(),
                FailureReason::ImagePullFailure,
                "{shown}: {}",
                chain(&error)
            ),
            (Ok(_), None) => panic!("{shown}: pulled without a good password: {printed}"),
            (Err(error), Some(_)) => panic!("{shown}: {} {printed}", chain(&error)),
        }
        assert!(!printed.contains("secret"), "{printed}");
    }
}

fn text(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}
