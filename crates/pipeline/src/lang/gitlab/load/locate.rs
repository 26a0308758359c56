//! Which files an entry of `include` means.

use super::entry::{Entry, Target, is_url};
use super::files::{Files, Place};
use super::wildcard;
use crate::diag::{Problem, code};
use crate::request::{Answer, Origin, Request};
use crate::yaml::Node;
use tasuki_model::trigger::Source;

/// One file that an entry stands for.
pub(super) struct Found {
    pub(super) request: Request,
    pub(super) name: String,
    pub(super) component: Option<(String, String)>,
    pub(super) integrity: Option<Node>,
    pub(super) closed: bool,
}

impl Files<'_, '_> {
    /// Which files an entry means. Problems are reported; waiting for the list of files gives none.
    pub(super) fn locate(&mut self, entry: &Entry, place: &Place) -> Vec<Found> {
        let scope = self.scope(place);
        let expand = |text: &str| scope.expand(text);
        match &entry.target {
            Target::Local(path) => {
                let path = expand(path);
                if is_url(&path) {
                    return self.remote(path, None, entry);
                }
                self.local(&path, entry, place)
            }
            Target::Remote { url, integrity } => {
                let url = expand(url);
                self.remote(url, integrity.clone(), entry)
            }
            Target::Template(name) => {
                let name = expand(name);
                if !name.ends_with(".gitlab-ci.yml") {
                    let message = format!("Template file `{}` is not a valid location!", self.masked(&name));
                    let problem = Problem::new(&code::GITLAB_INCLUDE, entry.at.span, message)
                        .hint("the name of a template ends with `.gitlab-ci.yml`");
                    self.session.report(problem);
                    return Vec::new();
                }
                vec![Found {
                    name: format!("template:{name}"),
                    request: Request::File {
                        origin: Origin::Template,
                        path: name,
                    },
                    component: None,
                    integrity: None,
                    closed: true,
                }]
            }
            Target::Artifact { path, job } => self.artifact(expand(path), expand(job), entry, place),
            Target::Component(address) => {
                let address = expand(address);
                self.component(&address, entry)
            }
            Target::Project {
                project,
                files,
                git_ref,
            } => {
                let origin = Origin::Project {
                    project: expand(project),
                    git_ref: git_ref.as_deref().map_or_else(|| "HEAD".to_owned(), expand),
                };
                let texts = files.iter().filter_map(Node::text);
                let paths: Vec<String> = texts.map(|path| expand(path)).collect();
                if place.closed {
                    self.no_project(entry, "Project");
                    return Vec::new();
                }
                let good = paths
                    .into_iter()
                    .filter(|path| self.is_yaml(path, entry))
                    .collect::<Vec<_>>();
                good.into_iter().map(|path| in_origin(&origin, path)).collect()
            }
        }
    }

    fn local(&mut self, path: &str, entry: &Entry, place: &Place) -> Vec<Found> {
        let path = path.trim_start_matches('/');
        if !self.is_yaml(path, entry) {
            return Vec::new();
        }
        if place.closed {
            self.no_project(entry, "Local");
            return Vec::new();
        }
        let origin = &place.origin;
        if !wildcard::is_wildcard(path) {
            self.seen.insert((origin.clone(), path.to_owned()));
            return vec![in_origin(origin, path.to_owned())];
        }
        let tree = match self.session.ask(Request::Tree { origin: origin.clone() }) {
            None => return Vec::new(),
            Some(Answer::Tree(tree)) => tree.clone(),
            Some(other) => {
                self.refused(other, entry, &format!("The list of files for `{}`", self.masked(path)));
                return Vec::new();
            }
        };
        let Some(pattern) = wildcard::pattern(path) else {
            return Vec::new();
        };
        let mut matching = Vec::new();
        for (file, _) in tree.files() {
            if pattern.is_match(file) && self.seen.insert((origin.clone(), file.to_owned())) {
                matching.push(in_origin(origin, file.to_owned()));
            }
        }
        if matching.is_empty() {
            let message = format!("`{}` matches no file (that is not included already)", self.masked(path));
            self.session
                .report(Problem::new(&code::GITLAB_INCLUDE_EMPTY, entry.at.span, message));
        }
        matching
    }

