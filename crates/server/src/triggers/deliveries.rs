//! Webhooks: checked, stored, answered; then worked on by a loop that reads them from the database.

use std::time::Duration;

use axum::http::HeaderMap;
use futures_util::StreamExt as _;
use serde_json::Value;
use tasuki_model::time::Timestamp;
use tasuki_model::trigger::{GitRef, Source};
use tasuki_store::deliveries::{self, Delivery, NewDelivery};
use tasuki_store::projects::{self, Project};
use tracing::{error, info, warn};

use super::configurations::Made;
use super::create::{Circumstances, Read, Start, Started};
use super::error::NoPipeline;
use super::forge::{Event, Forge, Push, same_place};
use super::local::Chain;
use super::{Error, HookRefused, Key, Triggers};
use crate::config::ProjectSettings;

/// Webhooks that are worked on at the same time.
const AT_ONCE: usize = 8;
/// Whoever took a webhook and died loses it after this long.
const TAKEN_FOR: Duration = Duration::from_secs(35 * 60);
/// Tries before a webhook is given up: over an hour in all.
const TRIES: i64 = 10;
/// Longest sleep of the loop, should a wake-up be lost (another server stored the webhook).
const NAP: Duration = Duration::from_secs(30);
/// Webhooks that are done are kept this long, so that late repetitions are recognised.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// What became of a webhook that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// Stored; a pipeline follows if the configuration says so.
    Stored,
    /// It had been stored before: nothing more happens.
    Repeated,
    /// Nothing starts by such an event; why.
    Ignored(&'static str),
}

impl Triggers {
    /// Takes a webhook: finds the project that has its address and secret, and stores it. When this returns
    /// [`Received::Stored`] the webhook survives a crash.
    ///
    /// # Errors
    /// [`HookRefused`]: nothing was stored.
    pub async fn receive(&self, forge: Forge, headers: &HeaderMap, body: &[u8]) -> Result<Received, HookRefused> {
        let addresses = forge.repository(headers, body)?.addresses;
        let project = self
            .addressee(forge, headers, body, &addresses)
            .await?
            .ok_or(HookRefused::Unknown)?;
        let event = forge.event_name(headers).unwrap_or_default().to_owned();
        let json = forge.json(headers, body)?;
        if let Event::Ignored(why) = forge.parse_event(&event, &json)? {
            return Ok(Received::Ignored(why));
        }
        let (key, id) = (format!("{}:{}", project.id, forge.delivery(headers, body)), project.id);
        let (body, now) = (json.to_string().into_bytes(), self.now());
        let stored = self.inner.parts.store.write(move |tx| {
            let new = NewDelivery {
                dedupe_key: &key,
                forge: forge.as_str(),
                project_id: Some(id),
                event: &event,
                headers_json: "{}",
                body: &body,
            };
            deliveries::insert(tx, &new, now)
        });
        if stored.await?.is_none() {
            return Ok(Received::Repeated);
        }
        self.inner.delivered.notify_one();
        Ok(Received::Stored)
    }

    /// The project of one of these addresses whose secret fits.
    async fn addressee(
        &self,
        forge: Forge,
        headers: &HeaderMap,
        body: &[u8],
        addresses: &[String],
    ) -> Result<Option<Project>, HookRefused> {
        let places: Vec<String> = addresses.iter().filter_map(|address| same_place(address)).collect();
        let candidates = self.inner.parts.store.read(projects::by_webhook).await?;
        let fits = |project: &Project| {
            let here = same_place(&project.url).is_some_and(|place| places.contains(&place));
            let sealed = ProjectSettings::read(&project.settings_json).hook_secret;
            let secret = sealed
                .filter(|_| here)
                .and_then(|sealed| self.inner.parts.vault.open(&sealed));
            secret.is_some_and(|secret| forge.verify(headers, body, &secret))
        };
        Ok(candidates.into_iter().find(fits))
    }

    /// Works on stored webhooks until the server stops.
    pub(super) fn start_deliveries(&self) {
        let this = self.clone();
        self.inner.parts.tasks.spawn("webhooks", async move {
            let stop = this.inner.parts.tasks.token();
            loop {
                let pause = match this.work_on_due().await {
                    Ok(pause) => pause,
                    Err(failed) => {
                        error!(error = %Chain(&failed), "stored webhooks cannot be read");
                        Duration::from_secs(5)
                    }
                };
                tokio::select! {
                    () = this.inner.delivered.notified() => {}
                    () = tokio::time::sleep(pause.min(NAP)) => {}
                    () = stop.cancelled() => return,
                }
            }
        });
    }

