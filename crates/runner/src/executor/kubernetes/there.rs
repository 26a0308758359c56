//! Whether what a pod names is there, before the pod is made.

use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::cluster::{Cluster, unless_missing};
use crate::executor::{Error, Result, Stop};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// Looks for the service account and the pull secrets of a pod, `attempts` times and once more each; `own` is the secret that
/// the runner makes itself. None at all where `attempts` is 0.
///
/// # Errors
/// One of them is not there, or may not be looked for.
pub(super) async fn wait(cluster: &Cluster, pod: &Pod, own: Option<&str>, attempts: u32, stop: &Stop) -> Result<()> {
    let Some(spec) = pod.spec.as_ref().filter(|_| attempts > 0) else {
        return Ok(());
    };
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let place = Place {
        cluster,
        namespace,
        attempts,
        stop,
    };
    if let Some(name) = &spec.service_account_name {
        place.one::<ServiceAccount>("service account", name).await?;
    }
    for secret in spec.image_pull_secrets.iter().flatten() {
        if Some(secret.name.as_str()) != own {
            place.one::<Secret>("secret", &secret.name).await?;
        }
    }
    Ok(())
}

struct Place<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
    attempts: u32,
    stop: &'a Stop,
}

impl Place<'_> {
    async fn one<K>(&self, kind: &str, name: &str) -> Result<()>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.cluster.client.clone(), self.namespace);
        for _ in 0..=self.attempts {
            let found = self.cluster.call(|| api.get_metadata(name)).await;
            let found = unless_missing(found, format!("look for the {kind} {}/{name}", self.namespace))?;
            if found.is_some() {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = self.stop.pulled() => return Err(Error::Stopped),
            }
        }
        Err(Error::configuration(
            format!(
                "the {kind} {}/{name} is not there, after {} looks (resource_availability_check_max_attempts)",
                self.namespace,
                self.attempts + 1
            ),
            format!("make the {kind}, or name another in [runners.kubernetes]"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::json;
    use tokio::time::Instant;

    use super::super::peers;
    use super::*;

    /// Covers: GK-CFG-53, GK-CHK-03
    #[tokio::test(start_paused = true)]
    async fn every_five_seconds_it_is_looked_again_until_the_last_attempt() {
        let named = json!({"metadata": {"name": "p", "namespace": "ci"}, "spec": {
            "serviceAccountName": "builder", "imagePullSecrets": [{"name": "own"}, {"name": "others"}], "containers": []}});
        let named: Pod = serde_json::from_value(named).expect("is a pod");
        // After so many looks for either of them it is there.
        for (attempts, missing, looks, seconds, found) in [
            (0, 9, 0, 0, true),
            (3, 0, 2, 0, true),
            (3, 2, 6, 20, true),
            (3, 3, 8, 30, true),
            (3, 9, 4, 20, false),
            (1, 9, 2, 10, false),
        ] {
            let counts = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
            let count = Arc::clone(&counts);
            let cluster = peers::cluster(peers::repeats(1, &[]), move |request| {
                let path = request.uri().path().to_owned();
                let which = usize::from(path.contains("/secrets/"));
                assert!(
                    path.ends_with(["/serviceaccounts/builder", "/secrets/others"][which]),
                    "{path}"
                );
                let before = count[which].fetch_add(1, Ordering::Relaxed);
                async move {
                    if before < missing {
                        return peers::refusal(404, "not found");
                    }
                    peers::answer(
                        200,
                        &json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "x"}}),
                    )
                }
            });
            let began = Instant::now();
            let done = wait(&cluster, &named, Some("own"), attempts, &Stop::new()).await;
            let looked: u32 = counts.iter().map(|count| count.load(Ordering::Relaxed)).sum();
            let shown = (looked, began.elapsed().as_secs(), done.is_ok());
            assert_eq!(shown, (looks, seconds, found), "{attempts} attempts, {missing} misses");
        }
    }
}
