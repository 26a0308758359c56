//! Pipelines that start by the clock.

use std::time::Duration;

use serde_json::Value;
use tasuki_model::id::PipelineId;
use tasuki_model::plan::Variable;
use tasuki_model::time::Timestamp;
use tasuki_model::trigger::Source;
use tasuki_store::projects::{self, Project};
use tasuki_store::schedules::{self, Schedule};
use tracing::{error, info, warn};

use super::configurations::Made;
use super::create::{Circumstances, Started};
use super::deliveries::outcomes;
use super::local::Chain;
use super::request::Want;
use super::{Error, Key, Triggers};

/// Schedules that are looked at in one round.
const AT_ONCE: u32 = 32;
/// Longest sleep of the loop: what another server changed is seen within it.
const NAP: Duration = Duration::from_secs(30);
/// When the loop tries again after the database failed.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What is wrong with a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    #[error("{0:?} has not five fields: minute, hour, day of month, month, day of week")]
    Fields(String),
    #[error("{0:?} is no time zone; give a name such as Europe/Berlin")]
    Zone(String),
    #[error("the schedule cannot be read: {0}")]
    Cron(String),
}

/// The first time after `after` at which a schedule is due; `None` where it never is.
///
/// # Errors
/// It is no schedule.
pub fn next(cron: &str, time_zone: &str, after: Timestamp) -> Result<Option<Timestamp>, BadSchedule> {
    if cron.split_whitespace().count() != 5 {
        return Err(BadSchedule::Fields(cron.to_owned()));
    }
    if time_zone.split_whitespace().count() != 1 || jiff::tz::TimeZone::get(time_zone).is_err() {
        return Err(BadSchedule::Zone(time_zone.to_owned()));
    }
    let wrong = |failed: cronexpr::Error| BadSchedule::Cron(failed.to_string());
    let parsed = cronexpr::parse_crontab(&format!("{cron} {time_zone}")).map_err(wrong)?;
    let from = cronexpr::MakeTimestamp::from_millisecond(after.0).map_err(wrong)?;
    // A day that no month has: it is searched for some years and not found.
    Ok(parsed
        .find_next(from)
        .ok()
        .map(|found| Timestamp(found.timestamp().as_millisecond())))
}

impl Triggers {
    /// Starts what is due by the clock, until the server stops.
    pub(super) fn start_schedules(&self) {
        let this = self.clone();
        self.inner.parts.tasks.spawn("schedules", async move {
            let stop = this.inner.parts.tasks.token();
            loop {
                let pause = match this.run_due().await {
                    Ok(pause) => pause,
                    Err(failed) => {
                        error!(error = %Chain(&failed), "the schedules cannot be read");
                        RETRY_AFTER
                    }
                };
                tokio::select! {
                    () = this.inner.rescheduled.notified() => {}
                    () = tokio::time::sleep(pause.min(NAP)) => {}
                    () = stop.cancelled() => return,
                }
            }
        });
    }

    /// A schedule was made or changed.
    pub fn rescheduled(&self) {
        self.inner.rescheduled.notify_one();
    }

    /// Starts everything that is due; gives how long nothing else will be.
    async fn run_due(&self) -> Result<Duration, Error> {
        let store = &self.inner.parts.store;
        loop {
            let now = self.now();
            let due = store.read(move |tx| schedules::due(tx, now, AT_ONCE)).await?;
            if due.is_empty() {
                let next = store.read(schedules::next_due).await?;
                return Ok(next.map_or(NAP, |due| due.since(now)));
            }
            for schedule in due {
                self.turn_of(schedule).await?;
            }
        }
    }

    /// Starts a schedule's pipeline and notes its next turn. Turns that were missed are made up for by one.
    async fn turn_of(&self, schedule: Schedule) -> Result<(), Error> {
        let Some(turn) = schedule.next_ms else { return Ok(()) };
        let id = schedule.id;
        let next = next(&schedule.cron, &schedule.time_zone, self.now().max(turn)).unwrap_or_else(|wrong| {
            warn!(schedule.id = id, error = %wrong, "a stored schedule cannot be read; it does not run again");
            None
        });
        let key = Key::turn(id, turn);
        let (pipeline, said) = match self.run_schedule(&schedule, key).await {
            Ok(started) => (made(&started), outcomes(&started)),
            Err(failed) => {
                let text = Chain(&failed).to_string();
                warn!(
                    schedule.id = id,
                    error = text,
                    "a scheduled pipeline could not be started"
                );
                (None, text)
            }
        };
        info!(schedule.id = id, outcome = said, "schedule");
        let noted = self
            .inner
            .parts
            .store
            .write(move |tx| schedules::ran(tx, id, turn, next, pipeline, &said));
        noted.await?;
        Ok(())
    }

