//! What the runner's account has to be allowed, and what is said when it is not.
//!
//! Every configuration runs with exactly the rights that [`rbac_manifest`] gives it, and with one verb less.

use serde_json::{Value, json};
use tasuki_model::plan::{Image, Port};
use tasuki_model::secret::Secret;
use tasuki_runner::executor::kubernetes::{Account, Purpose, permissions, rbac_manifest};
use tasuki_runner::executor::{Error, Executor as _, RegistryLogin, Task};

use crate::account::{Own, keys};
use crate::cluster::{Place, chain, place, run_in, script, settings, unique};
use crate::conformance::task;

/// A runner whose account has the rights of its configuration but `less`.
struct Runner<'a> {
    own: &'a Own,
    place: Place,
    rights: Vec<Value>,
    /// Of the files that the configuration names.
    _folder: tempfile::TempDir,
}

/// The verb and the resource that are taken away.
type Less = Option<(&'static str, &'static str)>;

impl<'a> Runner<'a> {
    async fn new(own: &'a Own, section: &str, less: &[(&str, &str)]) -> Self {
        let section = format!("namespace = {:?}\npoll_interval = 1\n{section}\n", own.name);
        let account = Account {
            name: unique("runner"),
            namespace: own.name.clone(),
        };
        let mut rights = rbac_manifest(&settings(&section), &account, Purpose::Jobs);
        for (verb, resource) in less {
            assert!(
                take(&mut rights, verb, resource),
                "{verb} {resource} is not there: {rights:?}"
            );
        }
        own.make(&rights).await;
        Self::by(own, &section, &account.name, rights).await
    }

    async fn by(own: &'a Own, section: &str, account: &str, rights: Vec<Value>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let token = own.token_of(account).await;
        let place = place(&format!("{}{section}", keys(folder.path(), &token, None).await));
        Self {
            own,
            place,
            rights,
            _folder: folder,
        }
    }

    /// Runs a job; what it printed, the sandbox's making with it.
    async fn job(&self, task: Task) -> Result<String, Error> {
        let (made, printed) = self.place.prepare(task).await;
        let sandbox = match made {
            Ok(sandbox) => sandbox,
            // What the log says belongs to the failure.
            Err(error) if printed.contains("WARNING: ") => panic!("{}: {printed}", chain(&error)),
            Err(error) => return Err(error),
        };
        let (ended, said) = run_in(&*sandbox, script("echo done")).await;
        sandbox.teardown().await?;
        assert!(ended.exit.success());
        Ok(printed + &said)
    }

    async fn ends(self) {
        self.own.remove(&self.rights).await;
        self.place.ends().await;
    }
}

/// Takes a verb out of the rules that are about a resource.
fn take(objects: &mut [Value], verb: &str, resource: &str) -> bool {
    let mut taken = false;
    for rules in objects.iter_mut().filter_map(|object| object["rules"].as_array_mut()) {
        for rule in rules.iter_mut().filter(|rule| rule["resources"] == json!([resource])) {
            let verbs = rule["verbs"].as_array_mut().expect("has verbs");
            let before = verbs.len();
            verbs.retain(|other| other != verb);
            taken |= verbs.len() < before;
        }
        rules.retain(|rule| rule["verbs"] != json!([]));
    }
    taken
}

fn with_login() -> Task {
    let mut task = task();
    task.registry_logins = vec![RegistryLogin {
        registry: "private.test".to_owned(),
        user: "builder".to_owned(),
        password: Secret::new("secret"),
    }];
    task
}

/// Its pod never runs.
fn without_an_image() -> Task {
    let mut task = task();
    task.image = Some(Image {
        name: "registry.test/no-such-image:1".to_owned(),
        ..Image::default()
    });
    task
}

fn with_ports() -> Task {
    let mut task = task();
    task.image = Some(Image {
        name: crate::cluster::busybox(),
        ports: vec![Port {
            number: 8080,
            protocol: None,
            name: None,
            host: None,
            address: None,
        }],
        ..Image::default()
    });
    task
}

/// A configuration runs a job with its own rights, and names what it lacks with each of `needed` taken away.
async fn check(section: &str, task: fn() -> Task, needed: &[(&'static str, &'static str, &str)]) {
    let own = Own::new().await;
    // A service account and a secret for the configurations that name them.
    own.make(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "builder", "namespace": own.name}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull", "namespace": own.name},
            "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "{\"auths\":{}}"}}),
    ])
    .await;
    let whole: Less = None;
    let cases = needed
        .iter()
        .map(|(verb, resource, place)| (Some((*verb, *resource)), *place));
    for (less, place) in std::iter::once((whole, "")).chain(cases) {
        let runner = Runner::new(&own, section, less.as_slice()).await;
        let done = runner.job(task()).await;
        match less {
            None => assert!(
                done.unwrap_or_else(|error| panic!("{}", chain(&error)))
                    .ends_with("done\n")
            ),
            Some((verb, resource)) => {
                let error = done.expect_err(resource);
                let wanted = match place {
                    "" => format!("permission to {verb} {resource} in the namespace {}", own.name),
                    place => format!("permission to {verb} {resource} {place}"),
                };
                assert!(chain(&error).contains(&wanted), "{wanted}: {}", chain(&error));
                assert!(matches!(error, Error::Configuration { .. }), "{}", chain(&error));
            }
        }
        runner.ends().await;
    }
    own.end().await;
}

