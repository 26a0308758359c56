//! What jobs and their accounts try in a real cluster, and where secrets are.

use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Secret};
use kube::api::{DeleteParams, DynamicObject, ListParams, LogParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, Config, ResourceExt as _};
use tasuki_model::secret::Secret as Hidden;
use tasuki_runner::executor::{Command, Error, PushedFile, RegistryLogin, Task};
use tasuki_runner::guest::Request;

use crate::account::Own;
use crate::cluster::{chain, left, place, run_in, script};
use crate::conformance::task;

const PASSWORD: &str = "password-of-the-registry";
const VARIABLE: &str = "value-of-a-secret-variable";
const FILE: &str = "content-of-a-secret-file";
const SCRIPT: &str = "text-of-a-script";

fn with_secrets() -> Task {
    let mut task = task();
    task.variables = vec![("TOKEN".to_owned(), VARIABLE.to_owned())];
    task.registry_logins = vec![RegistryLogin {
        registry: "private.test".to_owned(),
        user: "builder".to_owned(),
        password: Hidden::new(PASSWORD),
    }];
    task
}

/// A client by the token that a job finds in its pod.
async fn by(token: &str) -> Client {
    let mut config = Config::infer().await.expect("KUBECONFIG names a cluster");
    config.auth_info = kube::config::AuthInfo {
        token: Some(token.to_owned().into()),
        ..kube::config::AuthInfo::default()
    };
    Client::try_from(config).expect("is a client")
}

/// A job that has the account of its namespace sees and touches nothing of the job beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_jobs_account_reaches_no_other_job() {
    let own = Own::new().await;
    let place = place(&format!("namespace = {:?}\n", own.name));
    let (victim, thief) = (place.sandbox(with_secrets()).await, place.sandbox(task()).await);
    let (_, token) = run_in(
        &*thief,
        script("cat /var/run/secrets/kubernetes.io/serviceaccount/token"),
    )
    .await;
    let admins: Api<Pod> = Api::namespaced(own.client.clone(), &own.name);
    let all = admins.list(&ListParams::default()).await.expect("are listed").items;
    assert_eq!(all.len(), 2);
    let client = by(&token).await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &own.name);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &own.name);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &own.name);
    let events: Api<Event> = Api::namespaced(client.clone(), &own.name);
    let (list, params) = (ListParams::default(), PostParams::default());
    let mut refused = vec![
        pods.list(&list).await.map(drop),
        secrets.list(&list).await.map(drop),
        maps.list(&list).await.map(drop),
        events.list(&list).await.map(drop),
        Api::<Pod>::all(client).list(&list).await.map(drop),
        pods.create(&params, &all[0]).await.map(drop),
    ];
    for pod in all {
        let name = pod.name_any();
        refused.push(pods.get(&name).await.map(drop));
        refused.push(pods.logs(&name, &LogParams::default()).await.map(drop));
        refused.push(pods.delete(&name, &DeleteParams::default()).await.map(drop));
        let attach = kube::api::AttachParams::default().container("build");
        let entered = pods.exec(&name, ["env"], &attach).await.map(drop);
        assert!(entered.is_err(), "{name} was entered");
    }
    for (number, done) in refused.into_iter().enumerate() {
        assert!(
            matches!(&done, Err(kube::Error::Api(status)) if status.code == 403),
            "{number}: {done:?}"
        );
    }
    for sandbox in [victim, thief] {
        let (ended, _) = run_in(&*sandbox, script("true")).await;
        assert!(ended.exit.success(), "it is untouched");
        sandbox.teardown().await.expect("is torn down");
    }
    left(&place).await;
    place.ends().await;
    own.end().await;
}

/// Everything of a kind in the namespace, as text.
async fn text(own: &Own, group: &str, version: &str, kind: &str) -> String {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let api: Api<DynamicObject> = Api::namespaced_with(own.client.clone(), &own.name, &kind);
    let all = api.list(&ListParams::default()).await.expect("are listed").items;
    serde_json::to_string(&all).expect("is text")
}

