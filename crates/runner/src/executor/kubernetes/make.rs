//! Making what a sandbox has in the cluster, and removing it.

use std::time::Duration;

use futures_util::TryFutureExt as _;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, PostParams, PropagationPolicy};
use kube::{Api, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cluster::{Cluster, unless_missing};
use super::fault::Fault;
use super::names::SANDBOX;
use super::record::{Record, Written};
use super::watch::Watcher;
use crate::executor::{Error, Result};

/// How long a pod may take to be gone that is not given any time to end.
const GONE: Duration = Duration::from_secs(60);

/// Makes things of one sandbox. What is to exist is in the record before it does.
pub(super) struct Maker {
    pub(super) cluster: Cluster,
    pub(super) namespace: String,
    pub(super) record: Record,
}

impl Maker {
    async fn create<K>(&self, kind: &str, api: &Api<K>, object: K) -> Result<K>
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
    {
        let name = object.name_any();
        let made = self
            .cluster
            .call(|| async {
                match api.create(&PostParams::default(), &object).await {
                    // An answer that was lost: the name is nobody else's.
                    Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => {
                        api.get(&name).await
                    }
                    made => made,
                }
            })
            .await;
        made.map_err(|fault| fault.explain(format!("make the {kind} {name}")))
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    /// Makes the job's own namespace.
    pub(super) async fn namespace(&mut self, namespace: Namespace) -> Result<()> {
        self.record.add(|written| written.own_namespace = true)?;
        let api: Api<Namespace> = Api::all(self.cluster.client.clone());
        let (name, mark) = (namespace.name_any(), namespace.labels().get(SANDBOX));
        let params = PostParams::default();
        let Err(fault) = self.cluster.call(|| api.create(&params, &namespace)).await else {
            return Ok(());
        };
        let what = format!("make the namespace {name}");
        if !fault.is_conflict() {
            return Err(fault.explain(what));
        }
        // Ours after an answer that was lost; or of a job of another server, which must not lose it with this one.
        match self.cluster.call(|| api.get(&name)).await {
            Ok(found) if found.labels().get(SANDBOX) == mark && found.metadata.deletion_timestamp.is_none() => Ok(()),
            _ => {
                self.record.add(|written| written.own_namespace = false)?;
                let why =
                    "there is one already: of another server's job of that number, or one that is still on its way out";
                Err(Error::system(what, why))
            }
        }
    }

    /// Makes a secret. It belongs to no pod yet: it has to be there before it.
    pub(super) async fn secret(&mut self, secret: Secret) -> Result<Secret> {
        let name = secret.name_any();
        self.record.add(|written| written.secrets.push(name))?;
        self.create("secret", &self.api(), secret).await
    }

    pub(super) async fn pod(&mut self, pod: Pod) -> Result<Pod> {
        let name = pod.name_any();
        self.record.add(|written| written.pods.push(name))?;
        self.create("pod", &self.api(), pod).await
    }

    /// Makes what goes with a pod, and away with it.
    pub(super) async fn service(&self, mut service: Service, pod: &Pod) -> Result<()> {
        service.metadata.owner_references = Some(owner(pod));
        self.create("service", &self.api(), service).await.map(drop)
    }

    pub(super) async fn budget(&self, mut budget: PodDisruptionBudget, pod: &Pod) -> Result<()> {
        budget.metadata.owner_references = Some(owner(pod));
        self.create("pod disruption budget", &self.api(), budget)
            .await
            .map(drop)
    }

    /// Lets a secret go with the pod; with none, it stays until it is removed.
    pub(super) async fn own(&self, mut secret: Secret, pod: Option<&Pod>) -> Result<Secret> {
        secret.metadata.owner_references = pod.map(owner);
        // Said twice where the first answer was lost.
        secret.metadata.resource_version = None;
        let (api, name): (Api<Secret>, _) = (self.api(), secret.name_any());
        let params = PostParams::default();
        let owned = self.cluster.call(|| api.replace(&name, &params, &secret)).await;
        owned.map_err(|fault| fault.explain(format!("give the secret {name} to the pod")))
    }

    /// Removes a pod in whose place another one comes, and returns when it is gone: the two must neither share what only one
    /// can have (a claim, a place in the quota) nor take turns in it.
    pub(super) async fn discard(&self, pod: &str, watcher: &Watcher) -> Result<()> {
        let (api, params) = (self.api::<Pod>(), params(Some(0)));
        let gone = self.cluster.call(|| api.delete(pod, &params).map_ok(drop)).await;
        unless_missing(gone, format!("remove the pod {pod}"))?;
        match tokio::time::timeout(GONE, watcher.gone()).await {
            Ok(()) => Ok(()),
            Err(_) => Err(Error::system(
                format!("remove the pod {pod}, in whose place another one comes"),
                format!(
                    "it is still there after {} s: its node may be out of reach",
                    GONE.as_secs()
                ),
            )),
        }
    }
}

fn owner(pod: &Pod) -> Vec<OwnerReference> {
    vec![OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        ..OwnerReference::default()
    }]
}

fn params(grace: Option<i64>) -> DeleteParams {
    DeleteParams {
        grace_period_seconds: grace.and_then(|seconds| u32::try_from(seconds).ok()),
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    }
}

async fn delete<K>(cluster: &Cluster, namespace: &str, kind: &str, name: &str, grace: Option<i64>) -> Result<bool>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(cluster.client.clone(), namespace);
    let params = params(grace);
    let gone = cluster.call(|| api.delete(name, &params).map_ok(drop)).await;
    let found = unless_missing(gone, format!("remove the {kind} {namespace}/{name}"))?;
    Ok(found.is_some())
}

