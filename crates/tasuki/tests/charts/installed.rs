//! The charts in a real cluster.

use super::cluster::{busybox, helper, kubectl, said};
use super::helm::template;
use super::serving::Serving;
use super::world::{World, wait_for};

/// Goes whatever happens.
struct Namespace(String);

impl Namespace {
    fn new(name: &str) -> Self {
        let name = format!("tasuki-{name}-{}", std::process::id());
        said(&mut kubectl(&["create", "namespace", &name]));
        Self(name)
    }

    /// Renders a chart and has the cluster make what comes out.
    fn install(&self, world: &World, chart: &str, values: &str) {
        let objects = world.path(&format!("{chart}.yaml"));
        std::fs::write(&objects, template(chart, &self.0, values).unwrap()).unwrap();
        said(&mut kubectl(&["apply", "-f", &objects.display().to_string()]));
    }

    /// What an object's containers have printed.
    fn told(&self, object: &str) -> String {
        let log = kubectl(&["logs", "-n", &self.0, object, "--tail", "60"])
            .output()
            .unwrap();
        format!(
            "{}{}",
            String::from_utf8_lossy(&log.stdout),
            String::from_utf8_lossy(&log.stderr)
        )
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(kubectl(&["delete", "namespace", &self.0, "--wait=false"]).output());
    }
}

/// Values that name an image.
fn image(name: &str) -> String {
    let (name, tag) = name.rsplit_once(':').unwrap();
    let (registry, name) = name.rsplit_once('/').unwrap();
    format!("image: {{registry: {registry}, image: {name}, tag: \"{tag}\"}}\n")
}

/// Values of the runner's chart.
fn runner(url: &str, token: &str) -> String {
    format!(
        "{}gitlabUrl: {url}\nrunnerToken: {token}\nlogLevel: debug\n\
         runners:\n  config: |\n    [[runners]]\n      [runners.kubernetes]\n        namespace = \"{{{{ .Release.Namespace }}}}\"\n        \
         image = {:?}\n        pull_policy = \"if-not-present\"\n",
        image(&helper()),
        busybox()
    )
}

/// A runner that the chart puts into the cluster finds the API by itself, and works for a server outside.
///
/// Covers: GK-API-07
#[test]
#[ignore = "needs helm and a cluster: cargo xtask test charts-installed"]
fn a_runner_in_the_cluster_finds_it_by_itself() {
    let world = World::new();
    let (serving, namespace) = (Serving::start(&world), Namespace::new("chart"));
    let here = world.folder.path();
    let config = "job:\n  script: [cat file, cat /var/run/secrets/kubernetes.io/serviceaccount/namespace, echo]\n";
    let dir = world.repository("app", &[(".gitlab-ci.yml", config), ("file", "from the repository\n")]);
    let token = serving.project(&world, &dir);
    namespace.install(&world, "tasuki-runner", &runner(&serving.url, &token));
    let ran = world.run(here, &["pipeline", "run", "group/app", "--wait"]);
    let told = || namespace.told("deployment/ci-tasuki-runner");
    assert_eq!(ran.code, 0, "{} {} {}", ran.out, ran.err, told());
    let log = format!("{}{}", ran.out, ran.err);
    let printed = match log.contains("from the repository") {
        true => log,
        false => world.run(here, &["job", "log", "1"]).expect(0).out,
    };
    assert!(
        printed.contains("from the repository") && printed.contains(&namespace.0),
        "{printed}"
    );
}

/// Server and runner by their charts, with nothing outside: the server in a pod without rights, jobs in pods beside it.
#[test]
#[ignore = "needs helm and a cluster: cargo xtask test charts-installed"]
fn a_server_in_the_cluster_runs_pipelines() {
    let (world, namespace) = (World::new(), Namespace::new("server"));
    // A cluster of tests has neither a storage class nor a name server: the pod's own folder, and the service's address.
    let service = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: front, namespace: {}}}\nspec: {{selector: {{app: ci-tasuki}}, ports: [{{port: 8700}}]}}\n",
        namespace.0
    );
    let file = world.path("service.yaml");
    std::fs::write(&file, service).unwrap();
    said(&mut kubectl(&["apply", "-f", &file.display().to_string()]));
    let address = [
        "get",
        "service",
        "front",
        "-n",
        &namespace.0,
        "-o",
        "jsonpath={.spec.clusterIP}",
    ];
    let url = format!("http://{}:8700", said(&mut kubectl(&address)));
    let values = format!(
        "{}externalUrl: {url}\npersistence: {{enabled: false}}\n",
        image(&helper())
    );
    namespace.install(&world, "tasuki", &values);
    let ready = [
        "rollout",
        "status",
        "statefulset/ci-tasuki",
        "-n",
        &namespace.0,
        "--timeout",
        "120s",
    ];
    let rolled = kubectl(&ready).output().unwrap();
    assert!(rolled.status.success(), "{}", namespace.told("statefulset/ci-tasuki"));

    let within = |words: &[&str]| {
        let mut all = vec!["exec", "-n", &namespace.0, "ci-tasuki-0", "--"];
        all.extend(words);
        kubectl(&all)
    };
    let shell = |text: &str| said(&mut within(&["sh", "-c", text]));
    // It has no account's token, cannot write into its image, and is not root.
    let look = "grep ^Uid: /proc/self/status; cat /var/run/secrets/kubernetes.io/serviceaccount/token; mkdir /usr/x";
    let attempt = within(&["sh", "-c", look]).output().unwrap();
    let printed = String::from_utf8_lossy(&attempt.stdout).into_owned();
    let refused = String::from_utf8_lossy(&attempt.stderr).into_owned();
    assert!(printed.starts_with("Uid:\t100\t100"), "{printed}");
    assert!(
        refused.contains("No such file") && refused.contains("Read-only file system"),
        "{refused}"
    );

    shell(
        "mkdir -p /data/app && cd /data/app && git init -q -b main && printf 'job:\\n  script: [cat file]\\n' > .gitlab-ci.yml && \
         echo from the pod > file && git add -A && git -c user.name=Ada -c user.email=ada@example.org commit -q -m First",
    );
    shell("tasuki project add /data/app --name group/app");
    let token = shell("tasuki runner create builder");
    namespace.install(&world, "tasuki-runner", &runner(&url, token.trim()));
    let ran = within(&["tasuki", "pipeline", "run", "group/app", "--wait"])
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
    let told = || namespace.told("deployment/ci-tasuki-runner") + &namespace.told("statefulset/ci-tasuki");
    assert!(ran.status.success(), "{text} {}", told());
    wait_for("the job's log", || {
        shell("tasuki job log 1").contains("from the pod").then_some(())
    });
}
