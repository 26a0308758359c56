//! Keeping mirrors small: refs of deleted pipelines go, loose objects are packed.

use std::time::Duration;

use tasuki_model::id::PipelineId;
use tasuki_store::{pipelines, projects::Project};
use tracing::{info, warn};

use super::local::Chain;
use super::{Error, Triggers};

/// Pause between two rounds.
const EVERY: Duration = Duration::from_hours(6);
/// Before the first round: a start has better things to do.
const FIRST: Duration = Duration::from_mins(10);

impl Triggers {
    /// Goes over all mirrors from time to time, one after the other.
    pub(super) fn start_housekeeping(&self) {
        let this = self.clone();
        self.inner.parts.tasks.spawn("housekeeping of mirrors", async move {
            let stop = this.inner.parts.tasks.token();
            let mut pause = FIRST;
            loop {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => return,
                }
                pause = EVERY;
                match this.all_projects().await {
                    Ok(all) => {
                        for project in all {
                            this.keep_house(&project).await;
                        }
                    }
                    Err(failed) => warn!(error = %Chain(&failed), "projects cannot be listed"),
                }
            }
        });
    }

    async fn keep_house(&self, project: &Project) {
        match self.tidied(project).await {
            Ok(0) => {}
            Ok(released) => info!(project.id = project.id.0, released, "refs of deleted pipelines removed"),
            Err(failed) => warn!(project.id = project.id.0, error = %Chain(&failed), "a mirror cannot be tidied"),
        }
    }

    /// Tidies one mirror; gives how many refs were removed.
    pub(super) async fn tidied(&self, project: &Project) -> Result<usize, Error> {
        let mirror = self.inner.parts.mirrors.of(project.id);
        if !mirror.dir().exists() {
            return Ok(0);
        }
        let kept = mirror.kept().await?;
        let gone = self.inner.parts.store.read(move |tx| {
            let mut gone: Vec<PipelineId> = Vec::new();
            for id in kept {
                if pipelines::version(tx, id)?.is_none() {
                    gone.push(id);
                }
            }
            Ok(gone)
        });
        let gone = gone.await?;
        if !gone.is_empty() {
            mirror.release(&gone).await?;
        }
        mirror.tidy().await?;
        Ok(gone.len())
    }
}