/// Covers: GK-API-08, GK-RBAC-09, GK-RBAC-10, GK-RBAC-20, GK-RBAC-24
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn every_job_needs_pods_and_exec() {
    let needed = [("create", "pods", ""), ("delete", "pods", ""), ("get", "pods/exec", "")];
    check("", task, &needed).await;
}

/// Covers: GK-RBAC-25, GK-RBAC-28
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_log_in_needs_secrets() {
    check("", with_login, &[("create", "secrets", ""), ("update", "secrets", "")]).await;
}

/// Covers: GK-RBAC-27, GK-RBAC-29, GK-CHK-02
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn the_resource_check_needs_to_look() {
    let section = "service_account = \"builder\"\nimage_pull_secrets = [\"pull\"]\n\
                   resource_availability_check_max_attempts = 1";
    check(section, task, &[("get", "serviceaccounts", ""), ("get", "secrets", "")]).await;
}

/// Covers: GK-RBAC-30
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn ports_need_services() {
    check("", with_ports, &[("create", "services", "")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_disruption_budget_needs_its_own_right() {
    let needed = [("create", "poddisruptionbudgets", "of policy in the namespace")];
    check("pod_disruption_budget = true", task, &needed).await;
}

/// Covers: GK-RBAC-07, GK-RBAC-08
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_namespace_for_each_job_needs_namespaces() {
    // A number that no job of another run has.
    fn numbered() -> Task {
        let mut task = task();
        task.id = tasuki_model::id::TaskId(i64::from(std::process::id()) * 1000 + task.id.0);
        task
    }
    let needed = [
        ("create", "namespaces", "in the whole cluster"),
        ("delete", "namespaces", "in the namespace ci-job-"),
    ];
    check("namespace_per_job = true", numbered, &needed).await;
    // What the account could not remove itself.
    let api: kube::Api<k8s_openapi::api::core::v1::Namespace> = kube::Api::all(crate::account::admin().await);
    let params = kube::api::ListParams::default().labels("tasuki.dev/sandbox");
    for namespace in api.list_metadata(&params).await.expect("are listed").items {
        let name = kube::ResourceExt::name_any(&namespace);
        let number = name
            .strip_prefix("ci-job-")
            .and_then(|number| number.parse::<i64>().ok());
        if number.is_some_and(|number| number / 1000 == i64::from(std::process::id())) {
            api.delete(&name, &kube::api::DeleteParams::default())
                .await
                .expect("is removed");
        }
    }
}

/// Covers: GK-INF-05, GK-RBAC-11, GK-RBAC-13
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn pods_that_cannot_be_watched_are_polled_and_those_that_cannot_be_seen_refused() {
    let own = Own::new().await;
    let polls = Runner::new(&own, "", &[("watch", "pods")]).await;
    let printed = polls
        .job(task())
        .await
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert!(printed.ends_with("done\n"), "{printed}");
    polls.ends().await;
    let blind = Runner::new(&own, "", &[("watch", "pods"), ("get", "pods")]).await;
    let error = blind.job(task()).await.expect_err("sees nothing");
    let wanted = format!("permission to get pods in the namespace {}", own.name);
    assert!(chain(&error).contains(&wanted), "{}", chain(&error));
    blind.ends().await;
    own.end().await;
}

/// Covers: GK-RBAC-26
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_secret_that_no_pod_owns_has_to_be_deleted() {
    let own = Own::new().await;
    for less in [None, Some(("delete", "secrets"))] {
        let runner = Runner::new(&own, "print_pod_warning_events = false", less.as_slice()).await;
        let mut task = without_an_image();
        task.registry_logins = with_login().registry_logins;
        let error = runner.job(task).await.expect_err("has no image");
        assert!(chain(&error).contains("no-such-image"), "{}", chain(&error));
        let swept = runner.place.kubernetes.sweep().await;
        match less {
            None => assert_eq!(swept.expect("sweeps").sandboxes, 0, "nothing is left"),
            Some(_) => {
                let error = swept.expect_err("may not");
                let wanted = format!("permission to delete secrets in the namespace {}", own.name);
                assert!(chain(&error).contains(&wanted), "{}", chain(&error));
            }
        }
        runner.ends().await;
    }
    own.end().await;
}

/// Covers: GK-RBAC-04
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn events_are_listed_only_where_they_are_printed() {
    let own = Own::new().await;
    let missing = format!("permission to list events in the namespace {}", own.name);
    let retrieved = "Event retrieved from the cluster";
    for (section, less, wanted, unwanted) in [
        ("print_pod_warning_events = false", None, "", "WARNING"),
        ("", None, retrieved, missing.as_str()),
        ("", Some(("list", "events")), missing.as_str(), retrieved),
    ] {
        let less: Less = less;
        let runner = Runner::new(&own, section, less.as_slice()).await;
        let (made, printed) = runner.place.prepare(without_an_image()).await;
        assert!(made.is_err());
        assert!(
            printed.contains(wanted) && !printed.contains(unwanted),
            "{section}: {printed}"
        );
        runner.ends().await;
    }
    own.end().await;
}

/// The Role that GitLab documents gives more, and serves as well.
///
/// Covers: GK-API-01
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_role_made_for_gitlabs_runner_is_enough() {
    let own = Own::new().await;
    let rights: &[(&str, &[&str])] = &[
        ("events", &["list", "watch"]),
        ("pods", &["create", "delete", "get", "list", "watch"]),
        ("pods/attach", &["create", "delete", "get", "patch"]),
        ("pods/exec", &["create", "delete", "get", "patch"]),
        ("pods/log", &["get", "list"]),
        ("secrets", &["create", "delete", "get", "update"]),
        ("serviceaccounts", &["get"]),
        ("services", &["create", "get"]),
    ];
    let token = own.token(rights).await;
    let folder = tempfile::tempdir().expect("a folder");
    let section = format!(
        "{}namespace = {:?}\nservice_account = \"default\"\nresource_availability_check_max_attempts = 1\n",
        keys(folder.path(), &token, None).await,
        own.name
    );
    assert_eq!(
        permissions(&settings(&section)).await.expect("are asked for").missing,
        Vec::new()
    );
    let place = place(&section);
    let sandbox = place.sandbox(with_login()).await;
    let (_, said) = run_in(&*sandbox, script("echo done")).await;
    assert_eq!(said, "done\n");
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
    own.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn an_examination_names_what_an_account_lacks() {
    let own = Own::new().await;
    for less in [&[][..], &[("get", "pods/exec"), ("list", "events")]] {
        let section = format!("namespace = {:?}\n", own.name);
        let account = Account {
            name: unique("runner"),
            namespace: own.name.clone(),
        };
        let mut rights = rbac_manifest(&settings(&section), &account, Purpose::Jobs);
        for (verb, resource) in less {
            assert!(take(&mut rights, verb, resource));
        }
        own.make(&rights).await;
        let folder = tempfile::tempdir().expect("a folder");
        let keys = keys(folder.path(), &own.token_of(&account.name).await, None).await;
        let found = permissions(&settings(&format!("{keys}{section}")))
            .await
            .expect("are asked for");
        let missing: Vec<String> = found.missing.iter().map(ToString::to_string).collect();
        let wanted: Vec<String> = less
            .iter()
            .map(|(verb, resource)| format!("{verb} {resource} in the namespace {}", own.name))
            .collect();
        assert_eq!(missing, wanted);
        assert!(found.needed > missing.len());
    }
    own.end().await;
}

/// The job's own token is who its pod is made as, where the runner allows that.
///
/// Covers: GK-API-09, GK-API-10, GK-CFG-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_job_may_bring_a_token_of_its_own() {
    let own = Own::new().await;
    let none = own.token(&[]).await;
    let account = Account {
        name: unique("runner"),
        namespace: own.name.clone(),
    };
    let settings = settings(&format!("namespace = {:?}", own.name));
    own.make(&rbac_manifest(&settings, &account, Purpose::Jobs)).await;
    let all = own.token_of(&account.name).await;
    let folder = tempfile::tempdir().expect("a folder");
    for (runners, jobs, allowed, works) in [
        (&all, None, false, true),
        (&none, None, true, false),
        (&none, Some(&all), true, true),
        (&none, Some(&all), false, false),
        (&all, Some(&none), true, false),
    ] {
        let keys = keys(folder.path(), runners, None).await;
        let place = place(&format!(
            "{keys}namespace = {:?}\nbearer_token_overwrite_allowed = {allowed}\n",
            own.name
        ));
        let mut task = task();
        // A secret one: it stands in no pod.
        task.variables = jobs
            .map(|token| ("KUBERNETES_BEARER_TOKEN".to_owned(), token.clone()))
            .into_iter()
            .collect();
        let (made, printed) = place.prepare(task).await;
        assert_eq!(made.is_ok(), works, "{printed}");
        match made {
            Ok(sandbox) => sandbox.teardown().await.expect("is torn down"),
            Err(error) => assert!(
                chain(&error).contains("may not get pods in the namespace"),
                "{}",
                chain(&error)
            ),
        }
        place.ends().await;
    }
    own.end().await;
}
