//! Whether the runner's account may do what it has to: asked of the cluster itself (SelfSubjectAccessReview), which tells it to
//! everybody about their own account.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::cluster::Cluster;
use super::connect::Access;
use super::executor::{Shared, connect};
use super::fault::Fault;
use super::settings::Settings;
use super::watch::Way;
use crate::executor::{Error, Result};

/// How long a refusal is believed: whoever gives the right does not have to start the runner again.
const REFUSED_FOR: Duration = Duration::from_secs(5 * 60);

/// One verb on one resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Right {
    pub verb: String,
    /// With its part, as in `pods/exec`.
    pub resource: String,
    /// Empty = the core group.
    pub group: String,
    /// Absent = everywhere.
    pub namespace: Option<String>,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, " of {}", self.group)?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in the namespace {namespace}"),
            None => f.write_str(" in the whole cluster"),
        }
    }
}

impl Right {
    /// Whether jobs run without it: pods are then polled, and the job's log is not told of them.
    #[must_use]
    pub fn is_dispensable(&self) -> bool {
        matches!(
            (self.verb.as_str(), self.resource.as_str()),
            ("watch", "pods") | ("list" | "watch", "events") | ("get", "pods/log")
        )
    }

    fn on_pods(verb: &str, namespace: Option<&str>) -> Self {
        Self {
            verb: verb.to_owned(),
            resource: "pods".to_owned(),
            group: String::new(),
            namespace: namespace.map(str::to_owned),
        }
    }

    /// Whether the account of this connection has it.
    pub(super) async fn is_granted(&self, cluster: &Cluster) -> std::result::Result<bool, Fault> {
        let reviews: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
        let (resource, part) = match self.resource.split_once('/') {
            Some((resource, part)) => (resource, Some(part.to_owned())),
            None => (self.resource.as_str(), None),
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    namespace: self.namespace.clone(),
                    group: Some(self.group.clone()),
                    resource: Some(resource.to_owned()),
                    subresource: part,
                    verb: Some(self.verb.clone()),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let params = PostParams::default();
        let answer = cluster.call(|| reviews.create(&params, &review)).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

/// What the cluster said of the runner's own account. Each right is asked for once, however many jobs begin at a time; a refusal
/// again after a while.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<Right, Arc<Mutex<Option<Answer>>>>>);

#[derive(Debug, Clone, Copy)]
struct Answer {
    granted: bool,
    at: Instant,
}

impl Answer {
    fn holds(self) -> bool {
        self.granted || self.at.elapsed() < REFUSED_FOR
    }
}

impl Known {
    async fn is_granted(&self, cluster: &Cluster, right: &Right) -> std::result::Result<bool, Fault> {
        let place = Arc::clone(self.0.lock().await.entry(right.clone()).or_default());
        let mut known = place.lock().await;
        if let Some(answer) = known.filter(|answer| answer.holds()) {
            return Ok(answer.granted);
        }
        let granted = right.is_granted(cluster).await?;
        *known = Some(Answer {
            granted,
            at: Instant::now(),
        });
        Ok(granted)
    }
}

/// How the pods of a job can be followed.
///
/// # Errors
/// The account may neither watch nor get them.
pub(super) async fn way(shared: &Shared, cluster: &Cluster, namespace: &str, account: Whose) -> Result<Way> {
    let settings = &shared.settings;
    // Nobody knows the names of the namespaces that are still to be made: the account has its rights in all of them.
    let place = (!settings.config.namespace_per_job).then_some(namespace);
    let ask = async |verb: &str| {
        let right = Right::on_pods(verb, place);
        let answer = match account {
            Whose::Runner => shared.known.is_granted(cluster, &right).await,
            Whose::Job => right.is_granted(cluster).await,
        };
        (right, answer)
    };
    let (right, watch) = ask("watch").await;
    match watch {
        Ok(true) => return Ok(Way::Watch),
        Ok(false) => tracing::warn!("the runner's account may not {right}: pods are polled"),
        Err(fault) => tracing::warn!(error = %fault, "cannot ask whether the account may {right}: pods are polled"),
    }
    match ask("get").await {
        (right, Ok(false)) => Err(missing(&right)),
        (_, Ok(true) | Err(_)) => Ok(Way::Poll(settings.poll_interval)),
    }
}

/// Whose account a connection uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Runner,
    /// By `KUBERNETES_BEARER_TOKEN`.
    Job,
}

fn missing(right: &Right) -> Error {
    Error::configuration(
        format!("the runner's account can follow no pod: it may not {right}"),
        format!(
            "give the runner's account the permission to {right} (`tasuki runner kubernetes-rbac` prints the Role)"
        ),
    )
}

/// What an account may do of what a configuration needs.
#[derive(Debug)]
pub struct Permissions {
    /// Address of the API.
    pub address: String,
    /// How many rights the configuration needs.
    pub needed: usize,
    /// Those of them that the account does not have.
    pub missing: Vec<Right>,
}

/// Asks the cluster of a configuration whether its account has every right that `runner kubernetes-rbac` would give it.
///
/// # Errors
/// The configuration names no cluster, or the cluster does not answer.
pub async fn permissions(settings: &Settings) -> Result<Permissions> {
    let needed = super::rbac::rights(settings);
    let cluster = connect(&Access::of(&settings.config), settings).await?;
    let mut missing = Vec::new();
    for right in &needed {
        let granted = right.is_granted(&cluster).await;
        if !granted.map_err(|fault| fault.explain("ask what the account may do"))? {
            missing.push(right.clone());
        }
    }
    Ok(Permissions {
        address: cluster.address,
        needed: needed.len(),
        missing,
    })
}
