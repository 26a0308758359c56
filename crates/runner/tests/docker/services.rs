//! Containers beside the job's own.

use tasuki_model::plan::{Image, Service, Variable};
use tasuki_model::reason::FailureReason;
use tasuki_runner::executor::Task;

use crate::conformance::task;
use crate::engine::{chain, image, place, run_in, script};

fn service(name: &str, aliases: &[&str]) -> Service {
    Service {
        image: image(name),
        aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
    }
}

fn with(services: Vec<Service>) -> Task {
    Task { services, ..task() }
}

#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn jobs_reach_services_by_every_name() {
    let place = place("");
    let (made, printed) = place
        .prepare(with(vec![service("tasuki-test/web:1", &["web", "site"])]))
        .await;
    assert!(
        printed.contains("Waiting for services to be up and running"),
        "{printed}"
    );
    assert!(!printed.contains("probably didn't start"), "{printed}");
    let sandbox = made.expect("a sandbox");
    let text = "for name in web site tasuki-test__web tasuki-test-web; do wget -qO- http://$name:8080/; done";
    let (_, printed) = run_in(&*sandbox, script(text)).await;
    assert_eq!(printed, "served\n".repeat(4));
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}

/// On the engine's default bridge nobody has a name: services are reached by links, and looked at by their address.
#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn services_on_the_default_bridge_are_linked_and_waited_for() {
    let place = place("network_mode = \"bridge\"\nwait_for_services_timeout = 5");
    let (made, printed) = place
        .prepare(with(vec![
            service("tasuki-test/web:1", &["web"]),
            service("tasuki-test/silent:1", &["db"]),
        ]))
        .await;
    assert!(
        printed.contains("Service tasuki-test/silent:1 probably didn't start"),
        "{printed}"
    );
    assert!(!printed.contains("Service tasuki-test/web:1 probably"), "{printed}");
    let sandbox = made.expect("a sandbox");
    let (_, printed) = run_in(&*sandbox, script("wget -qO- http://web:8080/")).await;
    assert_eq!(printed, "served\n");
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}

#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn a_silent_service_is_warned_of() {
    let place = place("wait_for_services_timeout = 1");
    let twice = vec![
        service("tasuki-test/silent:1", &["db"]),
        service("tasuki-test/silent:1", &["db"]),
    ];
    let (made, printed) = place.prepare(with(twice)).await;
    assert!(
        printed.contains("Service tasuki-test/silent:1 probably didn't start properly"),
        "{printed}"
    );
    assert!(printed.contains("I do not listen"), "its log is shown: {printed}");
    assert!(
        printed.contains("already created under the name db. Ignoring."),
        "{printed}"
    );
    made.expect("a sandbox nevertheless")
        .teardown()
        .await
        .expect("is torn down");
    place.ends().await;
}

#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn services_are_set_up_as_told() {
    let place =
        place("wait_for_services_timeout = -1\n[[services]]\nname = \"tasuki-test/web:1\"\nalias = \"runners\"");
    let own = Service {
        image: Image {
            entrypoint: Some(vec!["sh".to_owned(), "-c".to_owned()]),
            command: Some(vec![
                "echo \"$GREETING from $OPEN\" > /www/index.html; exec httpd -f -p 80 -h /www".to_owned(),
            ]),
            variables: vec![Variable::plain("GREETING", "hello $OPEN")],
            ..image("tasuki-test/busybox:1")
        },
        aliases: vec!["own".to_owned()],
    };
    let task = Task {
        variables: vec![
            ("OPEN".to_owned(), "seen".to_owned()),
            ("SECRET".to_owned(), "x".to_owned()),
        ],
        public_variables: vec![("OPEN".to_owned(), "seen".to_owned())],
        ..with(vec![own])
    };
    let sandbox = place.sandbox(task).await;
    let text = "for url in http://own/ http://runners:8080/; do for try in 1 2 3 4 5 6 7 8 9; do wget -qO- $url 2>/dev/null && break; sleep 0.3; done; done";
    let (_, printed) = run_in(&*sandbox, script(text)).await;
    assert_eq!(printed, "hello seen from seen\nserved\n");
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}

#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn services_are_limited() {
    let place = place("services_limit = 1\nallowed_services = [\"tasuki-test/web:*\"]");
    for (services, said) in [
        (vec![service("tasuki-test/web:1", &[]); 2], "services_limit"),
        (vec![service("tasuki-test/silent:1", &[])], "allowed_services"),
    ] {
        let (made, _) = place.prepare(with(services)).await;
        let error = made.err().expect("is refused");
        assert_eq!(error.reason(), FailureReason::RunnerConfigurationError);
        assert!(error.to_string().contains(said), "{}", chain(&error));
    }
    place.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn logs_of_services_are_shown_when_asked_for() {
    let place = place("wait_for_services_timeout = -1");
    let output = std::sync::Arc::new(tasuki_runner::executor::Collected::default());
    let task = Task {
        variables: vec![("CI_DEBUG_SERVICES".to_owned(), "true".to_owned())],
        ..with(vec![service("tasuki-test/silent:1", &["db"])])
    };
    let made =
        tasuki_runner::executor::Executor::prepare(&place.docker, task, Default::default(), output.clone()).await;
    let sandbox = made.expect("a sandbox");
    while !output.text().contains("[service:db] I do not listen\n") {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}
