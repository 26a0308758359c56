//! Local folders: a branch or tag that moves starts a pipeline by itself.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use tasuki_model::id::ProjectId;
use tasuki_model::trigger::{GitRef, Source};
use tasuki_rt::Backoff;
use tasuki_store::projects::{self, Project};
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use super::create::{Circumstances, Read, Start, Started};
use super::error::NoPipeline;
use super::forge::{PushOptions, git_ref};
use super::watch::{Following, Hint, fingerprint};
use super::{Error, Key, Triggers};
use crate::git::{Oid, Ref, Worktree};

/// Pipelines that one look may start; the tips of all refs are noted all the same. GitLab's limit for one push.
const AT_ONCE: usize = 4;
/// A commit touches several files: they are waited for, so that one look sees all of them.
const SETTLE: Duration = Duration::from_millis(8);
/// Pause between looks where the kernel reports nothing.
const LOOK: Duration = Duration::from_secs(2);
/// Looks that may fail one after the other, and the pauses between them.
const LOOKS: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Projects are read from the database in pages of this size.
const PAGE: u32 = 200;

/// A ref that is not where it was.
struct Moved {
    git_ref: GitRef,
    name: String,
    before: Option<Oid>,
    after: Oid,
}

impl Triggers {
    /// Watches all local projects and looks at each once: what moved while no server ran is built now.
    pub(super) async fn start_local(&self) -> Result<(), Error> {
        let local = self.local_projects().await?;
        for project in &local {
            self.watch(project);
        }
        if let Some(hints) = self.inner.watcher.hints() {
            let this = self.clone();
            self.inner
                .parts
                .tasks
                .spawn("local folders", async move { this.follow(hints).await });
        }
        let this = self.clone();
        self.inner.parts.tasks.spawn("first looks", async move {
            for project in local {
                this.look(project).await;
            }
        });
        Ok(())
    }

    async fn local_projects(&self) -> Result<Vec<Project>, Error> {
        let mut all = self.all_projects().await?;
        all.retain(|project| project.kind == "local");
        Ok(all)
    }

    pub(super) async fn all_projects(&self) -> Result<Vec<Project>, Error> {
        let mut all: Vec<Project> = Vec::new();
        loop {
            let after = all.last().map(|project| project.path.clone());
            let read = self
                .inner
                .parts
                .store
                .read(move |tx| projects::list(tx, after.as_deref(), PAGE));
            let page = read.await?;
            let last = page.len() < PAGE as usize;
            all.extend(page);
            if last {
                return Ok(all);
            }
        }
    }

    /// Follows a local project's refs; projects of other kinds have webhooks.
    pub(super) fn watch(&self, project: &Project) {
        if project.kind != "local" {
            return;
        }
        match self.inner.watcher.follow(project.id, Path::new(&project.url)) {
            Following::Reports => {}
            Following::Looks => {
                let (this, project) = (self.clone(), project.clone());
                self.inner.parts.tasks.spawn(
                    "looks at a folder",
                    async move { this.look_again_and_again(project).await },
                );
            }
        }
    }

    /// Notes where a new folder's refs stand, before its first look reads them: a tag set meanwhile is one that moved.
    /// The present branch is noted without a commit, so that the look builds it.
    pub(super) async fn note_present_refs(&self, project: &Project) {
        if project.kind != "local" {
            return;
        }
        let parts = &self.inner.parts;
        let present = match Worktree::refs(parts.mirrors.git(), Path::new(&project.url)).await {
            Ok(present) => present,
            // The look meets the same error, and tells it.
            Err(failed) => return debug!(project.id = project.id.0, error = %failed, "refs cannot be noted"),
        };
        let (id, head, now) = (project.id, self.present_branch(project), self.now());
        let noted = parts.store.write(move |tx| {
            for there in &present {
                let built = Some(&there.name) != head.as_ref();
                let commit = if built { there.commit.as_str() } else { "" };
                projects::set_ref(tx, id, &there.name, Some(commit), now)?;
            }
            Ok(())
        });
        if let Err(failed) = noted.await {
            error!(project.id = id.0, error = %failed, "refs cannot be noted");
        }
    }

