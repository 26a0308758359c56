//! Simulated people: they start pipelines, and then they change their minds.

use tasuki_model::id::{JobId, PipelineId};
use tasuki_model::trigger::{Commit, GitRef, Source, Trigger};
use tasuki_server::scheduler::{Content, Created, Error, NewPipeline, Play};
use tasuki_store::jobs;

use super::ledger::{Job, Made};
use super::world::{Sim, shown};

/// A job as the simulation writes it.
struct Draft {
    json: serde_json::Value,
    stage: usize,
    needs: Option<Vec<usize>>,
    manual: bool,
    optional: bool,
    delay: Option<i64>,
    /// What it does to its environment.
    action: Option<String>,
}

impl Sim {
    pub(super) async fn people(&mut self) -> Result<(), String> {
        match self.random.below(10) {
            0..5 => self.push().await,
            5 => {
                // A burst of one project.
                for _ in 0..self.random.below(6) {
                    self.push().await?;
                    self.check_touched().await?;
                }
                Ok(())
            }
            6 => self.meddle_with_environment().await,
            _ => self.meddle().await,
        }
    }

    fn draft(&mut self, before: &[Draft]) -> Draft {
        let i = before.len();
        let stage = self.random.below(3);
        let needs = (i > 0 && self.random.percent(35)).then(|| {
            let mut needs: Vec<usize> = (0..self.random.below(3)).map(|_| self.random.below(i)).collect();
            // A need of a later stage could wait for the job that needs it: front ends refuse it.
            needs.retain(|need| before[*need].stage <= stage);
            needs.sort_unstable();
            needs.dedup();
            needs
        });
        let when = *self.random.pick(&[
            "on_success",
            "on_success",
            "on_success",
            "on_failure",
            "always",
            "manual",
            "delayed",
        ]);
        let optional = self.random.percent(20);
        let delay = (when == "delayed").then(|| self.random.between(1, 7_200));
        let group = self.random.percent(10).then(|| format!("g{}", self.random.below(2)));
        let tags: &[&str] = self
            .random
            .pick::<&[&str]>(&[&[], &[], &["linux"], &["linux", "gpu"], &["docker"]]);
        let mut json = serde_json::json!({
            "name": format!("j{i}"), "base_name": format!("j{i}"), "stage": stage.to_string(),
            "needs": needs.as_ref().map(|needs| {
                needs.iter().map(|n| serde_json::json!({"job": format!("j{n}")})).collect::<Vec<_>>()
            }),
            "when": when, "allow_failure": optional, "tags": tags, "variables": {},
            "parallelism": if self.random.percent(8) { 3 } else { 1 },
            "interruptible": self.random.percent(40),
            "retry": {"max": self.random.below(3), "when": []},
            "steps": [{"type": "run", "name": "script", "command": "true"}],
        });
        if let Some(seconds) = delay {
            json["gate"] = serde_json::json!({"type": "delay", "seconds": seconds});
        }
        if let Some(key) = &group {
            let modes = ["unordered", "unordered", "newest_ready_first", "latest_only"];
            json["resource_group"] = serde_json::json!({"key": key, "mode": *self.random.pick(&modes)});
        }
        let environment = self.draft_environment();
        let action = environment
            .as_ref()
            .map(|environment| environment["action"].as_str().unwrap_or_default().to_owned());
        if let Some(environment) = environment {
            json["environment"] = environment;
        }
        Draft {
            json,
            action,
            stage,
            needs,
            manual: when == "manual",
            optional,
            delay: delay.map(|seconds| seconds * 1000),
        }
    }

    async fn push(&mut self) -> Result<(), String> {
        let count = 1 + self.random.below(8);
        let mut drafts: Vec<Draft> = Vec::with_capacity(count);
        for _ in 0..count {
            let draft = self.draft(&drafts);
            drafts.push(draft);
        }
        let project = *self.random.pick(&self.projects.clone());
        let branch = self.random.pick(&["main", "a", "b"]).to_owned();
        let on_new = *self.random.pick(&["conservative", "interruptible", "none"]);
        let on_failure = if self.random.percent(15) { "all" } else { "none" };
        let jobs: Vec<_> = drafts.iter().map(|draft| draft.json.clone()).collect();
        let plan = serde_json::json!({
            "version": 1, "language": "gitlab",
            "auto_cancel": {"on_new_commit": on_new, "on_job_failure": on_failure},
            "workflows": [{"name": "main", "stages": ["0", "1", "2"], "jobs": jobs}],
        });
        let key = format!("key {}", self.tally.pipelines);
        self.tally.pipelines += 1;
        let new = NewPipeline {
            project,
            trigger: Trigger {
                source: Source::Push,
                git_ref: GitRef::Branch(branch.to_string()),
                commit: Commit {
                    sha: format!("{:040}", self.tally.pipelines),
                    ..Commit::default()
                },
                variables: Vec::new(),
                inputs: Vec::new(),
                merge_request: None,
                user: None,
                payload: None,
                schedule_description: None,
                upstream: None,
                by_token: false,
                origin: None,
            },
            content: Content::Plan(Box::new(serde_json::from_value(plan).map_err(shown)?)),
            diagnostics_json: "[]".into(),
            idempotency_key: Some(key.clone()),
            protected: false,
            priority: self.random.between(0, 1),
            cancels_older: self.random.percent(30),
        };
        let open = self.open_pipelines();
        self.touched.extend(open);
        let first = self.server().create_pipeline(new.clone()).await.map_err(shown)?;
        let Created::New { id, .. } = first else {
            return Err(format!("{key} was never used, and yet it made {first:?} before"));
        };
        self.remember(id, project, &key, &drafts).await?;
        if self.random.percent(20) {
            let again = self.server().create_pipeline(new).await.map_err(shown)?;
            if again != Created::Existing(id) {
                return Err(format!("{key} made {id}, and then {again:?}"));
            }
        }
        Ok(())
    }

