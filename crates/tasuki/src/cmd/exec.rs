//! `tasuki exec`.

mod database;
mod scratch;

use std::net::IpAddr;

use anyhow::Context as _;
use clap::Args;
use tasuki_model::id::{PipelineId, ProjectId};
use tasuki_model::plan::Language;
use tasuki_model::time::Timestamp;
use tasuki_model::trigger::Trigger;
use tasuki_proto::client::ApiClient;
use tasuki_proto::rest::Compiled;
use tasuki_rt::Clock;
use tasuki_server::app::{App, Running};
use tasuki_server::config::ProjectSettings;
use tasuki_server::git::{Git, Worktree};
use tasuki_server::triggers::{self, Circumstances, NoPipeline, Read, Selection, Start, Started, here};
use tasuki_store::{pipelines, projects};
use tokio::net::TcpListener;

use super::executor::{ExecutorArgs, url_of_jobs};
use super::folder::{Config, Lines};
use super::follow;
use super::lint::people;
use super::trigger::TriggerArgs;
use crate::config::client;
use crate::exit::{Exit, Mark as _, Outcome, wrong_usage};
use crate::print::{self, Form};
use crate::role::{
    Interrupts, LocalExecutor, LocalRunner, Request, RunningRunner, block_on, new_token, reachable, register_inside,
};
pub(crate) use database::Database;
use scratch::Scratch;

/// Run the pipeline of the folder you are in, without a server.
///
/// A folder with configurations of several languages has one pipeline for each, as after a push; jobs that are named
/// are those of the configurations that have all of them.
///
/// Uncommitted changes are included: jobs get a copy of the folder as it stands, without ignored files. The engine is
/// the server's own, so environment and order are the same. Manual jobs run only when they are named.
///
/// Exit codes: 0 all went well · 1 a job failed or the configuration has errors · 2 wrong usage · 3 tasuki failed ·
/// 130 interrupted.
///
/// Examples:
///   tasuki exec
///   tasuki exec test lint            these jobs and what they need
///   tasuki exec --executor docker --docker-image debian:12
///   tasuki exec --executor kubernetes --kubernetes-image debian:12
///   tasuki exec --event merge_request --var DEPLOY=no
///   tasuki exec --json | jq -r 'select(.event == "job") | .job + " " + .status'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Exec {
    /// Only these jobs, and those that they need
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,
    /// The configuration [default: those of the folder]
    #[arg(long, short, value_name = "FILE")]
    file: Option<std::path::PathBuf>,
    /// Only this workflow, where the configuration has several
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    #[command(flatten)]
    executor: ExecutorArgs,
    /// Jobs at a time [default: the number of processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    slots: Option<u32>,
    /// Print the Plans as JSON and run nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON event a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trigger: TriggerArgs,
}

/// As in `up`: a job is told its runner's name.
const RUNNER: &str = "local";

/// A server and a runner that live as long as the pipeline.
struct Engine {
    server: Running,
    runner: RunningRunner,
    api: ApiClient,
}

impl Exec {
    pub(crate) fn run(self, database: Option<Database>) -> Outcome {
        let database = database.map_or_else(Database::open, Ok)?;
        let here = std::env::current_dir()?;
        let configs = match &self.file {
            Some(file) => vec![Config::read(file, None)?],
            None => Config::find_all(&here, None)?,
        };
        block_on(self.work(configs, database))
    }

