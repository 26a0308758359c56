//! How many pause pods there should be.

use std::time::Duration;

use cronexpr::Crontab;
use tasuki_model::time::Timestamp;

use crate::config::kubernetes::{Autoscaler, AutoscalerPolicy, period};
use crate::executor::{Error, Result};

/// How long fewer have to be wanted before there are, where the configuration does not say.
const IDLE_TIME: Duration = Duration::from_secs(5 * 60);

/// The policies of a section, with their periods read.
#[derive(Debug)]
pub(in super::super) struct Policies {
    most: u32,
    policies: Vec<Policy>,
}

#[derive(Debug)]
struct Policy {
    /// None: always.
    periods: Vec<Crontab>,
    idle_count: u32,
    idle_time: Duration,
    scale_factor: f64,
    /// 0 = no limit.
    scale_factor_limit: u32,
}

/// What is held now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Held {
    pub(super) pods: u32,
    /// Since when fewer would do.
    pub(super) too_many_since: Option<Timestamp>,
}

impl Policies {
    /// Those of a section. `None`: it wants no pause pods.
    ///
    /// # Errors
    /// A period is no cron expression, or a time zone is unknown.
    pub(in super::super) fn of(section: Option<&Autoscaler>) -> Result<Option<Self>> {
        let Some(section) = section.filter(|section| section.max_pause_pods > 0) else {
            return Ok(None);
        };
        let policies = section.policy.iter().map(Policy::of).collect::<Result<_>>()?;
        Ok(Some(Self {
            most: section.max_pause_pods,
            policies,
        }))
    }

    /// The last policy whose periods hold.
    fn at(&self, now: Timestamp) -> Option<&Policy> {
        self.policies.iter().rev().find(|policy| policy.holds(now))
    }

    /// How many are wanted while so many jobs run. None outside of all periods.
    pub(super) fn wanted(&self, jobs: u32, now: Timestamp) -> u32 {
        let Some(policy) = self.at(now) else { return 0 };
        policy.idle_count.max(policy.by_jobs(jobs)).min(self.most)
    }

    /// What to hold from now on: more at once, fewer when fewer would have done for the policy's `idle_time`.
    pub(super) fn step(&self, held: Held, jobs: u32, now: Timestamp) -> Held {
        let wanted = self.wanted(jobs, now);
        let of = |pods| Held {
            pods,
            too_many_since: None,
        };
        if wanted >= held.pods {
            return of(wanted);
        }
        let since = held.too_many_since.unwrap_or(now);
        let patience = self.at(now).map_or(IDLE_TIME, |policy| policy.idle_time);
        let waited = now.0.saturating_sub(since.0);
        if u128::try_from(waited).unwrap_or(0) >= patience.as_millis() {
            return of(wanted);
        }
        Held {
            too_many_since: Some(since),
            ..held
        }
    }
}

impl Policy {
    fn of(policy: &AutoscalerPolicy) -> Result<Self> {
        let periods = policy.periods.iter().map(|text| period(text, &policy.timezone));
        let periods: std::result::Result<Vec<_>, String> = periods.collect();
        let wrong = |why| Error::configuration(why, "correct [[runners.kubernetes.autoscaler.policy]]");
        Ok(Self {
            periods: periods.map_err(wrong)?,
            idle_count: policy.idle_count,
            idle_time: policy.idle_time.map_or(IDLE_TIME, |time| time.0),
            scale_factor: policy.scale_factor,
            scale_factor_limit: policy.scale_factor_limit,
        })
    }

    /// Whether the minute belongs to one of the periods.
    fn holds(&self, now: Timestamp) -> bool {
        let minute = now.0 - now.0.rem_euclid(60_000);
        let Ok(minute) = cronexpr::MakeTimestamp::from_millisecond(minute) else {
            return false;
        };
        self.periods.is_empty()
            || self
                .periods
                .iter()
                .any(|period| period.matches(minute).unwrap_or(false))
    }

