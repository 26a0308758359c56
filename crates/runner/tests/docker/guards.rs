//! Jobs that try to get round what the configuration allows.

use std::sync::Arc;

use serde_json::{Value, json};
use tasuki_model::plan::{Image, PullPolicy, Service};
use tasuki_model::reason::FailureReason;
use tasuki_runner::executor::{Collected, Executor as _, Stop, Task};

use crate::conformance::task;
use crate::engine::{BUSYBOX, Place, chain, docker, image, place, run_in, script};

fn with(image: Image) -> Task {
    Task {
        image: Some(image),
        ..task()
    }
}

fn beside(image: Image) -> Task {
    let aliases = vec!["it".to_owned()];
    Task {
        services: vec![Service { image, aliases }],
        ..task()
    }
}

/// Refused by the configuration, before anything is made.
async fn refused(place: &Place, task: Task, key: &str, shown: &str) {
    let (made, printed) = place.prepare(task).await;
    let error = made
        .err()
        .unwrap_or_else(|| panic!("{shown} is let through: {printed}"));
    let reason = FailureReason::RunnerConfigurationError;
    assert_eq!(error.reason(), reason, "{shown}: {}", chain(&error));
    assert!(error.to_string().contains(key), "{shown}: {}", chain(&error));
    assert_eq!(place.docker.audit().await.expect("is counted"), Vec::<String>::new());
}

/// What the engine says about the containers of jobs.
fn containers() -> Vec<Value> {
    let ids = docker(&["ps", "-aq", "--filter", "label=io.tasuki.sandbox"]);
    let mut inspect = vec!["inspect"];
    inspect.extend(ids.split_whitespace());
    serde_json::from_str(&docker(&inspect)).expect("is JSON")
}

#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn images_by_other_names() {
    let patterns = "[\"registry.example:5000/team/*:*\", \"tasuki-test/busybox:*\"]";
    let place = place(&format!("allowed_images = {patterns}\nallowed_services = {patterns}"));
    let id = docker(&["image", "inspect", "--format", "{{.Id}}", BUSYBOX]);
    let short = id.trim_start_matches("sha256:").get(..12).unwrap_or_default();
    let digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    for name in [
        "registry.example:5000/team/deep/er:1",
        "registry.example:5000/team/../other/image:1",
        "registry.example:5000/other/image:1",
        "registry.example:5001/team/image:1",
        "registry.example/team/image:1",
        "REGISTRY.EXAMPLE:5000/team/image:1",
        "registry.example:5000/TEAM/image:1",
        "registry.example:5000.evil/team/image:1",
        "evil/registry.example:5000/team/image:1",
        "docker.io/tasuki-test/busybox:1",
        "index.docker.io/tasuki-test/busybox:1",
        "evil/tasuki-test/busybox:1",
        "tasuki-test/busybox",
        "tasuki-test/busybox-evil:1",
        "TASUKI-TEST/busybox:1",
        " tasuki-test/busybox:1",
        "./tasuki-test/busybox:1",
        "tasuki-test//busybox:1",
        "tasuki-test/busybox:1/../../evil:1",
        "tasuki-test/[b]usybox:1",
        "tasuki-test/{busybox,evil}:1",
        "tasuki-test/busy*:1",
        "tasuki-test/busybox\\:1",
        "*",
        "**",
        "..",
        "",
        &format!("tasuki-test/busybox@{digest}"),
        &id,
        short,
    ] {
        if !name.is_empty() {
            refused(&place, beside(image(name)), "allowed_services", name).await;
        }
        refused(&place, with(image(name)), "allowed_images", name).await;
    }
    // A digest behind a tag that is allowed is of the same repository; this one has none such.
    let (made, _) = place.prepare(with(image(&format!("{BUSYBOX}@{digest}")))).await;
    let error = made.err().expect("there is no such image");
    assert_eq!(error.reason(), FailureReason::ImagePullFailure, "{}", chain(&error));
    place
        .sandbox(with(image(BUSYBOX)))
        .await
        .teardown()
        .await
        .expect("is torn down");
    place.ends().await;
}

#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn privileges_of_images_that_only_look_alike() {
    for patterns in [
        "\"busybox:*\"",
        "\"*\"",
        "\"tasuki-test/busybox\"",
        "\"TASUKI-TEST/busybox:*\"",
        "\"tasuki-test/busybox:1-*\"",
        "\"docker.io/tasuki-test/busybox:*\"",
        "\"[\"",
    ] {
        let place = place(&format!(
            "privileged = true\nallowed_privileged_images = [{patterns}]\nallowed_privileged_services = [{patterns}]\n\
             wait_for_services_timeout = -1"
        ));
        let command = ["sleep", "1000"].map(str::to_owned).to_vec();
        let service = Image {
            command: Some(command),
            ..image(BUSYBOX)
        };
        let sandbox = place.sandbox(beside(service)).await;
        let all = containers();
        assert_eq!(all.len(), 3, "{patterns}");
        for container in &all {
            assert_eq!(
                container["HostConfig"]["Privileged"], false,
                "{patterns}: {}",
                container["Name"]
            );
        }
        sandbox.teardown().await.expect("is torn down");
        place.ends().await;
    }
}

