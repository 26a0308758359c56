//! What rules ask of the repository: changed paths and existing files.

use std::cell::RefCell;
use std::sync::Arc;

use foldhash::HashMap;
use tasuki_model::trigger::{GitRef, Source};

use crate::diag::{Problem, code};
use crate::lang::gitlab::entry::{Changes, Exists, Located};
use crate::lang::gitlab::glob::Glob;
use crate::lang::gitlab::variables::Scope;
use crate::yaml::Span;
use crate::{Answer, Origin, Refusal, Request, Session, Tree};

/// Tests of a path against a pattern after which GitLab gives up and says yes.
const MAX_TESTS: usize = 50_000;

/// `compare_to` and patterns.
type ChangesKey = (Option<String>, Vec<String>);
/// Project with its ref, and patterns.
type ExistsKey = (Option<(String, String)>, Vec<String>);

/// Answers, each worked out once: jobs share most of their rules.
pub(super) struct Facts<'s> {
    session: &'s Session<'s>,
    changed: RefCell<HashMap<ChangesKey, bool>>,
    existing: RefCell<HashMap<ExistsKey, bool>>,
}

impl<'s> Facts<'s> {
    pub(super) fn new(session: &'s Session<'s>) -> Self {
        Self {
            session,
            changed: RefCell::default(),
            existing: RefCell::default(),
        }
    }

    /// `rules:changes`.
    pub(super) fn changes(&self, changes: &Changes, scope: &Scope<'_>) -> bool {
        let compare_to = changes.compare_to.as_ref().map(|to| Located {
            text: scope.expand_existing(&to.text),
            span: to.span,
        });
        let patterns = changes
            .paths
            .iter()
            .map(|path| scope.expand_existing(&path.text))
            .collect();
        let span = changes.paths.first().map(|path| path.span).unwrap_or_default();
        self.changed(compare_to, patterns, span)
    }

    /// `only:changes`: nothing is expanded.
    pub(super) fn plain_changes(&self, paths: &[Located]) -> bool {
        let span = paths.first().map(|path| path.span).unwrap_or_default();
        self.changed(None, paths.iter().map(|path| path.text.clone()).collect(), span)
    }

    fn changed(&self, compare_to: Option<Located>, patterns: Vec<String>, span: Span) -> bool {
        if compare_to.is_none() && !self.has_base() {
            return true;
        }
        let place = compare_to.as_ref().map_or(span, |to| to.span);
        let key = (compare_to.map(|to| to.text), patterns);
        if let Some(known) = self.changed.borrow().get(&key) {
            return *known;
        }
        let request = Request::Changed {
            compare_to: key.0.clone(),
        };
        let found = match self.session.ask(request) {
            Some(Answer::Changed(Some(paths))) => any_matches(&key.1, paths.iter().map(String::as_str)),
            Some(Answer::Changed(None)) | None => true,
            Some(Answer::Refused(refusal)) => {
                self.refused_changes(key.0.as_deref(), refusal, place);
                false
            }
            Some(Answer::File(_) | Answer::Tree(_) | Answer::Commits(_)) => {
                self.wrong_answer(place);
                false
            }
        };
        self.changed.borrow_mut().insert(key, found);
        found
    }

    /// Without `compare_to` only pushes to branches and merge requests (and their children) have something to compare
    /// with.
    fn has_base(&self) -> bool {
        let trigger = &self.session.input.context.trigger;
        if trigger.merge_request.is_some() {
            return true;
        }
        match trigger.source {
            Source::Push
            | Source::MergeRequestEvent
            | Source::ExternalPullRequestEvent
            | Source::External
            | Source::ParentPipeline
            | Source::Webide => !matches!(trigger.git_ref, GitRef::Tag(_)),
            Source::Web | Source::Trigger | Source::Schedule | Source::Api | Source::Pipeline | Source::Chat => false,
        }
    }

