//! Steps that move files: checkout, caches, workspace, artifacts, test results.

use std::path::PathBuf;

use tasuki_model::reason::FailureReason;
use tasuki_model::secret::Secret;

use super::place;
use crate::executor::Sandbox;
use crate::guest::{self, Request};
use crate::job::build::Build;
use crate::job::command::Limit;
use crate::job::failure::Failure;

/// Kind of the artifacts that hold a workspace.
const WORKSPACE: &str = "workspace";

/// What to check out.
pub(super) struct Checkout<'s> {
    pub(super) path: Option<&'s str>,
    pub(super) depth: Option<u32>,
    pub(super) method: Option<&'s str>,
}

/// Which cache to restore.
pub(super) struct Restore<'s> {
    pub(super) keys: &'s [String],
    pub(super) prefix: bool,
    pub(super) template: bool,
}

/// Which cache to save.
pub(super) struct Save<'s> {
    pub(super) key: &'s str,
    pub(super) paths: &'s [String],
    pub(super) immutable: bool,
    pub(super) template: bool,
}

impl Build<'_> {
    pub(super) async fn make_folder(&self, sandbox: &dyn Sandbox, folder: PathBuf) -> Result<(), Failure> {
        let request = Request::MakeFolder { folder };
        self.guest(sandbox, request, &Limit::Job, "make_folder").await.map(drop)
    }

    pub(super) async fn checkout_step(&self, sandbox: &dyn Sandbox, what: Checkout<'_>) -> Result<(), Failure> {
        let folder = place::absolute(what.path.unwrap_or("."), sandbox.paths());
        let mut request = self.sources_request(&self.source(sandbox.paths()))?;
        match &mut request {
            Request::Checkout(checkout) => {
                checkout.project = folder;
                checkout.depth = match (what.depth, what.method) {
                    (Some(depth), _) => depth,
                    (None, Some("shallow")) => 1,
                    (None, _) => 0,
                };
                // What earlier steps put there (a restored cache) stays.
                checkout.clean_flags = None;
            }
            Request::Snapshot(snapshot) => snapshot.project = folder,
            _ => {}
        }
        let limit = Limit::of(self.host.config.get_sources_timeout.map(|limit| limit.0));
        self.sources_once(sandbox, request, &limit).await
    }

    fn keyed_store(&self) -> Result<guest::KeyedStore, Failure> {
        let url = self.job.tasuki.as_ref().and_then(|tasuki| tasuki.cache_url.clone());
        let url = url.ok_or_else(|| Failure::system("the server names no store for caches"))?;
        Ok(guest::KeyedStore {
            url: Secret::new(url),
            token: self.job.token.clone(),
        })
    }

    fn keyed_place(&self, sandbox: &dyn Sandbox) -> guest::KeyedPlace {
        guest::KeyedPlace {
            project: sandbox.paths().project.clone(),
            home: sandbox.paths().home.clone(),
        }
    }

    /// Gives the key that was found.
    pub(super) async fn restore_step(
        &self,
        sandbox: &dyn Sandbox,
        what: Restore<'_>,
    ) -> Result<Option<String>, Failure> {
        let request = Request::RestoreKeyed(Box::new(guest::RestoreKeyed {
            store: self.keyed_store()?,
            place: self.keyed_place(sandbox),
            keys: what.keys.to_vec(),
            prefix: what.prefix,
            template: what.template,
            folder: sandbox.paths().project.clone(),
        }));
        let response = self.guest(sandbox, request, &Limit::Job, "restore_cache").await?;
        Ok(response.report.cache_key)
    }

    pub(super) async fn save_step(&self, sandbox: &dyn Sandbox, what: Save<'_>) -> Result<(), Failure> {
        let request = Request::SaveKeyed(Box::new(guest::SaveKeyed {
            store: self.keyed_store()?,
            place: self.keyed_place(sandbox),
            key: what.key.to_owned(),
            paths: what.paths.to_vec(),
            immutable: what.immutable,
            template: what.template,
            folder: sandbox.paths().project.clone(),
        }));
        self.guest(sandbox, request, &Limit::Job, "save_cache").await.map(drop)
    }

    /// `number` tells the layers of one task apart and keeps their order.
    pub(super) async fn persist_step(
        &self,
        sandbox: &dyn Sandbox,
        root: &str,
        paths: &[String],
        number: usize,
    ) -> Result<(), Failure> {
        let folder = place::absolute(root, sandbox.paths());
        let source = self.source(sandbox.paths());
        let request = Request::UploadArtifacts(Box::new(guest::UploadArtifacts {
            project: folder.clone(),
            coordinator: source.coordinator(),
            task_id: self.job.id,
            token: self.job.token.clone(),
            selection: guest::Selection {
                paths: paths.to_vec(),
                ..guest::Selection::default()
            },
            name: format!("{WORKSPACE}-{number:04}"),
            format: guest::Format::TarZstd,
            compression: guest::Compression::Default,
            artifact_type: WORKSPACE.to_owned(),
            expire_in: String::new(),
        }));
        let response = self
            .guest(sandbox, request, &Limit::Job, "persist_to_workspace")
            .await?;
        if response.report.skipped {
            let message = format!("the specified paths did not match any files in {}", folder.display());
            return Err(Failure::job(FailureReason::ScriptFailure, message));
        }
        Ok(())
    }

    pub(super) async fn attach_step(&self, sandbox: &dyn Sandbox, at: &str) -> Result<(), Failure> {
        let layers = self.job.tasuki.as_ref().map_or(&[][..], |tasuki| &tasuki.workspaces);
        let folder = place::absolute(at, sandbox.paths());
        self.make_folder(sandbox, folder.clone()).await?;
        if layers.is_empty() {
            self.console.line("No job before this one has persisted anything");
            return Ok(());
        }
        let dependencies = layers.iter().map(|layer| guest::Dependency {
            id: layer.task,
            name: layer.job.clone(),
            token: self.job.token.clone(),
            source: None,
            file: Some(guest::ArtifactFile {
                artifact_type: WORKSPACE.to_owned(),
                filename: layer.filename.clone(),
            }),
        });
        let request = Request::DownloadArtifacts(guest::DownloadArtifacts {
            project: folder,
            coordinator: self.source(sandbox.paths()).coordinator(),
            dependencies: dependencies.collect(),
            direct: false,
        });
        self.guest(sandbox, request, &Limit::Job, "attach_workspace")
            .await
            .map(drop)
    }

    pub(super) async fn store_step(
        &self,
        sandbox: &dyn Sandbox,
        path: &str,
        name: &str,
        stored_as: guest::StoredAs,
    ) -> Result<(), Failure> {
        let request = Request::StorePath(Box::new(guest::StorePath {
            coordinator: self.source(sandbox.paths()).coordinator(),
            task_id: self.job.id,
            token: self.job.token.clone(),
            path: place::absolute(path, sandbox.paths()),
            stored_as,
            name: name.to_owned(),
        }));
        self.guest(sandbox, request, &Limit::Job, "store").await.map(drop)
    }
}
