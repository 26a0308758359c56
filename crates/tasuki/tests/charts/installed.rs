//! The runner's chart in a real cluster.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::Stdio;

use tasuki_runner::config::RunnerConfig;
use tasuki_runner::executor::kubernetes::{Settings, address_for_pods};

use super::cluster::{busybox, helper, kubectl, said};
use super::helm::template;
use super::world::World;

/// Whatever happens, the namespace and the server end.
struct Ends {
    namespace: String,
    server: std::process::Child,
}

impl Drop for Ends {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
        drop(kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]).output());
    }
}

/// Where pods find this machine.
fn address() -> std::net::IpAddr {
    let runner = RunnerConfig::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tasuki_proto::tls::install();
    runtime
        .block_on(address_for_pods(&Settings::new(&runner).unwrap()))
        .unwrap()
}

/// A runner that the chart puts into the cluster finds the API by itself, and works for a server outside.
///
/// Covers: GK-API-07
#[test]
#[ignore = "needs helm and a cluster: cargo xtask test charts-installed"]
fn a_runner_in_the_cluster_finds_it_by_itself() {
    let (world, image) = (World::new(), helper());
    let port = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://{}:{port}", address());
    let listen = format!("0.0.0.0:{port}");
    let log = std::fs::File::create(world.path("up.log")).unwrap();
    let here = world.folder.path();
    let mut server = world
        .tasuki(
            here,
            &["up", "--listen", &listen, "--external-url", &url, "--slots", "0"],
        )
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let namespace = format!("tasuki-chart-{}", std::process::id());
    let _ends = Ends {
        namespace: namespace.clone(),
        server,
    };
    assert!(lines.map_while(Result::ok).any(|line| line.starts_with("ready ")));
    let config = "job:\n  script: [cat file, cat /var/run/secrets/kubernetes.io/serviceaccount/namespace, echo]\n";
    let dir = world.repository("app", &[(".gitlab-ci.yml", config), ("file", "from the repository\n")]);
    world
        .run(
            here,
            &["project", "add", &dir.display().to_string(), "--name", "group/app"],
        )
        .expect(0);
    let token = world.run(here, &["runner", "create", "builder"]).expect(0).out;

    said(&mut kubectl(&["create", "namespace", &namespace]));
    let (name, tag) = image.rsplit_once(':').unwrap();
    let (registry, name) = name.rsplit_once('/').unwrap();
    let values = format!(
        "image: {{registry: {registry}, image: {name}, tag: \"{tag}\"}}\ngitlabUrl: {url}\nrunnerToken: {}\nlogLevel: debug\n\
         runners:\n  config: |\n    [[runners]]\n      [runners.kubernetes]\n        namespace = \"{{{{ .Release.Namespace }}}}\"\n        \
         image = {:?}\n        pull_policy = \"if-not-present\"\n",
        token.trim(),
        busybox()
    );
    let objects = world.path("objects.yaml");
    std::fs::write(&objects, template("tasuki-runner", &namespace, &values).unwrap()).unwrap();
    said(&mut kubectl(&["apply", "-f", &objects.display().to_string()]));
    let ran = world.run(here, &["pipeline", "run", "group/app", "--wait"]);
    let told = || {
        let log = kubectl(&["logs", "-n", &namespace, "deployment/ci-tasuki-runner", "--tail", "60"])
            .output()
            .unwrap();
        format!(
            "{}{}",
            String::from_utf8_lossy(&log.stdout),
            String::from_utf8_lossy(&log.stderr)
        )
    };
    assert_eq!(ran.code, 0, "{} {} {}", ran.out, ran.err, told());
    let log = format!("{}{}", ran.out, ran.err);
    let printed = match log.contains("from the repository") {
        true => log,
        false => world.run(here, &["job", "log", "1"]).expect(0).out,
    };
    assert!(
        printed.contains("from the repository") && printed.contains(&namespace),
        "{printed}"
    );
}