    fn refused_changes(&self, compare_to: Option<&str>, refusal: &Refusal, span: Span) {
        let text = match compare_to {
            Some(to) => format!(
                "rules:changes:compare_to is not a valid ref: `{to}` {}",
                refusal.explain()
            ),
            None => format!("rules:changes: the list of changed files {}", refusal.explain()),
        };
        self.session.report(Problem::new(&code::GITLAB_RULES, span, text));
    }

    fn wrong_answer(&self, span: Span) {
        self.session.error(
            &code::GITLAB_RULES,
            span,
            "the rule was answered with something else than it asked for",
        );
    }

    /// `rules:exists`.
    pub(super) fn exists(&self, exists: &Exists, scope: &Scope<'_>) -> bool {
        let expand = |text: &String| scope.expand_existing(text);
        let project = exists
            .project
            .as_ref()
            .map(|(path, git_ref)| (expand(path), expand(git_ref)));
        let patterns = exists.paths.iter().map(|path| expand(&path.text)).collect();
        let key = (project, patterns);
        if let Some(known) = self.existing.borrow().get(&key) {
            return *known;
        }
        let found = self
            .tree(key.0.as_ref(), exists.span)
            .is_none_or(|tree| tree_has(&tree, &key.1));
        self.existing.borrow_mut().insert(key, found);
        found
    }

    /// `None` where it is not known (yet).
    fn tree(&self, project: Option<&(String, String)>, span: Span) -> Option<Arc<Tree>> {
        let origin = match project {
            None => Origin::Local,
            Some((project, git_ref)) => Origin::Project {
                project: project.clone(),
                git_ref: git_ref.clone(),
            },
        };
        match self.session.ask(Request::Tree { origin })? {
            Answer::Tree(tree) => return Some(tree.clone()),
            Answer::Refused(refusal) => {
                let text = match project {
                    Some((path, git_ref)) => {
                        format!("rules:exists:project `{path}` at `{git_ref}` {}", refusal.explain())
                    }
                    None => format!("the list of files {}", refusal.explain()),
                };
                self.session.error(&code::GITLAB_RULES, span, text);
            }
            Answer::File(_) | Answer::Changed(_) | Answer::Commits(_) => self.wrong_answer(span),
        }
        None
    }

    /// Files of the own commit, for cache keys.
    pub(super) fn files(&self, span: Span) -> Option<Arc<Tree>> {
        self.tree(None, span)
    }

    /// Last commits of these paths.
    pub(super) fn last_commits(&self, paths: Vec<String>, span: Span) -> Vec<String> {
        match self.session.ask(Request::LastCommits { paths }) {
            Some(Answer::Commits(commits)) => commits.values().cloned().collect(),
            Some(Answer::Refused(refusal)) => {
                let text = format!("the last commits of the key's files: the list {}", refusal.explain());
                self.session.error(&code::GITLAB_RULES, span, text);
                Vec::new()
            }
            Some(Answer::File(_) | Answer::Tree(_) | Answer::Changed(_)) => {
                self.wrong_answer(span);
                Vec::new()
            }
            None => Vec::new(),
        }
    }
}

fn any_matches<'p>(patterns: &[String], paths: impl Iterator<Item = &'p str>) -> bool {
    let globs: Vec<Glob> = patterns.iter().map(|pattern| Glob::new(pattern)).collect();
    let mut tests = 0_usize;
    for path in paths {
        tests = tests.saturating_add(globs.len());
        if tests > MAX_TESTS {
            return true;
        }
        let path: Vec<char> = path.chars().collect();
        if globs.iter().any(|glob| glob.matches_chars(&path)) {
            return true;
        }
    }
    false
}

/// Plain paths are looked up, `dir/` is a folder, the rest is matched with every file.
fn tree_has(tree: &Tree, patterns: &[String]) -> bool {
    let mut globs = Vec::new();
    for pattern in patterns {
        match Glob::literal(pattern) {
            Some(path) if path.ends_with('/') => {
                if tree.has_folder(path) {
                    return true;
                }
            }
            Some(path) => {
                if tree.blob(path).is_some() {
                    return true;
                }
            }
            None => globs.push(pattern.clone()),
        }
    }
    !globs.is_empty() && any_matches(&globs, tree.files().map(|(path, _)| path))
}
