//! Images of a registry that wants a password.

use std::io::Read as _;

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use reqwest::StatusCode;
use sha2::{Digest as _, Sha256};
use tasuki_model::plan::Image;
use tasuki_model::reason::FailureReason;
use tasuki_model::secret::Secret as Hidden;
use tasuki_runner::executor::{RegistryLogin, Task};

use crate::account::Own;
use crate::cluster::{chain, helper_archive, left, place, run_in, script, unique, variable};
use crate::conformance::task;

/// A registry that pods and this machine reach, by `TASUKI_TEST_KUBERNETES_REGISTRY`: its address from here, its name in pods,
/// `user:password`.
struct Registry {
    address: String,
    name: String,
    user: String,
    password: String,
}

impl Registry {
    fn named() -> Option<Self> {
        let text = variable("TASUKI_TEST_KUBERNETES_REGISTRY")?;
        let [address, name, login] = text.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("TASUKI_TEST_KUBERNETES_REGISTRY is ADDRESS NAME USER:PASSWORD");
        };
        let (user, password) = login.split_once(':').expect("has a colon");
        Some(Self {
            address: address.to_owned(),
            name: name.to_owned(),
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

    /// Puts an archive's image there, by the registry's own protocol; gives its name in pods.
    async fn push(&self, repository: &str, archive: &[u8]) -> String {
        let (mut config, mut layer) = (Vec::new(), Vec::new());
        for entry in tar::Archive::new(archive).entries().expect("is an archive") {
            let mut entry = entry.expect("is whole");
            let to = match entry.path().expect("has one").to_str() {
                Some("config.json") => &mut config,
                Some("layer.tar") => &mut layer,
                _ => continue,
            };
            entry.read_to_end(to).expect("is read");
        }
        let part = |kind: &str, bytes: &[u8]| serde_json::json!({"mediaType": kind, "size": bytes.len(), "digest": digest(bytes)});
        let kind = "application/vnd.docker.distribution.manifest.v2+json";
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": kind,
            "config": part("application/vnd.docker.container.image.v1+json", &config),
            "layers": [part("application/vnd.docker.image.rootfs.diff.tar", &layer)],
        });
        let client = reqwest::Client::new();
        let base = format!("http://{}/v2/{repository}", self.address);
        for bytes in [config, layer] {
            let begun = client.post(format!("{base}/blobs/uploads/"));
            let begun = begun.basic_auth(&self.user, Some(&self.password)).send();
            let begun = begun.await.expect("answers");
            assert_eq!(begun.status(), StatusCode::ACCEPTED);
            let place = begun.headers()["location"].to_str().expect("is text");
            let mut place = begun.url().join(place).expect("is an address");
            place.query_pairs_mut().append_pair("digest", &digest(&bytes));
            let put = client.put(place).body(bytes);
            let put = put.basic_auth(&self.user, Some(&self.password)).send();
            assert_eq!(put.await.expect("answers").status(), StatusCode::CREATED);
        }
        let put = client.put(format!("{base}/manifests/1")).header("content-type", kind);
        let put = put
            .basic_auth(&self.user, Some(&self.password))
            .body(manifest.to_string());
        assert_eq!(put.send().await.expect("answers").status(), StatusCode::CREATED);
        format!("{}/{repository}:1", self.name)
    }

    fn job(&self, image: &str, password: &str) -> Task {
        Task {
            image: Some(Image {
                name: image.to_owned(),
                ..Image::default()
            }),
            registry_logins: vec![RegistryLogin {
                registry: self.name.clone(),
                user: self.user.clone(),
                password: Hidden::new(password),
            }],
            ..task()
        }
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The log-in is a secret of its own, which belongs to the first pod and then to the second one.
///
/// Covers: GK-PULL-04
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn the_pod_of_the_next_pull_policy_has_the_log_in_too() {
    let Some(registry) = Registry::named() else {
        println!("SKIPPED: TASUKI_TEST_KUBERNETES_REGISTRY names no registry with a password");
        return;
    };
    let own = Own::new().await;
    let image = registry.push(&unique("own"), &helper_archive("local", None)).await;
    let place = place(&format!(
        "namespace = {:?}\npull_policy = [\"never\", \"always\"]\n",
        own.name
    ));

    // Nobody has it on the node yet: only the registry could refuse.
    let (made, printed) = place.prepare(registry.job(&image, "wrong")).await;
    let error = made.err().expect("is refused");
    assert_eq!(error.reason(), FailureReason::ImagePullFailure, "{}", chain(&error));
    assert!(!format!("{}{printed}", chain(&error)).contains("wrong"), "{printed}");
    left(&place).await;

    let (made, printed) = place.prepare(registry.job(&image, &registry.password)).await;
    let sandbox = made.unwrap_or_else(|error| panic!("{}: {printed}", chain(&error)));
    assert_eq!(printed.matches("WARNING: Failed to pull image").count(), 1, "{printed}");
    let all = ListParams::default();
    let pods: Api<Pod> = Api::namespaced(own.client.clone(), &own.name);
    let pods = pods.list(&all).await.expect("are listed").items;
    let secrets: Api<Secret> = Api::namespaced(own.client.clone(), &own.name);
    let secrets = secrets.list(&all).await.expect("are listed").items;
    assert_eq!(
        (pods.len(), secrets.len()),
        (1, 1),
        "the first pod is gone, the secret is not"
    );
    let owners: Vec<_> = secrets[0]
        .owner_references()
        .iter()
        .map(|owner| owner.uid.clone())
        .collect();
    assert_eq!(owners, [pods[0].uid().expect("has one")]);
    let (ended, said) = run_in(&*sandbox, script("echo here")).await;
    assert!(ended.exit.success() && said == "here\n", "{said}");
    sandbox.teardown().await.expect("is torn down");
    left(&place).await;
    place.ends().await;
    own.end().await;
}
