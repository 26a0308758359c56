//! The texts of included files.

use base64::Engine as _;
use sha2::{Digest as _, Sha256};
use tasuki_model::plan::Variable;

use super::entry::Entry;
use super::files::Files;
use super::locate::Found;
use crate::Refusal;
use crate::diag::{Problem, code};
use crate::lang::gitlab::variables::Layer;
use crate::request::{Answer, FileAnswer, Origin, Request};
use crate::yaml::Node;

impl<'a> Files<'_, 'a> {
    /// The text of a file, if it is there and is what it should be.
    pub(super) fn fetch(&mut self, found: &Found, entry: &Entry) -> Option<&'a FileAnswer> {
        let answer = match self.session.ask(found.request.clone())? {
            Answer::File(answer) => answer,
            other => {
                let name = self.masked(&found.name);
                let what = match &found.request {
                    Request::File { origin, path } => match origin {
                        Origin::Local => format!("Local file `{name}`"),
                        Origin::Remote => format!("Remote file `{name}`"),
                        Origin::Component { .. } => format!("Component `{name}`"),
                        Origin::Template => format!("Template file `{}`", self.masked(path)),
                        Origin::Artifact { job } => {
                            format!(
                                "File `{}` of the artifacts of job `{}`",
                                self.masked(path),
                                self.masked(job)
                            )
                        }
                        Origin::Project { project, git_ref } => {
                            let (project, git_ref) = (self.masked(project), self.masked(git_ref));
                            format!("Project `{project}` reference `{git_ref}` file `{}`", self.masked(path))
                        }
                    },
                    Request::Tree { .. }
                    | Request::Changed { .. }
                    | Request::LastCommits { .. }
                    | Request::Orb { .. } => name,
                };
                self.refused(other, entry, &what);
                return None;
            }
        };
        if let Some(integrity) = &found.integrity {
            self.check_integrity(integrity, &answer.text).then_some(())?;
        }
        Some(answer)
    }

    pub(super) fn refused(&mut self, answer: &Answer, entry: &Entry, what: &str) {
        self.broken = true;
        let (why, hint) = match answer {
            Answer::Refused(Refusal::NotFound) => (
                "does not exist!".to_owned(),
                what.starts_with("Local")
                    .then_some("paths count from the top of the repository, and the file must be committed"),
            ),
            Answer::Refused(refusal) => (refusal.explain(), None),
            Answer::File(_) | Answer::Tree(_) | Answer::Changed(_) | Answer::Commits(_) => {
                ("was answered with something else".to_owned(), None)
            }
        };
        let mut problem = Problem::new(&code::GITLAB_INCLUDE, entry.at.span, format!("{what} {why}"));
        problem.hint = hint.map(str::to_owned);
        self.session.report(problem);
    }

    fn check_integrity(&mut self, integrity: &Node, text: &str) -> bool {
        let wanted = integrity.text().and_then(|text| text.strip_prefix("sha256-"));
        let found = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text.as_bytes()));
        let message = match wanted {
            Some(wanted) if wanted == found => return true,
            Some(_) => format!("the file does not have this integrity; it has `sha256-{found}`"),
            None => "include:integrity should be `sha256-` and the base64 of the file's SHA-256".to_owned(),
        };
        self.broken = true;
        self.session.error(&code::GITLAB_INCLUDE, integrity.span, message);
        false
    }

    /// Values of masked variables must not come out through a message.
    pub(super) fn masked(&self, text: &str) -> String {
        let secrets = self.layers.iter().flat_map(Layer::list);
        let mut secrets: Vec<&Variable> = secrets.filter(|v| v.masked && !v.value.is_empty()).collect();
        secrets.sort_by_key(|v| std::cmp::Reverse(v.value.len()));
        secrets
            .iter()
            .fold(text.to_owned(), |text, v| text.replace(&v.value, "[MASKED]"))
    }
}