    async fn follow(&self, mut hints: mpsc::UnboundedReceiver<Hint>) {
        let stop = self.inner.parts.tasks.token();
        loop {
            let hint = tokio::select! {
                hint = hints.recv() => hint,
                () = stop.cancelled() => return,
            };
            let Some(hint) = hint else { return };
            tokio::time::sleep(SETTLE).await;
            let mut moved = HashSet::new();
            let mut anything = false;
            for hint in std::iter::once(hint).chain(std::iter::from_fn(|| hints.try_recv().ok())) {
                match hint {
                    Hint::Moved(project) => drop(moved.insert(project)),
                    Hint::Anything => anything = true,
                }
            }
            if anything {
                match self.local_projects().await {
                    Ok(all) => moved.extend(all.iter().map(|project| project.id)),
                    Err(failed) => error!(error = %failed, "local projects cannot be listed"),
                }
            }
            for project in moved {
                let this = self.clone();
                self.inner
                    .parts
                    .tasks
                    .spawn("look", async move { this.look_at(project).await });
            }
        }
    }

    async fn look_at(&self, project: ProjectId) {
        match self.inner.parts.store.read(move |tx| projects::get(tx, project)).await {
            Ok(Some(project)) => self.look(project).await,
            Ok(None) => self.inner.watcher.forget(project),
            Err(failed) => error!(project.id = project.0, error = %failed, "a project cannot be read"),
        }
    }

