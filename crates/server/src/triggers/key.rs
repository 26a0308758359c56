//! What tells one start from another, so that the same one repeated makes nothing twice.

use std::fmt::{self, Display};

use tasuki_model::id::{JobId, PipelineId, ProjectId};
use tasuki_model::time::Timestamp;

/// A key of a start, unique within the server. Each kind of start has a word of its own in front, and what somebody
/// outside has chosen stands behind that of its kind: nobody can choose the key of another kind of start, nor that of
/// another project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(String);

const CONTINUATION: &str = "continue:";
/// Stands between a key and the part of the start that is meant. No header, ref or number has it.
const PART: char = '\n';

impl Key {
    /// Of a request to start pipelines of a project, which the caller chose.
    #[must_use]
    pub fn request(project: ProjectId, chosen: &str) -> Self {
        Self::new(format_args!("request:{project}:"), chosen)
    }

    /// Of a webhook's delivery.
    pub(super) fn delivery(dedupe_key: &str) -> Self {
        Self::new(format_args!("hook:"), dedupe_key)
    }

    /// Of a turn of a schedule.
    pub(super) fn turn(schedule: i64, turn: Timestamp) -> Self {
        Self(format!("schedule:{schedule}:{}", turn.0))
    }

    /// Of a schedule that somebody starts at once.
    #[must_use]
    pub fn by_hand(schedule: i64, now: Timestamp) -> Self {
        Self(format!("schedule:{schedule}:by-hand:{}", now.0))
    }

    /// Of a ref of a local repository that moved. `since` is when it was first seen where it was `before`: a branch may
    /// go to and fro between two commits.
    pub(super) fn moved(project: ProjectId, name: &str, before: &str, after: &str, since: i64) -> Self {
        Self(format!("local:{project}:{name}:{before}:{after}:{since}"))
    }

    /// Of the pipeline that a job starts.
    pub(super) fn bridge(job: JobId, attempt: i64) -> Self {
        Self(format!("bridge:{job}:{attempt}"))
    }

    /// Of the pipeline that follows a `setup` pipeline: there is one at most.
    pub(super) fn continuation(setup: PipelineId) -> Self {
        Self(format!("{CONTINUATION}{setup}"))
    }

    /// The `setup` pipeline, of the key of the pipeline that follows it.
    pub(super) fn continued(text: &str) -> Option<PipelineId> {
        let id = text.strip_prefix(CONTINUATION)?.parse().ok()?;
        Some(PipelineId(id))
    }

    /// Of one of the pipelines that a start makes.
    pub(super) fn part(&self, what: &str) -> Self {
        Self(format!("{self}{PART}{what}"))
    }

    /// As it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `chosen` comes from outside.
    fn new(kind: fmt::Arguments<'_>, chosen: &str) -> Self {
        Self(format!("{kind}{}", chosen.replace(PART, " ")))
    }
}

impl Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attacks every key of the server's own with one that a caller chooses.
    #[test]
    fn nobody_chooses_the_key_of_another_start() {
        let now = Timestamp(1_700_000_000_000);
        let request = Key::request(ProjectId(1), "k");
        let own = [
            Key::continuation(PipelineId(5)),
            Key::turn(5, now),
            Key::by_hand(5, now),
            Key::bridge(JobId(5), 1),
            Key::moved(ProjectId(1), "refs/heads/main", "a", "b", 3),
            Key::delivery("1:d"),
            Key::delivery("1:d").part("errors"),
            Key::request(ProjectId(2), "k"),
            request.part(".github/workflows"),
            request.part("errors"),
        ];
        for key in &own {
            let text = key.as_str();
            let tail = text.split_once(':').map_or(text, |(_, tail)| tail);
            for chosen in [text, tail, &format!("k\n{tail}"), &text.replace("request:1:", "")] {
                for project in [1, 2] {
                    let attack = Key::request(ProjectId(project), chosen);
                    assert!(attack != *key, "{attack} by {chosen:?} in {project}");
                }
            }
        }
        for (at, key) in own.iter().enumerate() {
            assert!(!own[..at].contains(key), "{key}");
        }
    }

    #[test]
    fn only_the_key_of_a_continuation_names_a_setup() {
        let setup = PipelineId(5);
        assert_eq!(Key::continued(Key::continuation(setup).as_str()), Some(setup));
        for other in [
            Key::request(ProjectId(1), "continue:5"),
            Key::continuation(setup).part("x"),
        ] {
            assert_eq!(Key::continued(other.as_str()), None, "{other}");
        }
    }
}