/// What of a sandbox goes with its pods by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// All of it: the pod lived.
    Owned,
    /// Nobody knows how far its making got.
    Unknown,
}

/// Has everything of a sandbox removed. Idempotent. Gives how many pods there were.
pub(super) async fn remove(cluster: &Cluster, written: &Written, rest: Rest, grace: Option<i64>) -> Result<usize> {
    let namespace = &written.namespace;
    let (mut result, mut pods) = (Ok(()), 0);
    for name in &written.pods {
        match delete::<Pod>(cluster, namespace, "pod", name, grace).await {
            Ok(found) => pods += usize::from(found),
            Err(error) => result = result.and(Err(error)),
        }
    }
    for name in &written.deployments {
        let gone = delete::<Deployment>(cluster, namespace, "deployment", name, None).await;
        result = result.and(gone.map(drop));
    }
    if rest == Rest::Unknown {
        for name in &written.secrets {
            result = result.and(
                delete::<Secret>(cluster, namespace, "secret", name, None)
                    .await
                    .map(drop),
            );
        }
    }
    if written.own_namespace {
        let (api, params) = (Api::<Namespace>::all(cluster.client.clone()), params(None));
        let gone = cluster.call(|| api.delete(namespace, &params).map_ok(drop)).await;
        let gone = gone.or_else(|fault| if being_deleted(&fault) { Ok(()) } else { Err(fault) });
        result = result.and(unless_missing(gone, format!("remove the namespace {namespace}")).map(drop));
    }
    result.map(|()| pods)
}

/// A namespace that is on its way out cannot be sent there again.
fn being_deleted(fault: &Fault) -> bool {
    fault.is_conflict()
}

/// Names of everything of sandboxes in a namespace, or in all.
pub(super) async fn audit(cluster: &Cluster, namespace: Option<&str>) -> Result<Vec<String>> {
    use k8s_openapi::api::core::v1::ConfigMap;
    let mut found = list::<Pod>(cluster, namespace, "pod").await?;
    found.extend(list::<Secret>(cluster, namespace, "secret").await?);
    found.extend(list::<ConfigMap>(cluster, namespace, "config map").await?);
    found.extend(list::<Service>(cluster, namespace, "service").await?);
    found.extend(list::<PodDisruptionBudget>(cluster, namespace, "pod disruption budget").await?);
    if namespace.is_none() {
        let api: Api<Namespace> = Api::all(cluster.client.clone());
        found.extend(names(cluster, &api, "namespace").await?);
    }
    Ok(found)
}

async fn list<K>(cluster: &Cluster, namespace: Option<&str>, kind: &str) -> Result<Vec<String>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let client = cluster.client.clone();
    let api: Api<K> = match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    names(cluster, &api, kind).await
}

async fn names<K>(cluster: &Cluster, api: &Api<K>, kind: &str) -> Result<Vec<String>>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let params = kube::api::ListParams::default().labels(SANDBOX);
    let all = cluster.call(|| api.list_metadata(&params)).await;
    let all = all.map_err(|fault| fault.explain(format!("list what is left of jobs ({kind}s)")))?;
    Ok(all
        .items
        .iter()
        .map(|one| match one.namespace() {
            Some(namespace) => format!("{kind} {namespace}/{}", one.name_any()),
            None => format!("{kind} {}", one.name_any()),
        })
        .collect())
}

/// What cannot be removed now stays written down.
pub(super) fn left(error: &Error) {
    tracing::warn!(error = %crate::trace::chain(error), "something of a sandbox is left; the next sweep finds it");
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::Method;
    use http_body_util::BodyExt as _;
    use serde_json::{Value, json};

    use super::super::peers;
    use super::*;

    /// The first answer is lost, so that the second attempt finds the pod there.
    ///
    /// Covers: GK-LIFE-16
    #[tokio::test(start_paused = true)]
    async fn a_pod_is_made_by_one_post_whose_answer_may_be_lost() {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&calls);
        let cluster = peers::cluster(peers::repeats(3, &[]), move |request| {
            let told = Arc::clone(&told);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.expect("is whole").to_bytes();
                let name = serde_json::from_slice::<Value>(&body).map(|pod| pod["metadata"]["name"].clone());
                let mut told = told.lock().expect("no panic");
                told.push((
                    head.method.clone(),
                    head.uri.path().to_owned(),
                    name.unwrap_or_default(),
                ));
                match (head.method, told.len()) {
                    (Method::POST, 1) => peers::refusal(500, "unexpected EOF"),
                    (Method::POST, _) => peers::answer(
                        409,
                        &json!({"kind": "Status", "status": "Failure", "message": "pods \"p\" already exists", "reason": "AlreadyExists", "code": 409}),
                    ),
                    _ => peers::answer(
                        200,
                        &json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "uid": "u"}}),
                    ),
                }
            }
        });
        let folder = tempfile::tempdir().expect("a folder");
        let mut maker = Maker {
            cluster,
            namespace: "ci".to_owned(),
            record: Record::create(folder.path(), "p", Written::default()).expect("is written"),
        };
        let pod = serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ci"}})).expect("is a pod");
        let made = maker.pod(pod).await.expect("is made");
        assert_eq!(made.uid().as_deref(), Some("u"));
        assert_eq!(maker.record.written().pods, ["p"], "it is written down");
        let (all, one) = ("/api/v1/namespaces/ci/pods", "/api/v1/namespaces/ci/pods/p");
        let wanted = [
            (Method::POST, all.to_owned(), json!("p")),
            (Method::POST, all.to_owned(), json!("p")),
            (Method::GET, one.to_owned(), Value::Null),
        ];
        assert_eq!(*calls.lock().expect("no panic"), wanted);
    }
}
