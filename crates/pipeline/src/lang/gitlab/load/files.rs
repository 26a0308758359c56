//! Reads a file with all that it includes.

use std::collections::HashSet;

use base64::Engine as _;
use sha2::{Digest as _, Sha256};
use tasuki_model::plan::Variable;

use super::entry::{Entry, Target, entries, is_url};
use super::inputs::Given;
use super::interpolate::{Component, Interpolation};
use super::{SCHEMA, header, include_rules, inputs, merge, wildcard};
use crate::diag::{Code, Problem, code};
use crate::lang::gitlab::predefined;
use crate::lang::gitlab::variables::{Layer, Scope, settings};
use crate::request::{Answer, FileAnswer, Origin, Request};
use crate::session::ParsedFile;
use crate::yaml::{self, FileId, Map, MergeKeys, Node, Span, Value};
use crate::{Refusal, Session};

/// Where a file is, which decides what it may include.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) origin: Origin,
    /// Below a remote file or a template there is no project, no variable and no user.
    pub(super) closed: bool,
}

/// A text to read, and where it comes from.
struct Source<'t> {
    /// As shown in diagnostics.
    name: String,
    text: &'t str,
    place: Place,
    component: Option<Component>,
}

/// One file that an entry stands for.
struct Found {
    request: Request,
    name: String,
    component: Option<(String, String)>,
    integrity: Option<Node>,
    closed: bool,
}

/// Reads files; counts them.
pub(super) struct Files<'s, 'a> {
    session: &'s Session<'a>,
    layers: Vec<Layer>,
    included: usize,
    bytes: usize,
    /// A limit was reached: nothing more is read.
    stopped: bool,
    /// Something could not be read, so what follows would only be noise.
    broken: bool,
    seen: HashSet<(Origin, String)>,
}

impl<'s, 'a> Files<'s, 'a> {
    pub(super) fn new(session: &'s Session<'a>) -> Self {
        let context = session.input.context;
        let mut own = predefined::pipeline(context, None);
        own.extend(predefined::user(context));
        let layers = vec![
            Layer::new(own),
            Layer::new(settings(context, None)),
            Layer::new(context.trigger.variables.clone()),
        ];
        Self {
            session,
            layers,
            included: 0,
            bytes: 0,
            stopped: false,
            broken: false,
            seen: HashSet::new(),
        }
    }

    /// The configuration of the session, merged with all that it includes.
    pub(super) fn main(mut self) -> Option<Map> {
        let input = self.session.input;
        let at = Span::start_of(FileId(0));
        let source = Source {
            name: input.file.to_owned(),
            text: input.text,
            place: Place {
                origin: Origin::Local,
                closed: false,
            },
            component: None,
        };
        let given = Given::from_trigger(self.session, at);
        let merged = self.file(&source, &given, None)?;
        (!self.broken).then_some(merged)
    }

    /// One file with all that it includes.
    fn file(&mut self, source: &Source<'_>, given: &Given, included_at: Option<Span>) -> Option<Map> {
        let session = self.session;
        let file = read(session, &source.name, source.text);
        if let Some(at) = included_at.filter(|at| at.file != file.id) {
            session.included(file.id, at);
        }
        let errors = session.errors();
        file.problems.iter().for_each(|problem| session.report(problem.clone()));
        let unreadable = file.documents.is_empty() && session.errors() > errors;
        let start = Span::start_of(file.id);
        self.bytes = self.bytes.saturating_add(source.text.len());
        let limit = session.input.context.limits.total_bytes;
        if self.bytes > limit {
            let message = format!("Total size of combined CI/CD configuration is too big: the limit is {limit} bytes");
            self.stop(&code::GITLAB_INCLUDE_LIMIT, start, message);
        }
        if unreadable || self.stopped {
            self.broken = true;
            return None;
        }
        let body = self.body(&file, source, given)?;
        let Some(map) = body.as_map() else {
            self.broken = true;
            self.not_a_map(&file, &body, start, included_at);
            return None;
        };
        let Some(include) = map.get("include") else {
            return Some(map.clone());
        };
        let mut merged = Map::new(Vec::new());
        for entry in entries(session, include) {
            for part in self.include(&entry, &source.place) {
                merged = merge::deep(&merged, &part);
            }
        }
        if session.errors() > errors {
            self.broken = true;
        }
        let is_include = |key: &Node| key.text().is_some_and(|text| &**text == "include");
        let own = map.iter().filter(|(key, _)| !is_include(key)).cloned().collect();
        Some(merge::deep(&merged, &Map::from_unique(own)))
    }

