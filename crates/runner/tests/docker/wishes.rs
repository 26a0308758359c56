//! What GitHub's and CircleCI's jobs wish of their containers: ports, health, options, one network for all; containers of actions.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;

use tasuki_model::plan::{ActionImage, Image, Meeting, Port, Service};
use tasuki_model::reason::FailureReason;
use tasuki_runner::executor::{Collected, Contained, Exit, Sandbox, Stop, Task};

use crate::conformance::task;
use crate::engine::{BUSYBOX, chain, docker, image, place, run_in, script};

fn web(options: &str, ports: &[(u16, Option<u16>)]) -> Service {
    let port = |&(number, host)| Port {
        number,
        protocol: None,
        name: None,
        host,
        address: None,
    };
    Service {
        image: Image {
            options: Some(options.to_owned()),
            ports: ports.iter().map(port).collect(),
            ..image("tasuki-test/web:1")
        },
        aliases: vec!["web".to_owned()],
    }
}

fn with(meeting: Meeting, services: Vec<Service>) -> Task {
    Task {
        meeting,
        services,
        ..task()
    }
}

/// What the web server says at a port of this machine.
fn ask(port: &str) -> String {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).expect("something listens");
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("is asked");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answers");
    text
}

/// A port is at this machine, at its loopback alone, and at the job's own `localhost`.
#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn ports_are_bound_on_the_machine() {
    let place = place("");
    let health = "--health-cmd 'wget -qO- http://127.0.0.1:8080/' --health-interval 500ms";
    let services = vec![web(health, &[(8080, None), (8080, Some(18_090))])];
    let sandbox = place.sandbox(with(Meeting::Ports, services)).await;
    let facts = sandbox.containers();
    assert_eq!(facts.job, None, "the job asked for none");
    let (name, service) = facts.services.first().expect("is known");
    assert_eq!(name, "web");
    let port = service.ports.get("8080").expect("is bound");
    assert!(ask(port).ends_with("served\n"));
    assert!(ask("18090").ends_with("served\n"));
    let bound = docker(&["inspect", "--format", "{{json .HostConfig.PortBindings}}", &service.id]);
    assert_eq!(bound.matches("127.0.0.1").count(), 2, "{bound}");
    let text =
        format!("wget -qO- http://localhost:{port}/; wget -qO- http://127.0.0.1:18090/; wget -qO- http://web:8080/");
    let (_, printed) = run_in(&*sandbox, script(&text)).await;
    assert_eq!(printed, "served\n".repeat(3));
    assert_eq!(
        docker(&["network", "inspect", "--format", "{{.Name}}", &service.network]),
        service.network
    );

    // The same port for another job: a clear refusal, and nothing of it stays.
    let before = docker(&["ps", "-aq"]).lines().count();
    let (made, printed) = place
        .prepare(with(Meeting::Ports, vec![web("", &[(8080, Some(18_090))])]))
        .await;
    let error = made.err().expect("is taken");
    assert_eq!(
        error.reason(),
        FailureReason::RunnerConfigurationError,
        "{}",
        chain(&error)
    );
    assert!(
        error.to_string().contains("somebody else on the machine has it"),
        "{error} {printed}"
    );
    assert_eq!(docker(&["ps", "-aq"]).lines().count(), before);
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}

#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn ports_need_a_network_of_their_own() {
    for mode in ["host", "none"] {
        let place = place(&format!("network_mode = \"{mode}\""));
        let (made, _) = place
            .prepare(with(Meeting::Ports, vec![web("", &[(8080, None)])]))
            .await;
        let error = made.err().expect("is refused");
        assert_eq!(error.reason(), FailureReason::RunnerConfigurationError);
        assert!(error.to_string().contains("network_mode"), "{error}");
        place.ends().await;
    }
}

/// Names of volumes are the job's own: neither another's nor the runner's are reached by them.
#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn volumes_by_name_are_the_jobs_own() {
    let place = place("wait_for_services_timeout = -1");
    let guests = docker(&["volume", "ls", "-q", "--filter", "label=io.tasuki.kept=guest"]);
    let guest = guests.lines().next().unwrap_or("tasuki-guest").to_owned();
    let volumes = vec![format!("{guest}:/mine"), "/fresh".to_owned()];
    let wish = || Task {
        image: Some(Image {
            volumes: volumes.clone(),
            ..image(BUSYBOX)
        }),
        ..with(Meeting::Ports, Vec::new())
    };
    for _ in 0..2 {
        let sandbox = place.sandbox(wish()).await;
        let text = "ls -A /mine /fresh | grep -v : ; echo left > /mine/x; echo left > /fresh/x";
        let (ended, printed) = run_in(&*sandbox, script(text)).await;
        assert_eq!(
            (ended.exit, printed.trim()),
            (Exit::Code(0), ""),
            "it is empty each time"
        );
        sandbox.teardown().await.expect("is torn down");
    }
    assert_eq!(docker(&["volume", "ls", "-q", "--filter", "name=-volume-"]), "");
    place.ends().await;
}