    async fn work(self, configs: Vec<Config>, database: Database) -> Outcome {
        let executor = self.executor.local()?;
        let address = match self.dry_run {
            true => None,
            false => self.executor.address(&executor).await?,
        };
        let mut interrupts = Interrupts::listen()?;
        let scratch = Scratch::new()?;
        let git = Git::prepare(&scratch.folder().join("git"))?;
        let slots = self
            .slots
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get() as u32));
        // Reading the folder and starting the engine do not need each other.
        let (worktree, engine) = tokio::try_join!(
            worktree(&git, &configs[0]),
            start_engine(database, &scratch, slots, executor, address)
        )?;
        let Engine {
            server,
            mut runner,
            api,
        } = engine;
        let work = async {
            if self.dry_run {
                return self.show(&server, &configs, git, worktree).await;
            }
            let (mut ids, mut exit) = self.start(&server, &configs, git, worktree).await?;
            loop {
                exit = exit.max(self.follow(&api, &ids, &mut interrupts, &runner).await?);
                // A job of a `setup` configuration gives another one, which is part of the same run.
                ids = continuations(server.app(), &ids).await?;
                if ids.is_empty() || exit == Exit::Interrupted {
                    return Ok(exit);
                }
            }
        };
        let outcome = work.await;
        runner.cancel();
        let _ = runner.ended().await;
        server.shutdown().await;
        scratch.remove();
        outcome
    }

    /// The Plans, as the API gives them.
    async fn show(&self, server: &Running, configs: &[Config], git: Git, worktree: Option<Worktree>) -> Outcome {
        let start = self.prepare(server, configs, git, worktree).await?;
        let mut exit = Exit::Success;
        let mut all = Vec::new();
        for planned in server.app().triggers().plans(&start).await.or_else(named_in_vain)? {
            if planned.output.has_errors() {
                exit = Exit::Failed;
            }
            all.push(Compiled {
                plan: planned.output.to_json(planned.language)?,
                config: planned.config,
            });
        }
        print::json(&all)?;
        Ok(exit)
    }

    /// The folder as a project, and how its pipelines start.
    async fn prepare(
        &self,
        server: &Running,
        configs: &[Config],
        git: Git,
        worktree: Option<Worktree>,
    ) -> anyhow::Result<Start> {
        let config = &configs[0];
        let info = here::project(&config.root, worktree.as_ref(), &config.name);
        let trigger = self.trigger.wish(None).trigger(worktree.as_ref(), &info.default_branch);
        let named = match configs {
            [only] => only.name.clone(),
            // All that are at the usual places.
            _ => String::new(),
        };
        let project = add_project(server.app(), config, named, &info.path, &info.default_branch).await?;
        let read = Read::Folder {
            worktree: worktree.map(|tree| Box::new((git, tree))),
            root: config.root.clone(),
            trigger: Box::new(trigger.clone()),
        };
        Ok(self.start_of(configs, project, trigger, read))
    }

    /// Makes the pipelines; also the exit code of those configurations that make none.
    async fn start(
        &self,
        server: &Running,
        configs: &[Config],
        git: Git,
        worktree: Option<Worktree>,
    ) -> anyhow::Result<(Vec<PipelineId>, Exit)> {
        let start = self.prepare(server, configs, git, worktree).await?;
        let started = server.app().triggers().create(start).await.or_else(named_in_vain)?;
        let (mut ids, mut exit) = (Vec::new(), Exit::Success);
        for made in started {
            match made.started {
                Started::New { id, .. } | Started::Existing(id) => ids.push(id),
                Started::None(why) => exit = exit.max(self.refused(configs, &made.config, &why)?),
            }
        }
        Ok((ids, exit))
    }

    fn start_of(&self, configs: &[Config], project: projects::Project, trigger: Trigger, read: Read) -> Start {
        // A workflow that is started by hand takes inputs, which another one would not: only it is compiled.
        let by_hand = configs.iter().all(|config| config.language == Language::Github) && self.trigger.is_by_hand();
        let selection = Selection {
            workflow: self.workflow.clone().filter(|_| !by_hand),
            jobs: self.jobs.clone(),
        };
        let more = Circumstances {
            workflow: self.workflow.clone().filter(|_| by_hand),
            changed: self.trigger.changed(),
            ..Circumstances::default()
        };
        Start {
            project,
            git_ref: trigger.git_ref,
            read,
            before: None,
            source: trigger.source,
            variables: Vec::new(),
            inputs: Vec::new(),
            user: None,
            options: tasuki_server::triggers::forge::PushOptions::default(),
            payload: None,
            key: None,
            selection: Some(selection),
            more,
        }
    }

    fn refused(&self, configs: &[Config], name: &str, why: &NoPipeline) -> anyhow::Result<Exit> {
        match why {
            NoPipeline::Invalid(diagnostics) => {
                let mut lines = Lines::default();
                for config in configs.iter().filter(|config| !config.text.is_empty()) {
                    lines.add(&config.name, &config.text);
                }
                lines.add_from(&configs[0].root, diagnostics.iter().map(|d| d.file.as_str()));
                if self.json {
                    print::line(&serde_json::json!({"event": "invalid", "diagnostics": diagnostics}).to_string())?;
                } else {
                    people(diagnostics, &lines, 1)?;
                }
                Ok(Exit::Failed)
            }
            NoPipeline::Skipped(skip) => {
                if self.json {
                    print::line(&serde_json::json!({"event": "skipped", "message": skip.title()}).to_string())?;
                } else {
                    let of = if configs.len() > 1 {
                        format!("{name}: ")
                    } else {
                        String::new()
                    };
                    print::note(&format!("{of}nothing to run: {}", skip.title()));
                }
                Ok(Exit::Success)
            }
            NoPipeline::Missing(path) => Err(wrong_usage(format!("there is no {path}"))),
            NoPipeline::Unwanted => Ok(Exit::Success),
        }
    }

    /// Shows the output to the end; the first Ctrl-C cancels the pipelines, the second ends them at once.
    async fn follow(
        &self,
        api: &ApiClient,
        ids: &[PipelineId],
        interrupts: &mut Interrupts,
        runner: &RunningRunner,
    ) -> Outcome {
        let mut interrupted = false;
        let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        let mut followed = std::pin::pin!(follow::pipelines(api, &ids, Form::of(self.json)));
        loop {
            tokio::select! {
                outcome = &mut followed => {
                    return if interrupted { Ok(Exit::Interrupted) } else { outcome };
                }
                request = interrupts.next() => match request {
                    Request::Drain => {
                        interrupted = true;
                        print::note("canceling; Ctrl-C again ends at once");
                        for id in &ids {
                            api.cancel_pipeline(*id).await?;
                        }
                    }
                    Request::Cancel => {
                        runner.cancel();
                        return Ok(Exit::Interrupted);
                    }
                },
            }
        }
    }
}