    fn not_a_map(&self, file: &ParsedFile, body: &Node, start: Span, included_at: Option<Span>) {
        let what = body.value(SCHEMA);
        let problem = match (&what, included_at) {
            (Value::Null, None) => Problem::new(
                &code::GITLAB_MISSING_FILE,
                start,
                format!("Please provide content of {}: it is empty", file.name),
            ),
            (Value::Null, Some(at)) => Problem::new(
                &code::GITLAB_INCLUDE,
                at,
                format!("Included file `{}` is empty!", file.name),
            ),
            (other, _) => Problem::new(
                &code::GITLAB_FORMAT,
                body.span,
                format!(
                    "Invalid configuration format: a map of jobs and keywords is needed, here is {}",
                    other.describe()
                ),
            ),
        };
        self.session.report(problem);
    }

    /// The configuration part of a file, its inputs filled in.
    fn body(&mut self, file: &ParsedFile, source: &Source<'_>, given: &Given) -> Option<Node> {
        let session = self.session;
        let start = Span::start_of(file.id);
        let first = file
            .documents
            .first()
            .cloned()
            .unwrap_or_else(|| Node::plain("", start));
        let second = file.documents.get(1).filter(|_| first.get("spec").is_some());
        let Some(body) = second else {
            if let Some((key, _)) = first.as_map().and_then(|map| map.entry("spec")) {
                let problem = Problem::new(&code::GITLAB_HEADER, key.span, "`spec` needs a document of its own")
                    .hint("put a line `---` between the header with `spec` and the configuration");
                session.report(problem);
                self.broken = true;
                return None;
            }
            if let Some((name, _)) = given.values.first() {
                let message = "Given inputs not defined in the `spec` section of the included configuration file";
                let problem = Problem::new(&code::GITLAB_INPUT, name.span, message).hint(format!(
                    "declare them in the header of {} under `spec:inputs`",
                    file.name
                ));
                session.report(problem);
                self.broken = true;
            }
            return Some(first);
        };
        let errors = session.errors();
        let spec = header::parse(session, &first);
        let mut declared = spec.inputs;
        if !spec.include.is_empty() {
            self.shared_inputs(&spec.include, source, &mut declared);
        }
        if session.errors() > errors || session.is_waiting() {
            self.broken = true;
            return None;
        }
        let scope = self.scope(&source.place);
        let resolved = inputs::resolve(session, &declared, given);
        if session.errors() > errors {
            self.broken = true;
            return None;
        }
        let component = source.component.as_ref().filter(|_| !spec.component.is_empty());
        let interpolation = Interpolation::new(session, &resolved, component.map(|c| (c, &*spec.component)), &scope);
        let body = interpolation.document(body);
        if session.errors() > errors {
            self.broken = true;
            return None;
        }
        Some(body)
    }

    /// Inputs that a header takes from other files (`spec:include`).
    fn shared_inputs(&mut self, include: &[Node], source: &Source<'_>, declared: &mut Vec<header::Input>) {
        let session = self.session;
        if source.component.is_some() {
            let message = "spec:include cannot be used in components";
            session.error(&code::GITLAB_HEADER, include[0].span, message);
            return;
        }
        for node in include {
            for entry in entries(session, node) {
                if matches!(entry.target, Target::Template(_) | Target::Component(_)) {
                    let message = "spec:include takes only local, remote and project files";
                    session.error(&code::GITLAB_HEADER, entry.at.span, message);
                    continue;
                }
                for found in self.locate(&entry, &source.place) {
                    let Some(answer) = self.fetch(&found, &entry) else {
                        continue;
                    };
                    let file = read(session, &found.name, &answer.text);
                    session.included(file.id, entry.at.span);
                    file.problems.iter().for_each(|problem| session.report(problem.clone()));
                    if let Some(document) = file.documents.first() {
                        header::shared(session, document, declared);
                    }
                }
            }
        }
    }