/// All containers have one `localhost`, and the names of services lead there.
#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn containers_share_localhost() {
    for config in [
        "",
        "network_mode = \"bridge\"",
        "extra_hosts = [\"far:192.0.2.1\"]\ndns = [\"192.0.2.2\"]\nhostname = \"own\"",
    ] {
        let place = place(config);
        let (made, printed) = place.prepare(with(Meeting::Localhost, vec![web("", &[])])).await;
        let sandbox = made.unwrap_or_else(|error| panic!("{config}: {} {printed}", chain(&error)));
        assert!(!printed.contains("probably didn't start"), "{printed}");
        let text = "wget -qO- http://localhost:8080/; wget -qO- http://web:8080/; (echo back | nc -l -p 9 > /dev/null) & grep -c web /etc/hosts";
        let (_, printed) = run_in(&*sandbox, script(text)).await;
        assert_eq!(printed, "served\nserved\n3\n", "{config}");
        sandbox.teardown().await.expect("is torn down");
        place.ends().await;
    }
}

fn contained(program: &[&str]) -> Contained {
    Contained {
        image: ActionImage::Named(BUSYBOX.to_owned()),
        entrypoint: Some(program[0].to_owned()),
        args: Some(program[1..].iter().map(|&word| word.to_owned()).collect()),
        env: vec![("TOKEN".to_owned(), "not to be seen".to_owned())],
        links: vec![(PathBuf::from("/github/workspace"), PathBuf::from("/builds"))],
        cwd: PathBuf::from("/github/workspace"),
        timeout: None,
        stop: Stop::new(),
    }
}

async fn contain(sandbox: &dyn Sandbox, what: Contained) -> (Exit, String) {
    let output = Collected::default();
    let ended = sandbox.run_container(what, &output).await;
    let ended = ended.unwrap_or_else(|error| panic!("{}: {}", chain(&error), output.text()));
    (ended.exit, output.text())
}

/// Containers of actions: their end, their environment, their stop; nobody else sees what they were given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn containers_of_actions_end_as_they_should() {
    let place = place("");
    let sandbox = place.sandbox(task()).await;
    let (exit, printed) = contain(
        &*sandbox,
        contained(&["sh", "-c", "echo $TOKEN $FROM_IMAGE; pwd; exit 4"]),
    )
    .await;
    assert_eq!(exit, Exit::Code(4));
    assert!(printed.contains("not to be seen yes\n/github/workspace\n"), "{printed}");
    let (exit, _) = contain(&*sandbox, contained(&["sh", "-c", "kill -9 $$"])).await;
    assert_eq!(exit, Exit::Signal(9));
    let short = Contained {
        timeout: Some(std::time::Duration::from_millis(300)),
        ..contained(&["sleep", "1000"])
    };
    assert_eq!(contain(&*sandbox, short).await.0, Exit::TimedOut);
    // While it runs, nobody who looks at containers sees its environment.
    let long = contained(&["sh", "-c", "echo is up; sleep 1000 & wait"]);
    let stop = long.stop.clone();
    let output = Collected::default();
    let look = async {
        while !output.text().contains("is up") {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let all = docker(&["ps", "-q", "--filter", "label=io.tasuki.sandbox"]);
        let seen = docker(&[&["inspect"], &all.lines().collect::<Vec<_>>()[..]].concat());
        assert!(seen.contains("-action-") && !seen.contains("not to be seen"), "{seen}");
        stop.graceful();
    };
    let (ended, ()) = tokio::join!(sandbox.run_container(long.clone(), &output), look);
    assert_eq!(ended.expect("ends").exit, Exit::Stopped);
    let actions = ["ps", "-aq", "--filter", "label=com.gitlab.gitlab-runner.type=action"];
    assert_eq!(docker(&actions), "");
    let missing = Contained {
        entrypoint: Some("/no/such".to_owned()),
        ..contained(&["x"])
    };
    let error = sandbox
        .run_container(missing, &Collected::default())
        .await
        .expect_err("is not there");
    assert_eq!(error.reason(), FailureReason::ScriptFailure, "{}", chain(&error));
    assert_eq!(docker(&actions), "");
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}

/// An action's image is judged as a job's: names by their patterns, and what is built has none.
#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn images_of_actions_are_limited() {
    let place = place("allowed_images = [\"tasuki-test/busybox:*\"]");
    let sandbox = place.sandbox(task()).await;
    let other = ActionImage::Named("tasuki-test/web:1".to_owned());
    let built = ActionImage::Built {
        folder: "a".to_owned(),
        file: "Dockerfile".to_owned(),
    };
    for image in [other, built] {
        let what = Contained {
            image,
            ..contained(&["true"])
        };
        let error = sandbox
            .run_container(what, &Collected::default())
            .await
            .expect_err("is refused");
        assert_eq!(error.reason(), FailureReason::RunnerConfigurationError);
        assert!(error.to_string().contains("allowed_images"), "{error}");
    }
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}