    fn by_jobs(&self, jobs: u32) -> u32 {
        let scaled = (f64::from(jobs) * self.scale_factor).ceil();
        // Anything out of range is cut by the limits.
        let scaled = if scaled >= f64::from(u32::MAX) {
            u32::MAX
        } else {
            scaled.max(0.0) as u32
        };
        match self.scale_factor_limit {
            0 => scaled,
            limit => scaled.min(limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policies(text: &str) -> Policies {
        let section: Autoscaler = toml::from_str(text).expect("is a section");
        Policies::of(Some(&section)).expect("is right").expect("wants some")
    }

    fn at(text: &str) -> Timestamp {
        let time: jiff::Timestamp = text.parse().expect("is a time");
        Timestamp(time.as_millisecond())
    }

    /// 2026-03-02 is a Monday.
    #[test]
    fn the_last_policy_whose_period_holds_counts() {
        let working_hours = "max_pause_pods = 10\n[[policy]]\nidle_count = 1\n\
            [[policy]]\nperiods = [\"* 8-17 * * mon-fri\", \"30 20 * * *\"]\ntimezone = \"Europe/Berlin\"\nidle_count = 4\n";
        let only_then = "max_pause_pods = 3\n[[policy]]\nperiods = [\"* 8 * * *\"]\nidle_count = 9\n";
        for (text, now, wanted) in [
            (working_hours, "2026-03-02T07:00:00Z", 4),
            (working_hours, "2026-03-02T06:59:59Z", 1),
            (working_hours, "2026-03-02T16:59:59.999Z", 4),
            (working_hours, "2026-03-02T17:00:00Z", 1),
            // In summer Berlin is one hour further.
            (working_hours, "2026-07-06T06:00:00Z", 4),
            // A Sunday, but for one minute.
            (working_hours, "2026-03-01T12:00:00Z", 1),
            (working_hours, "2026-03-01T19:30:59Z", 4),
            (working_hours, "2026-03-01T19:31:00Z", 1),
            (only_then, "2026-03-02T08:30:00Z", 3),
            (only_then, "2026-03-02T09:00:00Z", 0),
            ("max_pause_pods = 3", "2026-03-02T09:00:00Z", 0),
        ] {
            assert_eq!(policies(text).wanted(0, at(now)), wanted, "{now}: {text}");
        }
    }

    #[test]
    fn the_number_follows_the_jobs_between_its_limits() {
        for (text, jobs, wanted) in [
            ("idle_count = 2", 9, 2),
            ("scale_factor = 0.5", 0, 0),
            ("scale_factor = 0.5", 1, 1),
            ("scale_factor = 0.5", 5, 3),
            ("idle_count = 2\nscale_factor = 0.5", 2, 2),
            ("scale_factor = 2\nscale_factor_limit = 3", 5, 3),
            ("idle_count = 4\nscale_factor = 2\nscale_factor_limit = 3", 5, 4),
            ("scale_factor = 1e30", 5, 10),
            ("scale_factor = 2", 50, 10),
            ("idle_count = 4000", 0, 10),
        ] {
            let found =
                policies(&format!("max_pause_pods = 10\n[[policy]]\n{text}")).wanted(jobs, at("2026-03-02T09:00:00Z"));
            assert_eq!(found, wanted, "{text} with {jobs} jobs");
        }
    }

    #[test]
    fn more_come_at_once_and_go_after_their_idle_time() {
        let policies = policies("max_pause_pods = 9\n[[policy]]\nscale_factor = 1.0\nidle_time = \"1m\"");
        let mut held = Held::default();
        for (second, jobs, wanted) in [
            (0, 4, 4),
            (10, 1, 4),
            (60, 1, 4),
            // As many as there are: the time begins again.
            (65, 4, 4),
            (70, 2, 4),
            (129, 0, 4),
            (130, 3, 3),
            (131, 0, 3),
            (140, 6, 6),
            (150, 0, 6),
            (210, 0, 0),
        ] {
            held = policies.step(held, jobs, Timestamp(1_000_000_000_000 + second * 1000));
            assert_eq!(held.pods, wanted, "after {second} s with {jobs} jobs");
        }
    }

    #[test]
    fn outside_of_all_periods_they_go_after_the_usual_time() {
        let policies =
            policies("max_pause_pods = 9\n[[policy]]\nperiods = [\"0 12 * * *\"]\nidle_count = 2\nidle_time = \"10s\"");
        let noon = at("2026-03-02T12:00:00Z");
        let mut held = policies.step(Held::default(), 0, noon);
        for (second, wanted) in [(59, 2), (60, 2), (359, 2), (360, 0)] {
            held = policies.step(held, 0, Timestamp(noon.0 + second * 1000));
            assert_eq!(held.pods, wanted, "after {second} s");
        }
    }
}