    fn remote(&self, url: String, integrity: Option<Node>, entry: &Entry) -> Vec<Found> {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/') || rest.contains(char::is_whitespace)) {
            let message = format!("Remote file `{}` does not have a valid address!", self.masked(&url));
            let problem = Problem::new(&code::GITLAB_INCLUDE, entry.at.span, message);
            self.session
                .report(problem.hint("write the whole address, e.g. `https://example.com/ci.yml`"));
            return Vec::new();
        }
        vec![Found {
            name: self.masked(&url),
            request: Request::File {
                origin: Origin::Remote,
                path: url,
            },
            component: None,
            integrity,
            closed: true,
        }]
    }

    /// `host/group/project/name@version`
    fn component(&self, address: &str, entry: &Entry) -> Vec<Found> {
        let parts = address.rsplit_once('@').and_then(|(path, version)| {
            let (host, path) = path.split_once('/')?;
            let (project, name) = path.rsplit_once('/')?;
            let good = [host, project, name, version].iter().all(|part| !part.is_empty()) && project.contains('/');
            good.then_some((host, path, name, version))
        });
        let Some((host, path, name, version)) = parts else {
            let message = format!("Component `{}` is not a valid address", self.masked(address));
            let problem = Problem::new(&code::GITLAB_INCLUDE, entry.at.span, message)
                .hint("an address is `<host>/<group>/<project>/<component>@<version>`, e.g. `$CI_SERVER_FQDN/tools/ci/lint@1.0.0`");
            self.session.report(problem);
            return Vec::new();
        };
        vec![Found {
            name: self.masked(address),
            component: Some((name.to_owned(), version.to_owned())),
            request: Request::File {
                origin: Origin::Component {
                    host: host.to_owned(),
                    version: version.to_owned(),
                },
                path: path.to_owned(),
            },
            integrity: None,
            closed: false,
        }]
    }

    /// A file that a job of the parent pipeline made.
    fn artifact(&self, path: String, job: String, entry: &Entry, place: &Place) -> Vec<Found> {
        let is_child = self.session.input.context.trigger.source == Source::ParentPipeline;
        if !is_child {
            let message = "`artifact` can only be included by a child pipeline, under `trigger:include`";
            self.session.error(&code::GITLAB_INCLUDE, entry.at.span, message);
            return Vec::new();
        }
        if place.closed {
            self.no_project(entry, "Artifact");
            return Vec::new();
        }
        if !self.is_yaml(&path, entry) {
            return Vec::new();
        }
        vec![Found {
            name: format!("{}:{}", self.masked(&job), self.masked(&path)),
            request: Request::File {
                origin: Origin::Artifact { job },
                path,
            },
            component: None,
            integrity: None,
            closed: false,
        }]
    }

    fn is_yaml(&self, path: &str, entry: &Entry) -> bool {
        let lower = path.to_ascii_lowercase();
        let good = lower.ends_with(".yml") || lower.ends_with(".yaml");
        if !good {
            let message = format!("Included file `{}` does not have YAML extension!", self.masked(path));
            let problem = Problem::new(&code::GITLAB_INCLUDE, entry.at.span, message);
            self.session
                .report(problem.hint("its name must end with `.yml` or `.yaml`"));
        }
        good
    }

    fn no_project(&self, entry: &Entry, kind: &str) {
        let message = format!("{kind} file cannot be included here: a remote file or template does not have project!");
        let problem = Problem::new(&code::GITLAB_INCLUDE, entry.at.span, message);
        self.session
            .report(problem.hint("include it from your own configuration instead"));
    }
}

/// A file of a project.
fn in_origin(origin: &Origin, path: String) -> Found {
    let path = path.trim_start_matches('/').to_owned();
    let name = match origin {
        Origin::Project { project, git_ref } => format!("{project}@{git_ref}:{path}"),
        Origin::Local | Origin::Remote | Origin::Template | Origin::Component { .. } | Origin::Artifact { .. } => {
            path.clone()
        }
    };
    Found {
        request: Request::File {
            origin: origin.clone(),
            path,
        },
        name,
        component: None,
        integrity: None,
        closed: false,
    }
}
