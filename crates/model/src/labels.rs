//! Which runner may take which task: tags, protection, resource class, scope, features.
//!
//! [`check`] is the only place that decides it. Claims ask it, and so does "why is this pending?", which
//! therefore never tells another story than the one that happens.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::ProjectId;
use crate::plan::{Job, StepKind};

/// The feature that a runner announces when it understands tasuki's extension of the payload.
pub const EXTENSION: &str = "tasuki";

/// What a task asks of its runner. Tasks with equal demands wait in one queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Demand {
    /// All of these; sorted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// `namespace/name` of the pool that must take it; with one, tags do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_class: Option<String>,
    /// It is of a protected ref, so runners for protected refs may take it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    /// Features that the runner must have announced.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub features: BTreeSet<String>,
}

impl Demand {
    /// What a job of a (un)protected ref asks for.
    #[must_use]
    pub fn of(job: &Job, protected: bool) -> Self {
        let features = if needs_extension(job) {
            BTreeSet::from([EXTENSION.to_owned()])
        } else {
            BTreeSet::new()
        };
        Self {
            tags: job.tags.iter().cloned().collect(),
            resource_class: job.resource_class.clone(),
            protected,
            features,
        }
    }
}

/// Whether GitLab's payload cannot say all that the job does.
fn needs_extension(job: &Job) -> bool {
    job.steps.iter().any(|step| {
        let plain = match &step.kind {
            StepKind::Run { shell, directory, .. } => shell.is_none() && directory.is_none(),
            StepKind::Native { .. } => true,
            _ => false,
        };
        !plain
            || step.condition.is_some()
            || step.background
            || step.continue_on_error
            || step.timeout_s.is_some()
            || step.no_output_timeout_s.is_some()
            || step.max_reruns > 0
            || step.late.is_some()
            || !step.env.is_empty()
    })
}

/// What a runner offers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offer {
    pub tags: BTreeSet<String>,
    pub untagged: Untagged,
    pub refs: Refs,
    pub scope: Scope,
    /// The pool that it belongs to; a member of a pool takes only the pool's tasks.
    pub resource_class: Option<String>,
    pub features: BTreeSet<String>,
    pub intake: Intake,
}

/// Whether a runner takes tasks without tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Untagged {
    Run,
    Refuse,
}

/// Which refs a runner works for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refs {
    All,
    ProtectedOnly,
}

/// Which projects a runner works for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Instance,
    Project(ProjectId),
}

/// Whether a runner takes anything at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Intake {
    Open,
    Paused,
}

/// Why a runner may not take a task.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Mismatch {
    #[error("it works only for another project")]
    OtherProject,
    #[error("the job wants resource class `{wanted}`, and it is not of that class")]
    ResourceClass { wanted: String },
    #[error("it serves only resource class `{serves}`, and the job names none")]
    ReservedForClass { serves: String },
    #[error("it lacks the {}", list("tag", .0))]
    MissingTags(Vec<String>),
    #[error("it takes no jobs without tags")]
    RefusesUntagged,
    #[error("it takes only jobs of protected branches and tags")]
    ProtectedOnly,
    #[error("it cannot do what the job needs: {}", .0.join(", "))]
    LacksFeatures(Vec<String>),
    #[error("it is paused")]
    Paused,
}

fn list(what: &str, items: &[String]) -> String {
    let plural = if items.len() == 1 { "" } else { "s" };
    let names: Vec<String> = items.iter().map(|item| format!("`{item}`")).collect();
    format!("{what}{plural} {}", names.join(", "))
}

/// Whether the runner may take a task of `project` that asks for `demand`.
///
/// GitLab's rules: tags of the task are a subset of the runner's, a task without tags needs a runner that
/// runs untagged ones, a runner for protected refs takes only theirs. A resource class names a pool and takes
/// the place of tags (`CM-RC-01`).
///
/// # Errors
/// The first reason against it, the most lasting first.
pub fn check(demand: &Demand, project: ProjectId, offer: &Offer) -> Result<(), Mismatch> {
    if let Scope::Project(own) = offer.scope
        && own != project
    {
        return Err(Mismatch::OtherProject);
    }
    match (&demand.resource_class, &offer.resource_class) {
        (Some(wanted), Some(served)) if wanted == served => {}
        (Some(wanted), _) => return Err(Mismatch::ResourceClass { wanted: wanted.clone() }),
        (None, Some(serves)) => return Err(Mismatch::ReservedForClass { serves: serves.clone() }),
        (None, None) => check_tags(demand, offer)?,
    }
    if offer.refs == Refs::ProtectedOnly && !demand.protected {
        return Err(Mismatch::ProtectedOnly);
    }
    if !demand.features.is_subset(&offer.features) {
        return Err(Mismatch::LacksFeatures(
            demand.features.difference(&offer.features).cloned().collect(),
        ));
    }
    match offer.intake {
        Intake::Open => Ok(()),
        Intake::Paused => Err(Mismatch::Paused),
    }
}

fn check_tags(demand: &Demand, offer: &Offer) -> Result<(), Mismatch> {
    if demand.tags.is_empty() {
        return match offer.untagged {
            Untagged::Run => Ok(()),
            Untagged::Refuse => Err(Mismatch::RefusesUntagged),
        };
    }
    if demand.tags.is_subset(&offer.tags) {
        return Ok(());
    }
    Err(Mismatch::MissingTags(
        demand.tags.difference(&offer.tags).cloned().collect(),
    ))
}

/// A name of a resource class that is not `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no resource class: write `namespace/name`, each of letters, digits, `_`, `-` and `.`")]
pub struct BadClassName(pub String);

