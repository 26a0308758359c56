//! Keeping the number of pause pods.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt as _};
use tasuki_model::time::Timestamp;
use tasuki_rt::{CancellationToken, Clock, Tasks};

use super::super::cluster::{Cluster, unless_missing};
use super::super::make::{self, Rest};
use super::super::names;
use super::super::record::{Record, Written};
use super::super::settings::Settings;
use super::decide::{Held, Policies};
use super::objects::{HEARTBEAT, LABEL, deployment, priority_class};
use crate::executor::{self, Result};
use crate::trace::chain;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(10);

/// How old the sign of life on the Deployment may get, in milliseconds.
const HEARTBEAT_AFTER: i64 = 60_000;

/// From which age on a Deployment belongs to nobody, in milliseconds.
const ORPHANED_AFTER: i64 = 3_600_000;

/// Sandboxes that there are.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Active(Arc<AtomicU32>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(in super::super) struct One(Active);

impl Active {
    pub(in super::super) fn one(&self) -> One {
        self.0.fetch_add(1, Ordering::Relaxed);
        One(self.clone())
    }

    fn number(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is known of the pods, for whoever measures.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Shown(Arc<Mutex<Option<executor::Held>>>);

impl Shown {
    pub(in super::super) fn get(&self) -> Option<executor::Held> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, held: Option<executor::Held>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }
}

/// Keeps the number until it is dropped, or the runner ends; then the pods go.
#[derive(Debug)]
pub(in super::super) struct Keeper {
    end: CancellationToken,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// What a keeper works with.
pub(in super::super) struct Work {
    pub(in super::super) cluster: Cluster,
    pub(in super::super) settings: Settings,
    pub(in super::super) records: PathBuf,
    pub(in super::super) active: Active,
    pub(in super::super) shown: Shown,
}

impl Keeper {
    /// Begins to keep what the settings want.
    ///
    /// # Errors
    /// What is made cannot be written down, or a patch of the configuration does not fit.
    pub(in super::super) fn start(work: Work, policies: Policies, tasks: &Tasks) -> Result<Self> {
        let wanted = deployment(&work.settings, &names::host())?;
        let name = wanted.name_any();
        let written = Written {
            cluster: work.cluster.address.clone(),
            namespace: work.settings.namespace.clone(),
            deployments: vec![name.clone()],
            ..Written::default()
        };
        let record = Record::create(&work.records, &name, written)?;
        let end = CancellationToken::new();
        let (ended, stopped) = (end.clone(), tasks.token());
        let mut keeping = Keeping {
            clock: Clock::system(),
            work,
            policies,
            wanted,
            held: Held::default(),
            has_class: false,
        };
        tasks.spawn("pause pods", async move {
            loop {
                // Not dropped in the middle: what is made then would be made after its removal.
                if let Err(error) = keeping.look().await {
                    tracing::warn!(error = %chain(&error), "pause pods cannot be kept; the next look tries again");
                }
                tokio::select! {
                    () = tokio::time::sleep(INTERVAL) => {}
                    () = ended.cancelled() => break,
                    () = stopped.cancelled() => break,
                }
            }
            keeping.work.shown.set(None);
            let removed = make::remove(&keeping.work.cluster, record.written(), Rest::Unknown, Some(0)).await;
            if let Err(error) = removed.and_then(|_| record.remove()) {
                make::left(&error);
            }
        });
        Ok(Self { end })
    }
}

struct Keeping {
    clock: Clock,
    work: Work,
    policies: Policies,
    /// As it is to be, but for the number.
    wanted: Deployment,
    held: Held,
    /// The priority class is known to be there.
    has_class: bool,
}

impl Keeping {
    fn api(&self) -> Api<Deployment> {
        Api::namespaced(self.work.cluster.client.clone(), &self.work.settings.namespace)
    }

    async fn look(&mut self) -> Result<()> {
        let now = Timestamp(self.clock.now_ms());
        let held = self.policies.step(self.held, self.work.active.number(), now);
        if held.pods != self.held.pods {
            tracing::info!(
                pods = held.pods,
                before = self.held.pods,
                "the number of pause pods changes"
            );
        }
        self.class().await?;
        self.keep(held.pods, now).await?;
        self.held = held;
        self.orphans(now).await
    }

