//! "Why is this pending?", answered by the code that decides.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tasuki_model::id::JobId;
use tasuki_model::labels::{EXTENSION, Intake, Mismatch, Offer, Refs, Scope, Untagged, check};
use tasuki_model::state::{Status, job};
use tasuki_model::time::Timestamp;
use tasuki_store::{Tx, jobs, resource_classes, resource_groups, runners, tasks};

use super::cache::Live;
use super::entry::{Entry, parse};
use super::error::Error;
use super::op::Core;

/// Silence after which a runner counts as away.
const AWAY_MS: i64 = 2 * 60_000;

/// Why a job has not started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pending {
    pub cause: Cause,
    /// One or two sentences for people: what holds it.
    pub text: String,
    /// What to do about it; empty where waiting is all.
    pub remedy: String,
}

/// The kind of reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Earlier jobs are not done.
    Predecessors,
    /// A person must play or approve it.
    Manual,
    /// Its time has not come.
    Delayed,
    /// Another job holds its resource group.
    Resource,
    /// No runner is registered.
    NoRunner,
    /// None of the registered runners may take it.
    NoMatch,
    /// Those that may take it are not there.
    RunnersAway,
    /// Those that may take it are busy.
    RunnersBusy,
    /// A runner has it and is about to start.
    Starting,
}

/// A registered runner's offer, with every feature that one of its processes announced.
pub(super) fn offer_of(tx: &mut Tx<'_>, runner: &runners::Runner) -> Result<Offer, Error> {
    let resource_class = match runner.resource_class_id {
        Some(id) => resource_classes::get(tx, id)?.map(|class| class.name),
        None => None,
    };
    let mut features = std::collections::BTreeSet::new();
    for manager in runners::managers(tx, runner.id)? {
        let info: serde_json::Value = serde_json::from_str(&manager.info_json).unwrap_or_default();
        if info["features"][EXTENSION] == true {
            features.insert(EXTENSION.to_owned());
        }
    }
    Ok(Offer {
        tags: parse("tags of runner", runner.id.0, &runner.tags_json)?,
        untagged: if runner.run_untagged {
            Untagged::Run
        } else {
            Untagged::Refuse
        },
        refs: if runner.access_level == "ref_protected" {
            Refs::ProtectedOnly
        } else {
            Refs::All
        },
        scope: match runner.project_id {
            Some(project) if runner.scope == "project" => Scope::Project(project),
            _ => Scope::Instance,
        },
        resource_class,
        features,
        intake: if runner.paused { Intake::Paused } else { Intake::Open },
    })
}

/// Why a job has not started; `None`: it has.
pub(super) fn why(core: &Arc<Core>, tx: &mut Tx<'_>, id: JobId) -> Result<Option<Pending>, Error> {
    let row = jobs::get(tx, id)?.ok_or(Error::NotFound { what: "job", id: id.0 })?;
    let state: job::State = parse("state of job", id.0, &row.state_json)?;
    let now = core.now();
    Ok(match state {
        job::State::Created => Some(predecessors(tx, &row)?),
        job::State::Manual { .. } => Some(Pending {
            cause: Cause::Manual,
            text: "It waits for somebody to start it.".to_owned(),
            remedy: format!("Play it in the web UI or with `tasuki job play {id}`."),
        }),
        job::State::Scheduled { run_at, .. } => Some(Pending {
            cause: Cause::Delayed,
            text: format!("It is delayed and starts in {}.", span(run_at, now)),
            remedy: format!("Play it to start it now (`tasuki job play {id}`)."),
        }),
        job::State::WaitingForResource { .. } => Some(resource(tx, &row)?),
        job::State::Pending { .. } => pending(core, tx, &row)?,
        job::State::Running { .. } | job::State::Canceling { .. } | job::State::Finished { .. } => None,
    })
}