    /// Starts the pipelines of a schedule now. The same `key` starts none twice.
    ///
    /// # Errors
    /// There is no such ref, or something of ours fails.
    pub async fn run_schedule(&self, schedule: &Schedule, key: Key) -> Result<Vec<Made>, Error> {
        let id = schedule.project_id;
        let project: Option<Project> = self.inner.parts.store.read(move |tx| projects::get(tx, id)).await?;
        let Some(project) = project else {
            return Err(Error::NoFolder(format!("of project {id}")));
        };
        let variables: Vec<Variable> = match schedule.variables_sealed.as_str() {
            // Of a workflow file: there are none.
            "" => Vec::new(),
            sealed => {
                let json = self.inner.parts.vault.open(sealed).ok_or(Error::Sealed)?;
                serde_json::from_str(json.expose()).map_err(|_| Error::Sealed)?
            }
        };
        let inputs: serde_json::Map<String, Value> = serde_json::from_str(&schedule.inputs_json).unwrap_or_default();
        let owner = schedule.owner_json.as_deref();
        self.run(
            project,
            Want {
                source: Source::Schedule,
                git_ref: Some(schedule.ref_name.clone()),
                commit: None,
                variables,
                inputs: inputs.into_iter().collect(),
                user: owner.and_then(|json| serde_json::from_str(json).ok()),
                key: Some(key),
                payload: None,
                more: Circumstances {
                    schedule_description: Some(schedule.description.clone()),
                    ..Circumstances::default()
                },
            },
        )
        .await
    }
}

fn made(all: &[Made]) -> Option<PipelineId> {
    all.iter().find_map(|made| match &made.started {
        Started::New { id, .. } | Started::Existing(id) => Some(*id),
        Started::None(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn times_are_those_of_the_zone() {
        for (cron, zone, after, expected) in [
            ("0 4 * * *", "UTC", "2026-01-10T04:00:00Z", Some("2026-01-11T04:00:00Z")),
            (
                "0 4 * * *",
                "Europe/Berlin",
                "2026-01-10T00:00:00Z",
                Some("2026-01-10T03:00:00Z"),
            ),
            // Summer time.
            (
                "0 4 * * *",
                "Europe/Berlin",
                "2026-07-10T00:00:00Z",
                Some("2026-07-10T02:00:00Z"),
            ),
            (
                "*/15 * * * *",
                "UTC",
                "2026-01-10T10:07:30Z",
                Some("2026-01-10T10:15:00Z"),
            ),
            (
                "0 0 1,15 * *",
                "UTC",
                "2026-01-02T00:00:00Z",
                Some("2026-01-15T00:00:00Z"),
            ),
            // Day of month or day of week.
            (
                "0 0 13 * 5",
                "UTC",
                "2026-01-10T00:00:00Z",
                Some("2026-01-13T00:00:00Z"),
            ),
            ("0 0 * * 0", "UTC", "2026-01-10T00:00:00Z", Some("2026-01-11T00:00:00Z")),
            ("0 0 * * 7", "UTC", "2026-01-10T00:00:00Z", Some("2026-01-11T00:00:00Z")),
            (
                "30 3 * JAN mon",
                "UTC",
                "2026-01-10T00:00:00Z",
                Some("2026-01-12T03:30:00Z"),
            ),
            ("0 0 31 2 *", "UTC", "2026-01-10T00:00:00Z", None),
        ] {
            assert_eq!(next(cron, zone, at(after)), Ok(expected.map(at)), "{cron} {zone}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        let now = at("2026-01-10T00:00:00Z");
        for cron in ["", "* * * *", "* * * * * *", "0 0 * * * UTC"] {
            assert!(matches!(next(cron, "UTC", now), Err(BadSchedule::Fields(_))), "{cron}");
        }
        for cron in ["61 * * * *", "* 25 * * *", "x * * * *", "*/0 * * * *"] {
            assert!(matches!(next(cron, "UTC", now), Err(BadSchedule::Cron(_))), "{cron}");
        }
        for zone in ["", "Mars/Base", "UTC UTC"] {
            assert!(
                matches!(next("0 0 * * *", zone, now), Err(BadSchedule::Zone(_))),
                "{zone}"
            );
        }
    }
}