    /// The class of the pods, where none is named: one for all runners of the cluster, which stays.
    async fn class(&mut self) -> Result<()> {
        let section = self.work.settings.config.autoscaler.as_ref();
        let named = section.is_some_and(|section| !section.pause_pod_priority_class_name.is_empty());
        if named || self.has_class {
            return Ok(());
        }
        let cluster = &self.work.cluster;
        let api: Api<PriorityClass> = Api::all(cluster.client.clone());
        let class = priority_class();
        let name = class.name_any();
        let found = cluster.call(|| api.get(&name)).await;
        if unless_missing(found, "look for the priority class of pause pods")?.is_none() {
            let params = PostParams::default();
            match cluster.call(|| api.create(&params, &class)).await {
                Ok(_) => {}
                // Another runner was faster.
                Err(fault) if fault.is_conflict() => {}
                Err(fault) => return Err(fault.explain("make the priority class of pause pods")),
            }
        }
        self.has_class = true;
        Ok(())
    }

    /// Makes the Deployment so large, and says that its runner lives. Its pods are counted as they are before.
    async fn keep(&self, pods: u32, now: Timestamp) -> Result<()> {
        let (api, cluster) = (self.api(), &self.work.cluster);
        let name = self.wanted.name_any();
        let found = cluster.call(|| api.get(&name)).await;
        let found = unless_missing(found, format!("look for the pause pods {name}"))?;
        let status = found.as_ref().and_then(|found| found.status.as_ref());
        let ready = status.and_then(|status| status.ready_replicas).unwrap_or(0);
        self.work.shown.set(Some(executor::Held {
            wanted: pods,
            ready: u32::try_from(ready).unwrap_or(0),
        }));
        let replicas = i32::try_from(pods).unwrap_or(i32::MAX);
        let is_so = found.as_ref().is_some_and(|found| {
            let has = found.spec.as_ref().and_then(|spec| spec.replicas);
            has == Some(replicas) && age(found, now) < HEARTBEAT_AFTER
        });
        if is_so {
            return Ok(());
        }
        let mut wanted = self.wanted.clone();
        if let Some(spec) = &mut wanted.spec {
            spec.replicas = Some(replicas);
        }
        wanted.annotations_mut().insert(HEARTBEAT.to_owned(), now.0.to_string());
        let params = PostParams::default();
        let done = match found {
            None => cluster.call(|| api.create(&params, &wanted)).await,
            Some(_) => cluster.call(|| api.replace(&name, &params, &wanted)).await,
        };
        done.map(drop)
            .map_err(|fault| fault.explain(format!("keep {pods} pause pods ({name})")))
    }

    /// Removes what runners left that were killed on machines that are gone.
    async fn orphans(&self, now: Timestamp) -> Result<()> {
        let (api, cluster) = (self.api(), &self.work.cluster);
        let params = ListParams::default().labels(LABEL);
        let all = cluster.call(|| api.list(&params)).await;
        let all = all.map_err(|fault| fault.explain("list the pause pods of other runners"))?;
        for orphan in all.items.iter().filter(|one| age(one, now) >= ORPHANED_AFTER) {
            let name = orphan.name_any();
            tracing::info!(
                deployment = name,
                "removing pause pods whose runner was not seen for an hour"
            );
            let gone = cluster
                .call(|| async { api.delete(&name, &DeleteParams::background()).await.map(drop) })
                .await;
            unless_missing(gone, format!("remove the pause pods {name}"))?;
        }
        Ok(())
    }
}

/// How long ago the runner of a Deployment was seen, in milliseconds. One that says nothing was never.
fn age(deployment: &Deployment, now: Timestamp) -> i64 {
    let seen = deployment.annotations().get(HEARTBEAT);
    seen.and_then(|seen| seen.parse::<i64>().ok())
        .map_or(i64::MAX, |seen| now.0.saturating_sub(seen))
}
