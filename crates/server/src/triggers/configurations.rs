//! Which configurations a start reads: a project may have one of each language, and each makes pipelines of its own.

use std::sync::Arc;

use tasuki_model::plan::Language;
use tasuki_model::trigger::Source;
use tasuki_pipeline::Skip;
use tasuki_pipeline::lang;
use tasuki_pipeline::lang::github::{self, FOLDER as WORKFLOWS};

use super::answer::{Answerer, Place};
use super::create::{Start, Started};
use super::error::NoPipeline;
use super::{Error, Key, Triggers};
use crate::config::ProjectSettings;

/// The files that are looked for, in this order, unless the project names one.
pub(super) const CONFIG_PATHS: [&str; 3] = [".gitlab-ci.yml", ".circleci/config.yml", WORKFLOWS];

/// A configuration that was found.
pub(super) struct Found {
    pub(super) path: String,
    pub(super) text: Arc<str>,
}

impl Found {
    pub(super) fn language(&self) -> Language {
        lang::of_file(&self.path).unwrap_or(Language::Gitlab)
    }
}

/// What came of one configuration of a start.
#[derive(Debug)]
pub struct Made {
    /// Its path.
    pub config: String,
    pub started: Started,
}

impl Made {
    pub(super) fn new(config: &str, started: Started) -> Self {
        Self {
            config: config.to_owned(),
            started,
        }
    }
}

/// The answer for whoever expects one pipeline: the first that there is, else why the first configuration made none.
#[must_use]
pub fn first(mut made: Vec<Made>) -> Started {
    let at = made
        .iter()
        .position(|made| !matches!(made.started, Started::None(_)))
        .unwrap_or(0);
    match made.is_empty() {
        false => made.swap_remove(at).started,
        true => Started::None(NoPipeline::Unwanted),
    }
}

impl Triggers {
    /// Starts what the commit's configurations ask for: pipelines of each language that it has, in the order GitLab,
    /// CircleCI, GitHub. What is wrong with one of them does not stop the others. The answer is never empty.
    ///
    /// Whoever names jobs or a workflow gets those configurations that have all of them.
    ///
    /// # Errors
    /// Git, the database or the scheduler fails; a start with a key may be repeated and makes only what is missing. No
    /// configuration has the named jobs or workflow.
    pub async fn create(&self, start: Start) -> Result<Vec<Made>, Error> {
        if start.options.no_pipeline {
            return Ok(vec![Made::new("", Started::None(NoPipeline::Unwanted))]);
        }
        let settings = ProjectSettings::read(&start.project.settings_json);
        let trigger = self.trigger(&start).await?;
        if let Some(skipped) = self.skipped(&start, &settings, &trigger).await? {
            return Ok(vec![Made::new("", skipped)]);
        }
        let answerer = self.answerer(&start);
        let mut all = found(&start, &settings, &answerer).await;
        let of_file = start.more.schedule_description.as_deref().and_then(github::turn_of);
        if let (Source::Schedule, Some(_)) = (start.source, of_file) {
            all.retain(|found| found.path == WORKFLOWS);
        }
        let has_workflows = all.iter().any(|found| found.path.starts_with(WORKFLOWS));
        Box::pin(self.take_schedules(&start, has_workflows.then_some(&answerer))).await?;
        if start.source == Source::Pipeline {
            // A job of another project follows one pipeline.
            all.truncate(1);
        }
        if all.is_empty() && start.more.only.is_some() && start.source == Source::MergeRequestEvent {
            let skipped = Started::None(NoPipeline::Skipped(Skip::NotTriggered));
            return Ok(vec![Made::new("", skipped)]);
        }
        if all.is_empty() {
            let path = match (settings.config_path.as_str(), concerned(&start)) {
                ("", None | Some(Language::Gitlab)) => CONFIG_PATHS[0],
                ("", Some(Language::Circleci)) => CONFIG_PATHS[1],
                ("", Some(Language::Github)) => WORKFLOWS,
                (named, _) => named,
            };
            let missing = Started::None(NoPipeline::Missing(path.to_owned()));
            return Ok(vec![Made::new(path, missing)]);
        }
        let (mut made, mut unknown) = (Vec::with_capacity(all.len()), None);
        for (at, found) in all.iter().enumerate() {
            let start = Start {
                key: start.key.as_ref().map(|key| key_of(key, &found.path, at)),
                ..start.clone()
            };
            match Box::pin(self.create_of(&start, &settings, &trigger, found)).await {
                Ok(of_it) => made.extend(of_it),
                Err(error) => unknown = Some(other(unknown, error)?),
            }
        }
        match unknown {
            Some(unknown) if made.is_empty() => Err(unknown),
            _ => Ok(made),
        }
    }
}