#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn users_and_pull_policies_of_a_jobs_wish() {
    let place = place("allowed_users = [\"1000\"]\nallowed_pull_policies = [\"never\", \"if-not-present\"]");
    for user in ["0", "root", "1000:0", "01000", "1000 ", " 1000", "1000\n", "user", "-1"] {
        let wish = || Image {
            user: Some(user.to_owned()),
            ..image(BUSYBOX)
        };
        refused(&place, with(wish()), "allowed_users", user).await;
    }
    let always = || Image {
        pull_policy: vec![PullPolicy::Always],
        ..image(BUSYBOX)
    };
    refused(&place, with(always()), "allowed_pull_policies", "always").await;
    for service in [
        Image {
            user: Some("root".to_owned()),
            ..image(BUSYBOX)
        },
        always(),
    ] {
        let (made, printed) = place.prepare(beside(service)).await;
        let error = made.err().unwrap_or_else(|| panic!("is let through: {printed}"));
        assert_eq!(
            error.reason(),
            FailureReason::RunnerConfigurationError,
            "{}",
            chain(&error)
        );
        assert_eq!(place.docker.audit().await.expect("is counted"), Vec::<String>::new());
    }
    place.ends().await;
}

#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn entrypoints_stay_the_images_own() {
    let place = place("disable_entrypoint_overwrite = true\nwait_for_services_timeout = -1");
    let wish = |name: &str| Image {
        entrypoint: Some(vec!["/bin/sh".to_owned(), "-c".to_owned()]),
        command: Some(vec!["sleep".to_owned(), "1000".to_owned()]),
        ..image(name)
    };
    let task = Task {
        image: Some(wish("tasuki-test/entry:1")),
        ..beside(wish("tasuki-test/entry:1"))
    };
    let (made, printed) = place.prepare(task).await;
    let sandbox = made.unwrap_or_else(|error| panic!("{}: {printed}", chain(&error)));
    assert_eq!(
        printed.matches("(disable_entrypoint_overwrite)").count(),
        2,
        "{printed}"
    );
    let entrypoints = containers();
    let theirs = entrypoints
        .iter()
        .filter(|container| container["Config"]["Labels"]["com.gitlab.gitlab-runner.type"] != "predefined");
    let theirs: Vec<&Value> = theirs.map(|container| &container["Config"]["Entrypoint"]).collect();
    assert_eq!(theirs, [&json!(["/entry"]), &json!(["/entry"])]);
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}

#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn volumes_lead_nowhere_else() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("mine")).expect("a folder");
    let at = folder.path().display();
    let place = place(&format!("volumes = [\"{at}/$WHICH:/mounted\"]"));
    let wish = |value: &str| Task {
        variables: vec![("WHICH".to_owned(), value.to_owned())],
        ..task()
    };
    for value in [
        "../../../../etc",
        "mine/../../..",
        "mine:/etc",
        "..",
        "mine:/mounted:rw,z:",
    ] {
        refused(&place, wish(value), "the variable WHICH", value).await;
    }
    let sandbox = place.sandbox(wish("mine")).await;
    run_in(&*sandbox, script("touch /mounted/here")).await;
    assert!(folder.path().join("mine/here").exists());
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}

/// While an image is pulled, and after: in no process of this machine, and in nothing that the engine shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn credentials_are_nowhere_to_be_seen() {
    const PASSWORD: &str = "password-of-the-registry-5e1f";
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let registry = silent.local_addr().expect("is bound").to_string();
    let auth = json!({"auths": {(registry.as_str()): {"username": "builder", "password": PASSWORD}}}).to_string();
    let variables = vec![("DOCKER_AUTH_CONFIG".to_owned(), auth)];
    let place = place("");
    let pulled = Task {
        variables: variables.clone(),
        ..with(Image {
            pull_policy: vec![PullPolicy::IfNotPresent],
            ..image(&format!("{registry}/private/image:1"))
        })
    };
    let (stop, output) = (Stop::new(), Arc::new(Collected::default()));
    let look = async {
        let connection = silent.accept().await.expect("the engine asks");
        let found = processes_with(PASSWORD);
        stop.graceful();
        (connection, found)
    };
    let (made, (_connection, found)) = tokio::join!(place.docker.prepare(pulled, stop.clone(), output.clone()), look);
    made.err().expect("it was stopped");
    assert_eq!(found, Vec::<String>::new());
    assert!(
        output.text().contains("Authenticating with credentials"),
        "{}",
        output.text()
    );
    assert!(!output.text().contains(PASSWORD), "{}", output.text());
    let sandbox = place.sandbox(Task { variables, ..task() }).await;
    run_in(&*sandbox, script("true")).await;
    let shown = serde_json::to_string(&containers()).expect("is JSON");
    assert!(
        !shown.contains(PASSWORD) && !shown.contains("DOCKER_AUTH_CONFIG"),
        "{shown}"
    );
    assert_eq!(processes_with(PASSWORD), Vec::<String>::new());
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}

/// Command lines on this machine that hold a text.
fn processes_with(text: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("is Linux").flatten();
    let lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(text))
        .collect()
}
