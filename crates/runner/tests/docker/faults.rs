//! What goes wrong with an engine: each fault is told as whose it is, and leaves nothing.

use std::sync::Arc;
use std::time::Duration;

use tasuki_model::plan::{Image, PullPolicy};
use tasuki_model::reason::FailureReason;
use tasuki_rt::Tasks;
use tasuki_runner::executor::docker::Docker;
use tasuki_runner::executor::{Collected, Discard, Error, Executor as _, Sandbox, Stop, Task};

use crate::conformance::task;
use crate::engine::{chain, docker, place, run_in, script, settings};
use crate::own::{OwnEngine, run};

async fn prepare(executor: &Docker, task: Task) -> (Result<Box<dyn Sandbox>, Error>, String) {
    let output = Arc::new(Collected::default());
    let made = executor.prepare(task, Stop::new(), output.clone()).await;
    (made, output.text())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn an_engine_that_restarts_in_mid_job_is_our_fault_and_leaves_nothing() {
    let mut engine = OwnEngine::start("restart", &[]).with_busybox();
    let state = tempfile::tempdir().expect("a folder");
    let executor = engine.executor(&engine.host(), "", state.path());
    let (made, printed) = prepare(&executor, task()).await;
    let sandbox = made.unwrap_or_else(|error| panic!("{}: {printed}", chain(&error)));
    let output = Collected::default();
    let stop = async {
        while output.all().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::task::block_in_place(|| engine.stop());
    };
    let (ended, ()) = tokio::join!(sandbox.run(script("echo here; sleep 1000"), &output), stop);
    let error = ended.expect_err("has no end");
    assert_eq!(error.reason(), FailureReason::RunnerSystemFailure, "{}", chain(&error));
    assert!(error.is_transient());
    assert!(
        ["went away in mid-job", "was stopped or removed from outside"]
            .iter()
            .any(|words| chain(&error).contains(words)),
        "{}",
        chain(&error)
    );
    let left = sandbox.teardown().await.expect_err("nobody answers");
    assert!(chain(&left).contains("does not answer"), "{}", chain(&left));
    let refused = prepare(&executor, task()).await.0.err().expect("nobody answers");
    assert!(
        refused.is_transient() && chain(&refused).contains("does not answer"),
        "{}",
        chain(&refused)
    );
    tokio::task::block_in_place(|| engine.run());
    // The next job is served, and the next sweep finds what was left. It belongs to a process that lives: a restarted runner
    // takes it for dead.
    let (made, printed) = prepare(&executor, task()).await;
    let next = made.unwrap_or_else(|error| panic!("{}: {printed}", chain(&error)));
    let (ended, _) = run_in(&*next, script("true")).await;
    assert!(ended.exit.success());
    next.teardown().await.expect("is torn down");
    drop(executor);
    let executor = engine.executor(&engine.host(), "", state.path());
    executor.sweep().await.expect("sweeps");
    assert_eq!(executor.audit().await.expect("is counted"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn an_engine_without_addresses_says_what_helps() {
    let pool = ["--default-address-pool", "base=10.201.7.0/24,size=24"];
    let engine = OwnEngine::start("pool", &pool).with_busybox();
    let state = tempfile::tempdir().expect("a folder");
    let executor = engine.executor(&engine.host(), "", state.path());
    let (first, printed) = prepare(&executor, task()).await;
    let first = first.unwrap_or_else(|error| panic!("{}: {printed}", chain(&error)));
    let before = executor.audit().await.expect("is counted").len();
    let error = prepare(&executor, task())
        .await
        .0
        .err()
        .expect("there is one network only");
    assert!(error.is_transient(), "it may be free again: {}", chain(&error));
    assert!(chain(&error).contains("default-address-pools"), "{}", chain(&error));
    assert_eq!(
        executor.audit().await.expect("is counted").len(),
        before,
        "nothing of it stays"
    );
    first.teardown().await.expect("is torn down");
    let (again, printed) = prepare(&executor, task()).await;
    let again = again.unwrap_or_else(|error| panic!("{}: {printed}", chain(&error)));
    again.teardown().await.expect("is torn down");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn an_engine_without_room_is_our_fault() {
    let small = tempfile::tempdir().expect("a folder");
    let at = small.path().to_string_lossy().into_owned();
    run("mount", &["-t", "tmpfs", "-o", "size=12m", "tmpfs", &at]);
    let _mounted = Mounted(at.clone());
    let data = format!("{at}/data");
    let engine = OwnEngine::start("full", &["--data-root", &data]).with_busybox();
    let state = tempfile::tempdir().expect("a folder");
    let executor = engine.executor(&engine.host(), "", state.path());
    let error = prepare(&executor, task()).await.0.err().expect("there is no room");
    assert_eq!(error.reason(), FailureReason::RunnerSystemFailure, "{}", chain(&error));
    assert!(
        error.is_transient() && chain(&error).contains("no space left on device"),
        "{}",
        chain(&error)
    );
    assert_eq!(executor.audit().await.expect("is counted"), Vec::<String>::new());
}

struct Mounted(String);

impl Drop for Mounted {
    fn drop(&mut self) {
        #[expect(clippy::disallowed_methods, reason = "a test beside the executor")]
        drop(std::process::Command::new("umount").args(["--lazy", &self.0]).status());
    }
}

#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn a_registry_that_does_not_answer_holds_up_no_stop() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let name = format!(
        "127.0.0.1:{}/slow/image:1",
        silent.local_addr().expect("is bound").port()
    );
    let place = place("");
    let image = Image {
        name,
        pull_policy: vec![PullPolicy::IfNotPresent],
        ..Image::default()
    };
    let task = Task {
        image: Some(image),
        ..task()
    };
    let stop = Stop::new();
    let asked = async {
        let connection = silent.accept().await.expect("the engine asks");
        stop.graceful();
        connection
    };
    let (made, _connection) = tokio::join!(place.docker.prepare(task, stop.clone(), Arc::new(Discard)), asked);
    assert!(matches!(made, Err(Error::Stopped)));
    assert_eq!(place.docker.audit().await.expect("is counted"), Vec::<String>::new());
    place.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn a_container_that_is_killed_from_outside_is_our_fault() {
    let place = place("");
    let sandbox = place.sandbox(task()).await;
    let output = Collected::default();
    let kill = async {
        while output.all().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let build = docker(&["ps", "-q", "--filter", "label=com.gitlab.gitlab-runner.type=build"]);
        docker(&["kill", &build]);
    };
    let (ended, ()) = tokio::join!(sandbox.run(script("echo here; sleep 1000"), &output), kill);
    let error = ended.expect_err("has no end");
    assert_eq!(error.reason(), FailureReason::RunnerSystemFailure, "{}", chain(&error));
    assert!(
        chain(&error).contains("stopped or removed from outside"),
        "{}",
        chain(&error)
    );
    sandbox.teardown().await.expect("is torn down");
    assert_eq!(place.docker.audit().await.expect("is counted"), Vec::<String>::new());
    place.ends().await;
}

/// Certificates for `127.0.0.1` by an authority of its own: `ca.pem`, `cert.pem`, `key.pem`, and `server-….pem`.
fn certificates(folder: &std::path::Path) {
    let at = |name: &str| folder.join(name).to_string_lossy().into_owned();
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(
        folder.join("server.ext"),
        "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n",
    )
    .expect("is written");
    std::fs::write(folder.join("client.ext"), "extendedKeyUsage=clientAuth\n").expect("is written");
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let (ca, ca_key) = (at("ca.pem"), at("ca-key.pem"));
    let mut authority = vec![
        "req",
        "-x509",
        "-subj",
        "/CN=test authority",
        "-days",
        "2",
        "-keyout",
        &ca_key,
        "-out",
        &ca,
    ];
    authority.extend(key);
    run("openssl", &authority);
    for (name, extensions, certificate, private) in [
        ("server", "server.ext", "server-cert.pem", "server-key.pem"),
        ("client", "client.ext", "cert.pem", "key.pem"),
    ] {
        let (request, private) = (at("request.pem"), at(private));
        let subject = format!("/CN={name}");
        let mut asked = vec!["req", "-subj", &subject, "-keyout", &private, "-out", &request];
        asked.extend(key);
        run("openssl", &asked);
        run(
            "openssl",
            &[
                "x509",
                "-req",
                "-in",
                &request,
                "-CA",
                &ca,
                "-CAkey",
                &ca_key,
                "-CAcreateserial",
                "-days",
                "2",
                "-extfile",
                &at(extensions),
                "-out",
                &at(certificate),
            ],
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn an_engine_is_reached_by_tcp_with_certificates_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, foreign) = (folder.path().join("ours"), folder.path().join("foreign"));
    certificates(&ours);
    certificates(&foreign);
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("is bound");
    let address = format!("tcp://{free}");
    let file = |name: &str| ours.join(name).to_string_lossy().into_owned();
    let engine = OwnEngine::start(
        "tls",
        &[
            "--host",
            &address,
            "--tlsverify",
            "--tlscacert",
            &file("ca.pem"),
            "--tlscert",
            &file("server-cert.pem"),
            "--tlskey",
            &file("server-key.pem"),
        ],
    )
    .with_busybox();
    let with =
        |certificates: &std::path::Path| format!("tls_cert_path = \"{}\"\ntls_verify = true", certificates.display());
    let executor = engine.executor(&address, &with(&ours), &folder.path().join("state"));
    let (made, printed) = prepare(&executor, task()).await;
    let sandbox = made.unwrap_or_else(|error| panic!("{}: {printed}", chain(&error)));
    let (ended, printed) = run_in(&*sandbox, script("echo over TLS; exit 7")).await;
    assert_eq!((ended.exit.code(), printed.as_str()), (Some(7), "over TLS\n"));
    sandbox.teardown().await.expect("is torn down");
    assert_eq!(executor.audit().await.expect("is counted"), Vec::<String>::new());
    // Neither an engine that another authority vouches for, nor one that wants a certificate and gets none.
    for (config, words) in [(with(&foreign), "certificate"), (String::new(), "does not answer")] {
        let executor = engine.executor(&address, &config, &folder.path().join("state"));
        let error = prepare(&executor, task()).await.0.err().expect("is refused");
        let said = chain(&error);
        assert!(
            error.is_transient() && (said.contains(words) || said.contains("HTTP request to an HTTPS server")),
            "{said}"
        );
    }
}

#[test]
#[ignore = "needs a container engine: cargo xtask test docker"]
fn tls_without_certificates_is_a_fault_of_the_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut settings = settings("tls_verify = true", folder.path().to_owned());
    "tcp://127.0.0.1:2376".clone_into(&mut settings.config.host);
    let error = Docker::new(settings, Tasks::new()).expect_err("by which certificates?");
    assert!(error.to_string().contains("tls_cert_path"), "{error}");
}