/// The configurations that a start is concerned with.
pub(super) async fn found(start: &Start, settings: &ProjectSettings, answerer: &Answerer) -> Vec<Found> {
    let mut all = match &start.more.config {
        Some(text) => vec![Found {
            path: match start.more.only {
                Some(Language::Circleci) => ".circleci/continuation.yml".to_owned(),
                Some(Language::Gitlab | Language::Github) | None => "trigger:include".to_owned(),
            },
            text: Arc::from(text.as_str()),
        }],
        None => {
            let part = start.more.part.as_ref();
            find(answerer, part.map_or(&settings.config_path, |part| &part.file)).await
        }
    };
    let concerned = concerned(start);
    all.retain(|found| concerned.is_none_or(|only| found.language() == only));
    all
}

/// The language whose configurations are concerned, where not all are.
fn concerned(start: &Start) -> Option<Language> {
    let named = start.more.workflow.as_ref().map(|_| Language::Github);
    start.more.only.or(named)
}

/// A name that one configuration does not have: another one may. Gives all names that are known.
fn other(before: Option<Error>, error: Error) -> Result<Error, Error> {
    match (before, error) {
        (Some(Error::NoJob { name, known: mut all }), Error::NoJob { known, .. }) => {
            all.extend(known);
            Ok(Error::NoJob { name, known: all })
        }
        (Some(Error::NoWorkflow { name, known: mut all }), Error::NoWorkflow { known, .. }) => {
            all.extend(known);
            Ok(Error::NoWorkflow { name, known: all })
        }
        // A workflow that is there without the job says more than one that is not there.
        (Some(Error::NoWorkflow { .. }) | None, error @ Error::NoJob { .. }) => Ok(error),
        (Some(before @ Error::NoJob { .. }), Error::NoWorkflow { .. }) => Ok(before),
        (None, error @ Error::NoWorkflow { .. }) => Ok(error),
        (_, error) => Err(error),
    }
}

/// The key of the pipelines of one configuration. The first one's is that of the start.
fn key_of(start: &Key, path: &str, at: usize) -> Key {
    if at == 0 { start.clone() } else { start.part(path) }
}

/// The configuration that is named, or those that are at the usual places.
pub(super) async fn find(answerer: &Answerer, named: &str) -> Vec<Found> {
    let usual = CONFIG_PATHS.iter().copied();
    let paths: Vec<&str> = if named.is_empty() { usual.collect() } else { vec![named] };
    let found = answerer.at_paths(&paths).await;
    let one = |(path, place): (&str, Place)| {
        let is_folder = path.trim_end_matches('/') == WORKFLOWS;
        let text = match place {
            Place::File(text) if !is_folder => text,
            Place::Folder if is_folder => "".into(),
            Place::File(_) | Place::Folder | Place::Nothing => return None,
        };
        Some(Found {
            path: path.trim_end_matches('/').to_owned(),
            text,
        })
    };
    paths.into_iter().zip(found).filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pipeline_answers() {
        let none = |path: &str| Made::new(path, Started::None(NoPipeline::Missing(path.to_owned())));
        let new = |id| {
            Made::new(
                "x",
                Started::New {
                    id: tasuki_model::id::PipelineId(id),
                    iid: 1,
                },
            )
        };
        assert!(matches!(first(vec![none("a"), new(1), new(2)]), Started::New { id, .. } if id.0 == 1));
        assert!(matches!(first(vec![none("a"), none("b")]), Started::None(NoPipeline::Missing(path)) if path == "a"));
    }

    #[test]
    fn keys_differ_by_configuration() {
        let start = Key::delivery("1:d");
        assert_eq!(key_of(&start, "x", 0), start);
        let (x, y) = (key_of(&start, "x", 1), key_of(&start, "y", 1));
        assert!(x != y && x != start && y != start, "{x} {y}");
    }

    #[test]
    fn names_of_all_configurations_are_told() {
        let job = |known: &str| Error::NoJob {
            name: "j".to_owned(),
            known: vec![known.to_owned()],
        };
        let workflow = || Error::NoWorkflow {
            name: "w".to_owned(),
            known: Vec::new(),
        };
        let both = other(Some(job("a")), job("b"));
        assert!(matches!(both, Ok(Error::NoJob { known, .. }) if known == ["a", "b"]));
        assert!(matches!(other(Some(workflow()), job("b")), Ok(Error::NoJob { .. })));
        assert!(matches!(other(Some(job("a")), workflow()), Ok(Error::NoJob { .. })));
        assert!(matches!(other(Some(job("a")), Error::Empty), Err(Error::Empty)));
    }
}