    /// Works on everything that is due; gives how long nothing else will be.
    async fn work_on_due(&self) -> Result<Duration, Error> {
        let store = &self.inner.parts.store;
        loop {
            let now = self.now();
            let taken = store
                .write(move |tx| deliveries::take(tx, now, now.after(TAKEN_FOR), AT_ONCE as u32))
                .await?;
            if taken.is_empty() {
                let before = Timestamp(now.0 - i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX));
                store.write(move |tx| deliveries::sweep(tx, before)).await?;
                let next = store.read(deliveries::next_due).await?;
                return Ok(next.map_or(NAP, |due| due.since(now)));
            }
            let work = taken.into_iter().map(|delivery| self.settle(delivery));
            futures_util::stream::iter(work)
                .buffer_unordered(AT_ONCE)
                .collect::<()>()
                .await;
        }
    }

    /// Works on one and notes how it went.
    async fn settle(&self, delivery: Delivery) {
        let (id, tries) = (delivery.id, delivery.attempts + 1);
        let outcome = self.work_on(&delivery).await;
        let now = self.now();
        let noted = match outcome {
            Ok(outcome) => {
                info!(delivery.id = id, outcome, "webhook");
                self.inner
                    .parts
                    .store
                    .write(move |tx| deliveries::done(tx, id, &outcome, now))
                    .await
            }
            Err(failed) if failed.is_transient() && tries < TRIES => {
                let text = Chain(&failed).to_string();
                let pause = Duration::from_secs(1 << tries.clamp(0, 10));
                warn!(
                    delivery.id = id,
                    error = text,
                    retry_in_s = pause.as_secs(),
                    "a webhook is tried again"
                );
                self.inner
                    .parts
                    .store
                    .write(move |tx| deliveries::put_off(tx, id, &text, now.after(pause)))
                    .await
            }
            Err(failed) => {
                let text = Chain(&failed).to_string();
                error!(delivery.id = id, error = text, "a webhook is given up");
                self.inner
                    .parts
                    .store
                    .write(move |tx| deliveries::done(tx, id, &text, now))
                    .await
            }
        };
        if let Err(failed) = noted {
            error!(delivery.id = id, error = %failed, "the end of a webhook cannot be noted; it is repeated later");
        }
    }

    async fn work_on(&self, delivery: &Delivery) -> Result<String, Error> {
        let Some(forge) = Forge::parse(&delivery.forge) else {
            return Ok("unknown forge".to_owned());
        };
        let body: Value = serde_json::from_slice(&delivery.body).map_err(|source| super::forge::Error::Body {
            forge: forge.as_str(),
            source,
        })?;
        let event = forge.parse_event(&delivery.event, &body)?;
        let Some(id) = delivery.project_id else {
            return Ok("the project was removed".to_owned());
        };
        let Some(project) = self.inner.parts.store.read(move |tx| projects::get(tx, id)).await? else {
            return Ok("the project was removed".to_owned());
        };
        let key = Key::delivery(&delivery.dedupe_key);
        match event {
            Event::Ignored(why) => Ok(why.to_owned()),
            Event::Push(push) => self.pushed(project, *push, key).await,
            Event::Deleted(git_ref) => self.deleted(&project, &git_ref).await,
            Event::Merge(merge) => match self.merge(project, *merge, key).await? {
                Err(why) => Ok(format!("no pipeline: {why}")),
                Ok(start) => Ok(outcomes(&self.create(start).await?)),
            },
        }
    }

    /// A branch or tag is gone: so are the environments that were deployed from it.
    async fn deleted(&self, project: &Project, git_ref: &GitRef) -> Result<String, Error> {
        let (id, name, now) = (project.id, git_ref.full(), self.now());
        let stopped = self.ref_is_gone(id, git_ref).await?;
        // After: a crash between the two repeats what is harmless to repeat.
        let forgotten = self
            .inner
            .parts
            .store
            .write(move |tx| projects::set_ref(tx, id, &name, None, now));
        forgotten.await?;
        Ok(format!("the ref was deleted; environments stopped: {stopped}"))
    }

    async fn pushed(&self, project: Project, push: Push, key: Key) -> Result<String, Error> {
        let id = project.id;
        let mirror = self.fetched(&project).await?;
        let commit = self.commit(&project, &mirror, &push.after).await?;
        let (name, sha, now) = (push.git_ref.full(), commit.to_string(), self.now());
        let Push {
            git_ref,
            before,
            user,
            options,
            payload,
            ..
        } = push;
        let started = self.create(Start {
            project,
            git_ref,
            read: Read::Commit(commit),
            before,
            source: Source::Push,
            variables: Vec::new(),
            inputs: Vec::new(),
            user,
            options,
            payload,
            key: Some(key),
            selection: None,
            more: Circumstances::default(),
        });
        let outcome = outcomes(&started.await?);
        self.inner
            .parts
            .store
            .write(move |tx| projects::set_ref(tx, id, &name, Some(&sha), now))
            .await?;
        Ok(outcome)
    }
}

/// What came of a start, in words.
pub(super) fn outcomes(made: &[Made]) -> String {
    match made {
        [only] => outcome(&only.started),
        several => {
            let one = |made: &Made| format!("{}: {}", made.config, outcome(&made.started));
            several.iter().map(one).collect::<Vec<_>>().join("; ")
        }
    }
}

/// What came of one configuration, in words.
pub(super) fn outcome(started: &Started) -> String {
    match started {
        Started::New { id, .. } => format!("pipeline {id}"),
        Started::Existing(id) => format!("pipeline {id}, made before"),
        Started::None(NoPipeline::Missing(path)) => format!("no pipeline: there is no {path}"),
        Started::None(NoPipeline::Skipped(skip)) => format!("no pipeline: {}", skip.title()),
        Started::None(NoPipeline::Unwanted) => "no pipeline: a push option asked for none".to_owned(),
        Started::None(NoPipeline::Invalid(_)) => "no pipeline: the configuration is invalid".to_owned(),
    }
}