    fn scope(&self, place: &Place) -> Scope<'_> {
        let layers = if place.closed { &[] } else { self.layers.as_slice() };
        Scope::new(layers.iter().collect())
    }

    /// The files that an entry stands for, each merged with what it includes itself.
    fn include(&mut self, entry: &Entry, place: &Place) -> Vec<Map> {
        if self.stopped {
            return Vec::new();
        }
        if let Some(rules) = &entry.rules {
            let scope = self.scope(place);
            match include_rules::decide(self.session, rules, &scope, &place.origin) {
                Some(true) => {}
                Some(false) | None => return Vec::new(),
            }
        }
        let mut parts = Vec::new();
        for found in self.locate(entry, place) {
            self.included += 1;
            let limit = self.session.input.context.limits.includes;
            if self.included > limit {
                let message = format!("Maximum of {limit} nested includes are allowed!");
                self.stop(&code::GITLAB_INCLUDE_LIMIT, entry.at.span, message);
                return parts;
            }
            let Some(answer) = self.fetch(&found, entry) else {
                continue;
            };
            let source = source(&found, answer);
            let given = Given::from_include(entry.inputs.as_ref(), entry.at.span);
            parts.extend(self.file(&source, &given, Some(entry.at.span)));
        }
        parts
    }

    fn stop(&mut self, code: &'static Code, at: Span, message: String) {
        if !self.stopped {
            self.session.error(code, at, message);
        }
        self.stopped = true;
        self.broken = true;
    }

    /// Which files an entry means. Problems are reported; waiting for the list of files gives none.
    fn locate(&mut self, entry: &Entry, place: &Place) -> Vec<Found> {
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

    /// The text of a file, if it is there and is what it should be.
    fn fetch(&mut self, found: &Found, entry: &Entry) -> Option<&'a FileAnswer> {
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
                        Origin::Project { project, git_ref } => {
                            let (project, git_ref) = (self.masked(project), self.masked(git_ref));
                            format!("Project `{project}` reference `{git_ref}` file `{}`", self.masked(path))
                        }
                    },
                    Request::Tree { .. } | Request::Changed { .. } | Request::LastCommits { .. } => name,
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

    fn refused(&mut self, answer: &Answer, entry: &Entry, what: &str) {
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
    fn masked(&self, text: &str) -> String {
        let secrets = self.layers.iter().flat_map(Layer::list);
        let mut secrets: Vec<&Variable> = secrets.filter(|v| v.masked && !v.value.is_empty()).collect();
        secrets.sort_by_key(|v| std::cmp::Reverse(v.value.len()));
        secrets
            .iter()
            .fold(text.to_owned(), |text, v| text.replace(&v.value, "[MASKED]"))
    }
}

/// A file of a project.
fn in_origin(origin: &Origin, path: String) -> Found {
    let path = path.trim_start_matches('/').to_owned();
    let name = match origin {
        Origin::Project { project, git_ref } => format!("{project}@{git_ref}:{path}"),
        Origin::Local | Origin::Remote | Origin::Template | Origin::Component { .. } => path.clone(),
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

fn source<'t>(found: &Found, answer: &'t FileAnswer) -> Source<'t> {
    let asked = match &found.request {
        Request::File { origin, .. } | Request::Tree { origin } => origin.clone(),
        Request::Changed { .. } | Request::LastCommits { .. } => Origin::Local,
    };
    let origin = answer.origin.clone().unwrap_or(asked);
    let component = found.component.as_ref().map(|(name, reference)| Component {
        name: name.clone(),
        reference: reference.clone(),
        sha: match &origin {
            Origin::Project { git_ref, .. } => Some(git_ref.clone()),
            Origin::Local | Origin::Remote | Origin::Template | Origin::Component { .. } => None,
        },
    });
    Source {
        name: found.name.clone(),
        text: &answer.text,
        place: Place {
            origin,
            closed: found.closed,
        },
        component,
    }
}

/// The documents of a text: header and body where the first has `spec`, else the first only.
fn read(session: &Session<'_>, name: &str, text: &str) -> std::sync::Arc<ParsedFile> {
    let limits = session.input.context.limits.yaml;
    session.parsed().get_or_read(name, text, |file| {
        let options = yaml::Options {
            file,
            schema: SCHEMA,
            merge: MergeKeys::InPlace,
            limits,
        };
        let mut problems = Vec::new();
        let mut documents = Vec::new();
        if text.len() > limits.bytes {
            let message = format!(
                "The provided YAML is too big: {} bytes, the limit is {}",
                text.len(),
                limits.bytes
            );
            problems.push(Problem::new(&code::YAML_TOO_BIG, Span::start_of(file), message));
            return (documents, problems);
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let parts = yaml::split(text);
        for part in &parts {
            match yaml::parse(*part, options, &mut problems) {
                Ok(node) => documents.push(node.unwrap_or_else(|| Node::plain("", Span::start_of(file)))),
                Err(problem) => {
                    problems.push(*problem);
                    documents.clear();
                    break;
                }
            }
            let header = documents.first().is_some_and(|first| first.get("spec").is_some());
            if documents.len() == 1 + usize::from(header) {
                break;
            }
        }
        if let Some(ignored) = parts.get(documents.len()).filter(|_| !documents.is_empty()) {
            let span = Span {
                line: ignored.line,
                length: 3,
                ..Span::start_of(file)
            };
            let message = "everything from here on is not read: it is another document";
            problems.push(Problem::new(&code::GITLAB_DOCUMENTS, span, message));
        }
        (documents, problems)
    })
}
