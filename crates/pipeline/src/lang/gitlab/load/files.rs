//! Reads a file with all that it includes.

use std::collections::HashSet;

use super::entry::{Entry, Target, entries};
use super::inputs::Given;
use super::interpolate::{Component, Interpolation};
use super::locate::Found;
use super::read::read;
use super::{SCHEMA, header, include_rules, inputs, merge};
use crate::Session;
use crate::diag::{Code, Problem, code};
use crate::lang::gitlab::predefined;
use crate::lang::gitlab::variables::{Layer, Scope, VariableSource, settings};
use crate::request::{FileAnswer, Origin, Request};
use crate::session::ParsedFile;
use crate::yaml::{FileId, Map, MapBuilder, Node, Span, Value};

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

/// Reads files; counts them.
pub(super) struct Files<'s, 'a> {
    pub(super) session: &'s Session<'a>,
    pub(super) layers: Vec<Layer>,
    included: usize,
    bytes: usize,
    /// A limit was reached: nothing more is read.
    stopped: bool,
    /// Something could not be read, so what follows would only be noise.
    pub(super) broken: bool,
    pub(super) seen: HashSet<(Origin, String)>,
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
        let mut merged = MapBuilder::default();
        for entry in entries(session, include) {
            for part in self.include(&entry, &source.place) {
                merge::lay_over(&mut merged, &part);
            }
        }
        if session.errors() > errors {
            self.broken = true;
        }
        let is_include = |key: &Node| key.text().is_some_and(|text| &**text == "include");
        let own = map.iter().filter(|(key, _)| !is_include(key)).cloned().collect();
        merge::lay_over(&mut merged, &Map::from_unique(own));
        Some(merged.finish())
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
            (other, _) => {
                let text = format!(
                    "Invalid configuration format: a map of jobs and keywords is needed, here is {}",
                    other.describe()
                );
                let problem = Problem::new(&code::GITLAB_FORMAT, body.span, text);
                match other {
                    Value::Text(_) => problem.hint("is a colon missing after the first word?"),
                    Value::Seq(_) => problem.hint("leave out the dashes at the beginning of the lines"),
                    _ => problem.hint("write keys with a colon behind them, for example `job: {script: make}`"),
                }
            }
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
                if matches!(
                    entry.target,
                    Target::Template(_) | Target::Component(_) | Target::Artifact { .. }
                ) {
                    let message = "spec:include takes only local, remote and project files";
                    session.error(&code::GITLAB_HEADER, entry.at.span, message);
                    continue;
                }
                for found in self.locate(&entry, &source.place) {
                    if !self.count(&entry) {
                        return;
                    }
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

    pub(super) fn scope(&self, place: &Place) -> Scope<'_> {
        let layers = if place.closed { &[] } else { self.layers.as_slice() };
        Scope::new(layers.iter().map(|layer| layer as &dyn VariableSource).collect())
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
            if !self.count(entry) {
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

    /// Counts an included file; false where it is one too many.
    fn count(&mut self, entry: &Entry) -> bool {
        self.included += 1;
        let limit = self.session.input.context.limits.includes;
        if self.included > limit {
            let message = format!("Maximum of {limit} nested includes are allowed!");
            self.stop(&code::GITLAB_INCLUDE_LIMIT, entry.at.span, message);
        }
        self.included <= limit
    }

    fn stop(&mut self, code: &'static Code, at: Span, message: String) {
        if !self.stopped {
            self.session.error(code, at, message);
        }
        self.stopped = true;
        self.broken = true;
    }
}

fn source<'t>(found: &Found, answer: &'t FileAnswer) -> Source<'t> {
    let asked = match &found.request {
        // What a job made belongs to the project: its own includes are read there.
        Request::File {
            origin: Origin::Artifact { .. },
            ..
        } => Origin::Local,
        Request::File { origin, .. } | Request::Tree { origin } => origin.clone(),
        Request::Changed { .. } | Request::LastCommits { .. } | Request::Orb { .. } => Origin::Local,
    };
    let origin = answer.origin.clone().unwrap_or(asked);
    let component = found.component.as_ref().map(|(name, reference)| Component {
        name: name.clone(),
        reference: reference.clone(),
        sha: match &origin {
            Origin::Project { git_ref, .. } => Some(git_ref.clone()),
            Origin::Local | Origin::Remote | Origin::Template | Origin::Component { .. } | Origin::Artifact { .. } => {
                None
            }
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
