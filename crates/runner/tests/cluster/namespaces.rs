//! Namespaces and accounts that jobs choose, and what others see of them.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, Config, ResourceExt as _};
use serde_json::json;
use tasuki_runner::executor::kubernetes::{Account, Purpose, rbac_manifest};
use tasuki_runner::executor::{Error, Task};

use crate::account::{Own, keys};
use crate::cluster::{chain, left, place, run_in, script, settings, unique};
use crate::conformance::task;

fn with(key: &str, value: &str) -> Task {
    let mut task = task();
    task.variables.push((key.to_owned(), value.to_owned()));
    task
}

async fn pods_in(client: &Client, namespace: &str) -> Vec<Pod> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    api.list(&ListParams::default()).await.expect("are listed").items
}

/// Covers: GK-NS-02, GK-NS-04, GK-NS-05
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_job_runs_in_the_namespace_that_it_chooses_and_that_has_to_be_there() {
    let (own, chosen) = (Own::new().await, Own::new().await);
    let section = format!(
        "namespace = {:?}\nnamespace_overwrite_allowed = \"^tasuki-test-.*\"\n",
        own.name
    );
    let account = Account {
        name: unique("runner"),
        namespace: own.name.clone(),
    };
    let rights = rbac_manifest(&settings(&section), &account, Purpose::Jobs);
    own.make(&rights).await;
    let folder = tempfile::tempdir().expect("a folder");
    let keys = keys(folder.path(), &own.token_of(&account.name).await, None).await;
    let place = place(&format!("{keys}{section}"));
    let sandbox = place
        .sandbox(with("KUBERNETES_NAMESPACE_OVERWRITE", &chosen.name))
        .await;
    let (_, said) = run_in(
        &*sandbox,
        script("cat /var/run/secrets/kubernetes.io/serviceaccount/namespace"),
    )
    .await;
    assert_eq!(said, chosen.name);
    assert_eq!(pods_in(&own.client, &chosen.name).await.len(), 1);
    assert_eq!(pods_in(&own.client, &own.name).await.len(), 0);
    sandbox.teardown().await.expect("is torn down");

    let nowhere = unique("tasuki-test-nowhere");
    let (made, _) = place.prepare(with("KUBERNETES_NAMESPACE_OVERWRITE", &nowhere)).await;
    let error = made.err().expect("is nowhere");
    assert!(matches!(error, Error::Configuration { .. }), "{}", chain(&error));
    assert!(chain(&error).contains(&nowhere), "{}", chain(&error));
    let namespaces: Api<Namespace> = Api::all(own.client.clone());
    assert!(
        namespaces.get_opt(&nowhere).await.expect("is asked").is_none(),
        "the runner makes none"
    );
    own.remove(&rights).await;
    place.ends().await;
    chosen.end().await;
    own.end().await;
}

/// Covers: GK-SA-04
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_job_gets_the_account_that_it_chooses() {
    let own = Own::new().await;
    own.make(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "deployer", "namespace": own.name}}),
    ])
    .await;
    let place = place(&format!(
        "namespace = {:?}\nservice_account_overwrite_allowed = \"^deployer$\"\n",
        own.name
    ));
    let sandbox = place
        .sandbox(with("KUBERNETES_SERVICE_ACCOUNT_OVERWRITE", "deployer"))
        .await;
    let (_, token) = run_in(
        &*sandbox,
        script("cat /var/run/secrets/kubernetes.io/serviceaccount/token"),
    )
    .await;
    let claims = token.split('.').nth(1).expect("is a token");
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).expect("is one");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("is one");
    assert_eq!(claims["sub"], format!("system:serviceaccount:{}:deployer", own.name));
    sandbox.teardown().await.expect("is torn down");
    let (made, _) = place
        .prepare(with("KUBERNETES_SERVICE_ACCOUNT_OVERWRITE", "default"))
        .await;
    let error = made.err().expect("is not allowed");
    assert!(
        chain(&error).contains("is not allowed on this runner"),
        "{}",
        chain(&error)
    );
    left(&place).await;
    place.ends().await;
    own.end().await;
}

/// With the sample Role for people, and no other right.
///
/// Covers: GK-VAR-01, GK-VAR-03, GK-VAR-04
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn people_read_what_public_variables_hold_and_change_nothing() {
    let own = Own::new().await;
    let place = place(&format!("namespace = {:?}\n", own.name));
    let mut task = task();
    for (key, value, public) in [("GREETING", "for everybody", true), ("PASSWORD", "of-nobody", false)] {
        task.variables.push((key.to_owned(), value.to_owned()));
        if public {
            task.public_variables.push((key.to_owned(), value.to_owned()));
        }
    }
    let sandbox = place.sandbox(task).await;
    let rights: &[(&str, &[&str])] = &[
        ("configmaps", &["get", "watch", "list"]),
        ("pods", &["get", "watch", "list"]),
        ("pods/exec", &["create"]),
        ("pods/attach", &["create"]),
    ];
    let token = own.token(rights).await;
    let mut config = Config::infer().await.expect("KUBECONFIG names a cluster");
    config.auth_info = kube::config::AuthInfo {
        token: Some(token.into()),
        ..kube::config::AuthInfo::default()
    };
    let person = Client::try_from(config).expect("is a client");
    let pods = pods_in(&person, &own.name).await;
    let text = serde_json::to_string(&pods).expect("is text");
    assert!(text.contains("for everybody"), "{text}");
    assert!(!text.contains("of-nobody"), "{text}");
    let name = pods[0].name_any();
    let api: Api<Pod> = Api::namespaced(person.clone(), &own.name);
    let secrets: Api<Secret> = Api::namespaced(person, &own.name);
    let refused = [
        api.delete(&name, &DeleteParams::default()).await.err(),
        api.create(&PostParams::default(), &pods[0]).await.err(),
        secrets.list(&ListParams::default()).await.err(),
    ];
    for error in refused {
        assert!(
            matches!(&error, Some(kube::Error::Api(status)) if status.code == 403),
            "{error:?}"
        );
    }
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
    own.end().await;
}
