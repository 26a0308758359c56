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