    async fn look_again_and_again(&self, project: Project) {
        let stop = self.inner.parts.tasks.token();
        let mut last = fingerprint(Path::new(&project.url));
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => return,
            }
            match self
                .inner
                .parts
                .store
                .read(move |tx| projects::get(tx, project.id))
                .await
            {
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(_) => continue,
            }
            let now = fingerprint(Path::new(&project.url));
            if now != last {
                last = now;
                self.look_at(project.id).await;
            }
        }
    }

    /// Compares the refs with what was seen last and builds what moved. Errors go to the log, as nobody waits; what may
    /// go by itself (a repository in the middle of a change, a busy database) is tried again.
    pub(super) async fn look(&self, project: Project) {
        let id = project.id;
        let turn = self.turn(id);
        let _alone = turn.lock().await;
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let stop = self.inner.parts.tasks.token();
        loop {
            match self.look_once(project.clone()).await {
                Ok(()) => return,
                Err(Error::NoFolder(folder)) => return warn!(project.id = id.0, folder, "the folder is gone"),
                Err(failed) if failed.is_transient() && backoff.tries() < LOOKS => {
                    warn!(project.id = id.0, error = %Chain(&failed), "the repository is looked at again");
                }
                Err(failed) => {
                    return error!(project.id = id.0, error = %Chain(&failed), "the repository cannot be read");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.pause()) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn look_once(&self, project: Project) -> Result<(), Error> {
        let parts = &self.inner.parts;
        let mirror = self.fetched(&project).await?;
        let now_there = mirror.refs().await?;
        let id = project.id;
        let seen = parts.store.read(move |tx| projects::seen_refs(tx, id)).await?;
        let first_look = seen.is_empty();
        let seen: BTreeMap<String, (String, i64)> = seen
            .into_iter()
            .map(|seen| (seen.name, (seen.sha, seen.seen_ms.0)))
            .collect();
        let head = self.present_branch(&project);
        let mut moved = moved(&now_there, &seen);
        let gone: Vec<String> = {
            let there: HashSet<&str> = now_there.iter().map(|r| r.name.as_str()).collect();
            seen.keys()
                .filter(|name| !there.contains(name.as_str()))
                .cloned()
                .collect()
        };
        let is_head = |moved: &Moved| Some(&moved.name) == head.as_ref();
        moved.sort_by_key(|moved| (!is_head(moved), moved.name.clone()));
        let wanted = moved.iter().filter(|moved| !first_look || is_head(moved));
        let (build, rest): (Vec<_>, Vec<_>) = wanted.enumerate().partition(|(at, _)| *at < AT_ONCE);
        if !rest.is_empty() {
            warn!(
                project.id = id.0,
                refs = moved.len(),
                "more than {AT_ONCE} refs moved at once: the others start no pipeline"
            );
        }
        // By project kind: a webhook starts the pipelines of a repository by URL, the first look only notes its refs.
        let by_webhook = project.kind != "local" && first_look;
        for (_, moved) in build.into_iter().filter(|_| !by_webhook) {
            let since = seen.get(&moved.name).map_or(0, |(_, at)| *at);
            self.build(&project, moved, since).await?;
        }
        for git_ref in gone.iter().filter_map(|name| super::forge::git_ref(name).ok()) {
            self.ref_is_gone(id, &git_ref).await?;
        }
        let now = self.now();
        let tips: Vec<(String, Option<String>)> = moved
            .iter()
            .map(|moved| (moved.name.clone(), Some(moved.after.to_string())))
            .chain(gone.into_iter().map(|name| (name, None)))
            .collect();
        if tips.is_empty() {
            return Ok(());
        }
        // Noted after the pipelines are saved: a crash between the two repeats the starts, whose keys make no second one.
        let noted = parts.store.write(move |tx| {
            for (name, sha) in &tips {
                projects::set_ref(tx, id, name, sha.as_deref(), now)?;
            }
            Ok(())
        });
        Ok(noted.await?)
    }

    async fn build(&self, project: &Project, moved: &Moved, since: i64) -> Result<(), Error> {
        let before = moved.before.as_ref().map_or("new", Oid::as_str);
        let start = Start {
            project: project.clone(),
            git_ref: moved.git_ref.clone(),
            read: Read::Commit(moved.after.clone()),
            before: moved.before.clone(),
            source: Source::Push,
            variables: Vec::new(),
            inputs: Vec::new(),
            user: None,
            options: PushOptions::default(),
            payload: None,
            selection: None,
            more: Circumstances::default(),
            key: Some(Key::moved(project.id, &moved.name, before, moved.after.as_str(), since)),
        };
        for made in self.create(start).await? {
            match made.started {
                Started::New { .. } | Started::Existing(_) => {}
                Started::None(NoPipeline::Missing(path)) => {
                    info!(
                        project.id = project.id.0,
                        r#ref = moved.name,
                        path,
                        "no configuration, no pipeline"
                    );
                }
                Started::None(why) => {
                    let config = made.config;
                    debug!(
                        project.id = project.id.0,
                        r#ref = moved.name,
                        config,
                        ?why,
                        "no pipeline"
                    );
                }
            }
        }
        Ok(())
    }

    /// The full name of the branch that is checked out in a folder; elsewhere the default branch.
    fn present_branch(&self, project: &Project) -> Option<String> {
        let mirror = self.inner.parts.mirrors.of(project.id);
        let checked_out = (project.kind == "local")
            .then(|| crate::git::branch(Path::new(&project.url)))
            .flatten();
        let branch = checked_out.or_else(|| mirror.head().ok().flatten())?;
        Some(format!("refs/heads/{branch}"))
    }
}

fn moved(now_there: &[Ref], seen: &BTreeMap<String, (String, i64)>) -> Vec<Moved> {
    let seen: HashMap<&str, &str> = seen
        .iter()
        .map(|(name, (sha, _))| (name.as_str(), sha.as_str()))
        .collect();
    now_there
        .iter()
        .filter(|there| seen.get(there.name.as_str()) != Some(&there.commit.as_str()))
        .filter_map(|there| {
            Some(Moved {
                git_ref: git_ref(&there.name).ok()?,
                name: there.name.clone(),
                before: seen.get(there.name.as_str()).and_then(|sha| sha.parse().ok()),
                after: there.commit.clone(),
            })
        })
        .collect()
}

/// An error with its causes, in one line of the log.
pub(super) struct Chain<'a>(pub(super) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}