/// As root in its container: neither the program that it is started with, nor the one of the helper, which moves its caches and
/// artifacts and has the token for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_job_changes_no_guest() {
    let place = place("");
    let sandbox = place.sandbox(task()).await;
    let attack = "id -u; cp /bin/busybox /tasuki/tasuki; rm /tasuki/tasuki; mount -o remount,rw /tasuki; touch /tasuki/more; \
                  mount | grep -c ' /tasuki .*[(,]ro[,)]'";
    let (_, said) = run_in(&*sandbox, script(attack)).await;
    assert!(said.starts_with("0\n"), "{said}");
    assert_eq!(said.matches("Read-only file system").count(), 3, "{said}");
    assert!(said.ends_with("\n1\n"), "{said}");
    let folder = sandbox.paths().project.join("made");
    let make = Command::guest(Request::MakeFolder { folder });
    let (ended, said) = run_in(&*sandbox, make).await;
    assert!(
        ended.response.is_some_and(|response| response.failure.is_none()),
        "{said}"
    );
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}

/// While a job runs, after one that failed, and in the arguments and environments of the pod's own programs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn secrets_stand_in_nothing_that_the_cluster_shows() {
    let own = Own::new().await;
    let section = format!("namespace = {:?}\npod_disruption_budget = true\n", own.name);
    let place = place(&section);
    let sandbox = place.sandbox(with_secrets()).await;
    let file = PushedFile {
        path: "key".into(),
        mode: 0o600,
        bytes: FILE.into(),
    };
    sandbox.push(file).await.expect("is pushed");
    // The holder of the container, and whatever else is there but the script's own shell.
    let look = format!(
        ": {SCRIPT}; for at in /proc/[0-9]*; do [ ${{at#/proc/}} = $$ ] || tr '\\0' ' ' < $at/cmdline; done; \
         tr '\\0' ' ' < /proc/1/environ"
    );
    let mut work = script(&look);
    work.env = vec![("TOKEN".to_owned(), VARIABLE.to_owned())];
    let (_, said) = run_in(&*sandbox, work).await;
    assert!(said.contains("guest"), "{said}");
    let all = [PASSWORD, VARIABLE, FILE, SCRIPT];
    for secret in all {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
    // A second one, which does not start: events tell of what was tried.
    let mut broken = with_secrets();
    broken.image = Some(tasuki_model::plan::Image {
        name: "registry.test/no-such-image:1".to_owned(),
        ..Default::default()
    });
    let (made, printed) = place.prepare(broken).await;
    let error = chain(&made.err().expect("has no image"));
    let mut shown = vec![printed, error];
    for (group, version, kind) in [
        ("", "v1", "Pod"),
        ("", "v1", "Event"),
        ("", "v1", "ConfigMap"),
        ("", "v1", "Service"),
        ("", "v1", "ServiceAccount"),
        ("policy", "v1", "PodDisruptionBudget"),
    ] {
        shown.push(text(&own, group, version, kind).await);
    }
    assert!(shown[2].contains("tasuki.dev/sandbox") && shown[3].contains("no-such-image"));
    for (at, text) in shown.iter().enumerate() {
        for secret in all {
            assert!(!text.contains(secret), "{secret} in {at}: {text}");
        }
    }
    // The log-in is where the kubelet looks for it, and nothing else of the job is there.
    let secrets: Api<Secret> = Api::namespaced(own.client.clone(), &own.name);
    let secrets = secrets.list(&ListParams::default()).await.expect("are listed").items;
    assert_eq!(secrets.len(), 1, "that of the failed job is gone");
    let data: Vec<String> = secrets[0]
        .data
        .iter()
        .flatten()
        .map(|(key, value)| format!("{key} {}", String::from_utf8_lossy(&value.0)))
        .collect();
    assert!(data.len() == 1 && data[0].contains("private.test"), "{data:?}");
    for secret in [VARIABLE, FILE, SCRIPT] {
        assert!(!data[0].contains(secret), "{data:?}");
    }
    sandbox.teardown().await.expect("is torn down");
    left(&place).await;
    place.ends().await;
    own.end().await;
}

/// A path of a volume that a variable is a part of leads out of the volume: the cluster does not mount it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_part_of_a_volume_leads_nowhere_else() {
    let own = Own::new().await;
    let place = place(&format!(
        "namespace = {:?}\n[[kubernetes.volumes.host_path]]\nname = \"data\"\nmount_path = \"/data\"\nhost_path = \"/var/tmp\"\nsub_path = \"$PART\"\n",
        own.name
    ));
    for part in ["../../etc", "a/../../../etc", "/etc"] {
        let mut task = task();
        task.variables = vec![("PART".to_owned(), part.to_owned())];
        let (made, _) = place.prepare(task).await;
        let error = made.err().expect(part);
        assert!(matches!(error, Error::Configuration { .. }), "{}", chain(&error));
        assert!(chain(&error).contains("subPath"), "{}", chain(&error));
    }
    left(&place).await;
    place.ends().await;
    own.end().await;
}