fn span(until: Timestamp, now: Timestamp) -> String {
    let seconds = until.since(now).as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

fn predecessors(tx: &mut Tx<'_>, row: &jobs::Job) -> Result<Pending, Error> {
    let entry = Entry::load(tx, row.pipeline_id, None)?;
    let mut open = Vec::new();
    if let Some(node) = entry.node(row.id) {
        let spec = entry.graph.spec(node);
        let before: Vec<_> = match &spec.needs {
            Some(edges) => edges.iter().map(|edge| edge.need).collect(),
            None => entry
                .graph
                .indices()
                .filter(|other| {
                    let other = entry.graph.spec(*other);
                    other.workflow == spec.workflow && other.stage < spec.stage
                })
                .collect(),
        };
        for other in before {
            let status = entry.graph.state(other).status();
            if !status.is_completed() {
                open.push((entry.job(other), status));
            }
        }
    }
    let manual = open.iter().any(|(_, status)| *status == Status::Manual);
    let mut names = Vec::new();
    for (job, status) in open.iter().take(3) {
        let name = jobs::get(tx, *job)?.map_or_else(|| job.to_string(), |job| job.name);
        names.push(format!("`{name}` ({status})"));
    }
    let more = open.len().saturating_sub(names.len());
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    Ok(Pending {
        cause: Cause::Predecessors,
        text: format!("It waits for {}{more}.", names.join(", ")),
        remedy: if manual {
            "One of them waits for somebody to play it.".to_owned()
        } else {
            String::new()
        },
    })
}

fn resource(tx: &mut Tx<'_>, row: &jobs::Job) -> Result<Pending, Error> {
    let claims = resource_groups::of_job(tx, row.id)?;
    let Some(own) = claims else {
        return Ok(Pending {
            cause: Cause::Resource,
            text: "Its matrix runs as many jobs at once as `max-parallel` allows.".to_owned(),
            remedy: String::new(),
        });
    };
    let holder = resource_groups::claims(tx, own.project_id, &own.key)?
        .into_iter()
        .find(|claim| claim.held);
    let (text, remedy) = match holder {
        Some(holder) => {
            let name = jobs::get(tx, holder.job_id)?.map_or_else(|| holder.job_id.to_string(), |job| job.name);
            (
                format!(
                    "Resource group `{}` is held by job `{name}` ({}).",
                    own.key, holder.job_id
                ),
                format!(
                    "It goes on when that job ends; `tasuki job cancel {}` frees the group.",
                    holder.job_id
                ),
            )
        }
        None => (
            format!("Resource group `{}` goes to a job of another pipeline first.", own.key),
            "The group's process mode decides the order.".to_owned(),
        ),
    };
    Ok(Pending {
        cause: Cause::Resource,
        text,
        remedy,
    })
}

fn pending(core: &Arc<Core>, tx: &mut Tx<'_>, row: &jobs::Job) -> Result<Option<Pending>, Error> {
    let open = tasks::of_job(tx, row.id)?
        .into_iter()
        .find(|task| task.finished_ms.is_none());
    let Some(task) = open else { return Ok(None) };
    if task.state != tasks::QUEUED {
        return Ok(Some(Pending {
            cause: Cause::Starting,
            text: "A runner has it and is about to start.".to_owned(),
            remedy: String::new(),
        }));
    }
    let live = Live::read(task)?;
    let all = runners::all(tx)?;
    if all.is_empty() {
        return Ok(Some(Pending {
            cause: Cause::NoRunner,
            text: "No runner is registered.".to_owned(),
            remedy: "Register one with `tasuki runner register`.".to_owned(),
        }));
    }
    let mut mismatches: BTreeMap<Mismatch, Vec<String>> = BTreeMap::new();
    let mut fitting = Vec::new();
    for runner in &all {
        match check(&live.demand, live.project, &offer_of(tx, runner)?) {
            Ok(()) => fitting.push(runner),
            Err(mismatch) => mismatches.entry(mismatch).or_default().push(shown(runner)),
        }
    }
    if fitting.is_empty() {
        return Ok(Some(no_match(&live, &mismatches)));
    }
    let now = core.now();
    let there = fitting
        .iter()
        .filter(|r| r.contact_ms.is_some_and(|at| now.0 - at.0 < AWAY_MS))
        .count();
    if there == 0 {
        let names: Vec<String> = fitting.iter().take(3).map(|runner| shown(runner)).collect();
        return Ok(Some(Pending {
            cause: Cause::RunnersAway,
            text: format!(
                "The runners that may take it have not been heard of: {}.",
                names.join(", ")
            ),
            remedy: "Start one of them (`tasuki runner run`), or look why it cannot reach this server.".to_owned(),
        }));
    }
    let ahead = core.dispatch.ahead(live.id).unwrap_or(0);
    let line = if ahead > 0 {
        format!(" {ahead} tasks of the same project go first.")
    } else {
        String::new()
    };
    Ok(Some(Pending {
        cause: Cause::RunnersBusy,
        text: format!("{there} of {} runners may take it; they are busy.{line}", all.len()),
        remedy: "Wait, or raise `concurrent` or the number of runners.".to_owned(),
    }))
}

fn shown(runner: &runners::Runner) -> String {
    if runner.description.is_empty() {
        format!("runner {}", runner.id)
    } else {
        format!("`{}`", runner.description)
    }
}

fn no_match(live: &Live, mismatches: &BTreeMap<Mismatch, Vec<String>>) -> Pending {
    let mut reasons: Vec<String> = mismatches
        .iter()
        .take(3)
        .map(|(mismatch, names)| {
            let first = &names[0];
            let others = match names.len() {
                1 => String::new(),
                n => format!(" and {} more", n - 1),
            };
            format!("{first}{others}: {mismatch}")
        })
        .collect();
    if mismatches.len() > reasons.len() {
        reasons.push("…".to_owned());
    }
    let remedy = if let Some(class) = &live.demand.resource_class {
        format!("Start a runner of resource class `{class}`, or name another class in the job.")
    } else if mismatches.keys().all(|m| matches!(m, Mismatch::Paused)) {
        "Resume a paused runner.".to_owned()
    } else if live.demand.tags.is_empty() {
        "Let a runner take jobs without tags (`run_untagged`), or give the job the tags of one.".to_owned()
    } else {
        let tags: Vec<&str> = live.demand.tags.iter().map(String::as_str).collect();
        format!(
            "Register a runner with the tags {}, or change the job's `tags`.",
            tags.join(", ")
        )
    };
    Pending {
        cause: Cause::NoMatch,
        text: format!("No registered runner may take it. {}.", reasons.join("; ")),
        remedy,
    }
}