/// The pipelines that follow these.
async fn continuations(app: &App, ids: &[PipelineId]) -> anyhow::Result<Vec<PipelineId>> {
    let ids = ids.to_vec();
    let found = app.store().read(move |tx| {
        let mut all = Vec::new();
        for id in ids {
            if let Some(setup) = pipelines::get(tx, id)? {
                all.extend(triggers::continuation_of(tx, &setup)?.map(|following| following.id));
            }
        }
        Ok(all)
    });
    Ok(found.await?)
}

/// A job or workflow that is not there: those that are.
fn named_in_vain<T>(error: triggers::Error) -> anyhow::Result<T> {
    match &error {
        triggers::Error::NoJob { known, .. } => {
            let hint = format!("its jobs are: {}", known.join(", "));
            Err(error).usage().hint(hint)
        }
        triggers::Error::NoWorkflow { known, .. } => {
            let hint = format!("the workflows are: {}", known.join(", "));
            Err(error).usage().hint(hint)
        }
        _ => Err(error.into()),
    }
}

async fn worktree(git: &Git, config: &Config) -> anyhow::Result<Option<Worktree>> {
    if !config.root.join(".git").exists() {
        return Ok(None);
    }
    Ok(Some(Worktree::read(git, &config.root).await?))
}

/// `address`: that of this machine which jobs reach, where it is not the loopback one.
async fn start_engine(
    database: Database,
    scratch: &Scratch,
    slots: u32,
    executor: LocalExecutor,
    address: Option<IpAddr>,
) -> anyhow::Result<Engine> {
    tasuki_proto::tls::install();
    let mut config = scratch.config()?;
    if let Some(address) = address {
        config.listen.set_ip(address);
    }
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.with_context(|| format!("cannot listen at {}", config.listen))?;
    let bound = listener.local_addr()?;
    let token = new_token()?;
    // The runner comes up while the database and the server do: its first connection waits until the server takes it, and
    // by then it is registered.
    let runner = LocalRunner {
        name: RUNNER.to_owned(),
        url: url_of_jobs(bound, address)?,
        token: token.clone(),
        slots,
        executor,
        folder: scratch.folder().join("runner"),
        trusts_snapshots: true,
    };
    let runner = runner.start()?;
    let store = database.get().await?;
    let clock = Clock::system();
    register_inside(&store, &clock, RUNNER, &token).await?;
    let server = App::start_on(store, listener, config, clock).await;
    let server = server.context("the engine cannot start")?;
    let api = client(&reachable(bound), Some(server.admin_token().clone()), None)?;
    Ok(Engine { server, runner, api })
}

/// The folder as the only project of the throw-away server.
async fn add_project(
    app: &App,
    config: &Config,
    config_path: String,
    path: &str,
    default_branch: &str,
) -> anyhow::Result<projects::Project> {
    let settings = ProjectSettings {
        config_path,
        snapshot: Some(config.root.to_string_lossy().into_owned()),
        ..ProjectSettings::default()
    };
    let (path, branch, root) = (path.to_owned(), default_branch.to_owned(), config.root.clone());
    let (json, now) = (settings.to_json(), Timestamp(Clock::system().now_ms()));
    let project = app.store().write(move |tx| {
        let new = projects::NewProject {
            path: &path,
            name: path.rsplit('/').next().unwrap_or_default(),
            kind: "local",
            url: &root.to_string_lossy(),
            default_branch: &branch,
            settings_json: &json,
        };
        let id: ProjectId = projects::create(tx, &new, now)?;
        projects::get(tx, id)
    });
    project.await?.context("the project is gone")
}
