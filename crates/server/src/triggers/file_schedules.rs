//! Schedules that stand in workflow files (GitHub's `on.schedule`): those of the default branch, as it is after a push.

use std::collections::BTreeSet;

use tasuki_model::trigger::{GitRef, Source};
use tasuki_pipeline::lang::github::{self, FOLDER as WORKFLOWS};
use tasuki_store::projects::Project;
use tasuki_store::schedules::{self, Schedule, Settings};
use tracing::{info, warn};

use super::answer::Answerer;
use super::create::{Read, Start};
use super::schedules::next;
use super::{Error, Triggers};

/// Time zone of a schedule that names none.
const USUAL_ZONE: &str = "UTC";

/// Whether a schedule was made from a file: such a one belongs to nobody.
fn is_of_file(schedule: &Schedule) -> bool {
    schedule.owner_json.is_none() && github::turn_of(&schedule.description).is_some()
}

impl Triggers {
    /// After a push to the default branch: makes the schedules that its workflows have, removes those that are gone.
    /// Without an `answerer` it has no workflows.
    /// Others' schedules stay as they are.
    pub(super) async fn take_schedules(&self, start: &Start, answerer: Option<&Answerer>) -> Result<(), Error> {
        let is_default = matches!(&start.git_ref, GitRef::Branch(name) if *name == start.project.default_branch);
        if start.source != Source::Push || !is_default || !matches!(start.read, Read::Commit(_)) {
            return Ok(());
        }
        let mut wanted = BTreeSet::new();
        if let Some(answerer) = answerer {
            for file in answerer.files_in(WORKFLOWS).await {
                if let Some(text) = answerer.text(&file).await {
                    let turns = github::schedules(&file, &text);
                    wanted.extend(
                        turns
                            .into_iter()
                            .map(|turn| (turn.describe(&file), turn.cron, turn.time_zone)),
                    );
                }
            }
        }
        self.replace_schedules(&start.project, wanted).await
    }

    async fn replace_schedules(
        &self,
        project: &Project,
        mut wanted: BTreeSet<(String, String, Option<String>)>,
    ) -> Result<(), Error> {
        let (id, now, branch) = (project.id, self.now(), project.default_branch.clone());
        let known = self
            .inner
            .parts
            .store
            .read(move |tx| schedules::of_project(tx, id))
            .await?;
        let known: Vec<Schedule> = known.into_iter().filter(is_of_file).collect();
        let mut gone = Vec::new();
        for schedule in known {
            let zone = Some(schedule.time_zone).filter(|zone| zone != USUAL_ZONE);
            if !wanted.remove(&(schedule.description, schedule.cron, zone)) {
                gone.push(schedule.id);
            }
        }
        if wanted.is_empty() && gone.is_empty() {
            return Ok(());
        }
        info!(
            project.id = id.0,
            new = wanted.len(),
            gone = gone.len(),
            "schedules of workflow files"
        );
        let turns: Vec<_> = wanted
            .into_iter()
            .filter_map(|(description, cron, zone)| {
                let zone = zone.unwrap_or_else(|| USUAL_ZONE.to_owned());
                match next(&cron, &zone, now) {
                    Ok(next) => Some((description, cron, zone, next)),
                    Err(wrong) => {
                        warn!(project.id = id.0, description, error = %wrong, "a schedule of a workflow is left out");
                        None
                    }
                }
            })
            .collect();
        let written = self.inner.parts.store.write(move |tx| {
            for id in &gone {
                schedules::remove(tx, *id)?;
            }
            for (description, cron, time_zone, next_ms) in &turns {
                let new = Settings {
                    description,
                    cron,
                    time_zone,
                    ref_name: &branch,
                    variables_sealed: "",
                    inputs_json: "{}",
                    active: true,
                    next_ms: *next_ms,
                };
                schedules::create(tx, id, None, &new, now)?;
            }
            Ok(())
        });
        written.await?;
        self.rescheduled();
        Ok(())
    }
}