/// Checks the name of a resource class: `namespace/name` (`CM-RC-02`).
///
/// # Errors
/// A part is missing, empty, or holds other signs.
pub fn check_class_name(name: &str) -> Result<(), BadClassName> {
    let good = |part: &str| {
        !part.is_empty()
            && part.len() <= 128
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
    };
    match name.split_once('/') {
        Some((namespace, own)) if good(namespace) && good(own) => Ok(()),
        _ => Err(BadClassName(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: ProjectId = ProjectId(1);

    fn set(words: &str) -> BTreeSet<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    /// `demand` and `offer` as words: tags, `class=a/b`, `protected`, `+feature`; for the offer also
    /// `tagged-only`, `protected-only`, `project=N`, `paused`.
    fn check_words(demand: &str, offer: &str, expected: Result<(), Mismatch>) {
        let mut wants = Demand::default();
        for word in demand.split_whitespace() {
            match word.split_once('=') {
                Some((_, class)) => wants.resource_class = Some(class.to_owned()),
                None if word == "protected" => wants.protected = true,
                None => match word.strip_prefix('+') {
                    Some(feature) => _ = wants.features.insert(feature.to_owned()),
                    None => _ = wants.tags.insert(word.to_owned()),
                },
            }
        }
        let mut offers = Offer {
            tags: BTreeSet::new(),
            untagged: Untagged::Run,
            refs: Refs::All,
            scope: Scope::Instance,
            resource_class: None,
            features: BTreeSet::new(),
            intake: Intake::Open,
        };
        for word in offer.split_whitespace() {
            match word.split_once('=') {
                Some(("class", class)) => offers.resource_class = Some(class.to_owned()),
                Some((_, id)) => offers.scope = Scope::Project(id.parse().unwrap()),
                None if word == "tagged-only" => offers.untagged = Untagged::Refuse,
                None if word == "protected-only" => offers.refs = Refs::ProtectedOnly,
                None if word == "paused" => offers.intake = Intake::Paused,
                None => match word.strip_prefix('+') {
                    Some(feature) => _ = offers.features.insert(feature.to_owned()),
                    None => _ = offers.tags.insert(word.to_owned()),
                },
            }
        }
        assert_eq!(super::check(&wants, PROJECT, &offers), expected, "{demand} | {offer}");
    }

    #[test]
    fn tags_and_protection() {
        check_words("", "", Ok(()));
        check_words("", "linux", Ok(()));
        check_words("", "linux tagged-only", Err(Mismatch::RefusesUntagged));
        check_words("linux", "linux docker tagged-only", Ok(()));
        check_words("linux gpu", "linux", Err(Mismatch::MissingTags(vec!["gpu".into()])));
        check_words("", "protected-only", Err(Mismatch::ProtectedOnly));
        check_words("protected", "protected-only", Ok(()));
        check_words("", "paused", Err(Mismatch::Paused));
        check_words("", "project=1", Ok(()));
        check_words("", "project=2", Err(Mismatch::OtherProject));
        check_words("+tasuki", "", Err(Mismatch::LacksFeatures(vec!["tasuki".into()])));
        check_words("+tasuki", "+tasuki +cache", Ok(()));
    }

    /// A runner that knows only GitLab's protocol is given nothing of which it would leave a part out.
    #[test]
    fn what_the_protocol_cannot_say_needs_a_runner_that_knows_more() {
        use crate::plan::{Step, StepKind};

        fn demands(change: impl FnOnce(&mut Step)) -> bool {
            let mut step = Step::new(StepKind::Run {
                command: "make".to_owned(),
                lines: Vec::new(),
                shell: None,
                directory: None,
            });
            change(&mut step);
            let job = Job {
                steps: vec![step],
                ..Job::new("job")
            };
            Demand::of(&job, false).features.contains(EXTENSION)
        }
        assert!(!demands(|_| ()));
        assert!(!demands(|step| step.when = crate::plan::StepWhen::Always));
        assert!(demands(|step| step.no_output_timeout_s = Some(600)));
        assert!(demands(|step| step.timeout_s = Some(60)));
        assert!(demands(|step| step.max_reruns = 1));
        assert!(demands(|step| step.background = true));
        assert!(demands(|step| step.continue_on_error = true));
        assert!(demands(|step| _ = step.env.insert("A".to_owned(), "b".to_owned())));
        assert!(demands(|step| step.kind = StepKind::Checkout {
            path: None,
            depth: None,
            method: None,
        }));
    }

    /// Covers: CM-RC-01, CM-RC-03, CM-RC-04
    #[test]
    fn a_resource_class_is_a_pool_of_its_own() {
        check_words("class=a/x", "class=a/x", Ok(()));
        check_words(
            "class=a/x",
            "class=a/y",
            Err(Mismatch::ResourceClass { wanted: "a/x".into() }),
        );
        check_words("class=a/x", "", Err(Mismatch::ResourceClass { wanted: "a/x".into() }));
        check_words(
            "",
            "class=a/x",
            Err(Mismatch::ReservedForClass { serves: "a/x".into() }),
        );
    }

    /// Covers: CM-RC-02
    #[test]
    fn class_names_have_two_parts() {
        for good in ["circleci/documentation", "orgname/macOS", "a/b.c_d-1"] {
            assert_eq!(check_class_name(good), Ok(()), "{good}");
        }
        for bad in ["documentation", "", "/", "a/", "/b", "a/b/c", "a b/c", "ä/b"] {
            assert!(check_class_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn reasons_read_well() {
        let reason = Mismatch::MissingTags(vec!["gpu".into(), "linux".into()]);
        assert_eq!(reason.to_string(), "it lacks the tags `gpu`, `linux`");
        assert_eq!(set("b a"), set("a b"));
    }
}