    async fn remember(
        &mut self,
        id: PipelineId,
        project: tasuki_model::id::ProjectId,
        key: &str,
        drafts: &[Draft],
    ) -> Result<(), String> {
        self.note(|| format!("pipeline {id} of project {project}: {} jobs", drafts.len()));
        let rows = self
            .store
            .read(move |tx| jobs::of_pipeline(tx, id))
            .await
            .map_err(shown)?;
        if rows.len() != drafts.len() {
            return Err(format!("pipeline {id} has {} jobs of {}", rows.len(), drafts.len()));
        }
        for (row, draft) in rows.iter().zip(drafts) {
            let needs = draft
                .needs
                .as_ref()
                .map(|needs| needs.iter().map(|n| rows[*n].id).collect());
            let job = Job {
                pipeline: id,
                stage: draft.stage,
                needs,
                manual: draft.manual,
                optional: draft.optional,
                delay: draft.delay,
                deploys: draft.action.as_deref() == Some("start"),
                stops: draft.action.as_deref() == Some("stop"),
                created: row.created_ms,
            };
            self.ledger.jobs.insert(row.id, job);
        }
        self.ledger.keys.insert(key.to_owned(), id);
        self.ledger.pipelines.insert(id, Made { done: false });
        self.touched.push(id);
        Ok(())
    }

    /// Does something to a pipeline or a job, sensible or not.
    async fn meddle(&mut self) -> Result<(), String> {
        let all: Vec<PipelineId> = self.ledger.pipelines.keys().rev().take(12).copied().collect();
        if all.is_empty() {
            return Ok(());
        }
        let id = *self.random.pick(&all);
        let jobs: Vec<JobId> = self
            .ledger
            .jobs
            .iter()
            .filter(|(_, job)| job.pipeline == id)
            .map(|(id, _)| *id)
            .collect();
        let job = *self.random.pick(&jobs);
        let server = self.server();
        let open = self.open_pipelines();
        self.touched.extend(open);
        self.touched.push(id);
        let what = self.random.below(12);
        let result = match what {
            0 => server.cancel_pipeline(id).await.map(|_| ()),
            1 => {
                self.ledger.by_hand.extend(jobs);
                server.retry_pipeline(id).await.map(|_| ())
            }
            2 | 3 => server.cancel_job(job).await,
            4 | 5 => {
                self.ledger.by_hand.insert(job);
                server.retry_job(job).await
            }
            6 => server.unschedule(job).await,
            _ => {
                self.ledger.by_hand.insert(job);
                server.play(job, Play::default()).await
            }
        };
        if let Some(made) = self.ledger.pipelines.get_mut(&id) {
            made.done = false;
        }
        self.note(|| format!("somebody does {what} to job {job} of pipeline {id}: {result:?}"));
        match result {
            // Not in that state: a person sees a message.
            Ok(()) | Err(Error::Refused(_)) => Ok(()),
            Err(error) => Err(shown(error)),
        }
    }

    /// Plays every manual job, so that everything can come to its end.
    pub(super) async fn play_all(&mut self) -> Result<(), String> {
        let manual = self
            .store
            .read(|tx| tx.select::<jobs::Job>("WHERE state = 'manual'", &[]))
            .await
            .map_err(shown)?;
        for job in manual {
            self.ledger.by_hand.insert(job.id);
            self.touched.push(job.pipeline_id);
            match self.server().play(job.id, Play::default()).await {
                Ok(()) | Err(Error::Refused(_)) => {}
                Err(error) => return Err(shown(error)),
            }
        }
        Ok(())
    }
}
