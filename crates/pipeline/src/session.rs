//! One compilation: what it was given, what it found wrong, what it still has to ask.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use crate::compile::Input;
use crate::diag::{Code, Diagnostic, Problem, Severity, code};
use crate::request::{Answer, Answers, Request};
use crate::yaml::{FileId, Node, Span};

/// Findings are kept up to this many times the number that is reported, so that the reported ones can be chosen.
const KEPT: usize = 20;

/// What the compilation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A pipeline: rules are evaluated.
    Create,
    /// A static check: rules are checked, not evaluated; every job stays.
    Lint,
}

/// The state of one call of [`compile`](crate::compile). Everything below works on a shared reference to it, so
/// that a finding or a question deep in the tree needs no way back.
#[derive(Debug)]
pub struct Session<'a> {
    pub input: &'a Input<'a>,
    pub mode: Mode,
    answers: &'a Answers,
    needed: RefCell<BTreeSet<Request>>,
    problems: RefCell<Vec<Problem>>,
    errors: Cell<usize>,
    /// Findings beyond all reason, which are only counted.
    dropped: Cell<usize>,
    included_at: RefCell<HashMap<FileId, Span>>,
    merged: RefCell<Option<Node>>,
}

/// A file that has been read: once per set of answers.
#[derive(Debug)]
pub(crate) struct ParsedFile {
    pub(crate) id: FileId,
    /// As shown in diagnostics.
    pub(crate) name: String,
    pub(crate) text: Arc<str>,
    pub(crate) documents: Vec<Node>,
    pub(crate) problems: Vec<Problem>,
}

/// Files that were read for one set of answers.
#[derive(Debug, Default)]
pub(crate) struct Parsed(Mutex<Vec<Arc<ParsedFile>>>);

impl Parsed {
    /// The file of that name and text, read by `read` if it was not before.
    pub(crate) fn get_or_read(
        &self,
        name: &str,
        text: &str,
        read: impl FnOnce(FileId) -> (Vec<Node>, Vec<Problem>),
    ) -> Arc<ParsedFile> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = files.iter().find(|file| file.name == name && *file.text == *text) {
            return known.clone();
        }
        let id = FileId(u16::try_from(files.len()).unwrap_or(u16::MAX));
        let (documents, problems) = read(id);
        let file = Arc::new(ParsedFile {
            id,
            name: name.to_owned(),
            text: Arc::from(text),
            documents,
            problems,
        });
        files.push(file.clone());
        file
    }

    /// How many files were read.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn file(&self, id: FileId) -> Option<Arc<ParsedFile>> {
        let files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.get(usize::from(id.0)).cloned()
    }
}

impl<'a> Session<'a> {
    pub(crate) fn new(input: &'a Input<'a>, answers: &'a Answers, mode: Mode) -> Self {
        Self {
            input,
            mode,
            answers,
            needed: RefCell::default(),
            problems: RefCell::default(),
            errors: Cell::new(0),
            dropped: Cell::new(0),
            included_at: RefCell::default(),
            merged: RefCell::default(),
        }
    }

    /// The answer to a request. `None`: it is not known yet; it has been noted, the compilation ends with
    /// [`Compile::Need`](crate::Compile::Need) and its result counts for nothing. Go on where that is possible,
    /// so that everything that is needed is asked for at once.
    pub fn ask(&self, request: Request) -> Option<&'a Answer> {
        let answer = self.answers.get(&request);
        if answer.is_none() {
            self.needed.borrow_mut().insert(request);
        }
        answer
    }

    /// Whether something had to be asked, so that the result will not count.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.needed.borrow().is_empty()
    }

    /// Notes a finding.
    pub fn report(&self, problem: Problem) {
        if problem.code.severity == Severity::Error {
            self.errors.set(self.errors.get() + 1);
        }
        let limit = self.input.context.limits.diagnostics;
        let is_error = problem.code.severity == Severity::Error;
        let mut problems = self.problems.borrow_mut();
        // A flood of warnings must not wash away the errors after it.
        if problems.len() < limit.saturating_mul(KEPT) || (is_error && self.errors.get() <= limit) {
            problems.push(problem);
        } else {
            self.dropped.set(self.dropped.get() + 1);
        }
    }

    /// Notes a finding without a hint.
    pub fn error(&self, code: &'static Code, span: Span, message: impl Into<String>) {
        self.report(Problem::new(code, span, message));
    }

    /// Errors so far. Compare before and after to know whether a part was good.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.errors.get()
    }

    /// Whether a search for near words among many names is still worth its time: after the first hundred errors
    /// nobody reads the hints.
    #[must_use]
    pub fn may_suggest(&self) -> bool {
        self.errors() < 100
    }

    /// `file:line:column` of a place.
    #[must_use]
    pub fn place(&self, span: Span) -> String {
        let name = self
            .answers
            .parsed
            .file(span.file)
            .map_or_else(String::new, |file| file.name.clone());
        format!("{name}:{}:{}", span.line, span.column)
    }

    pub(crate) fn parsed(&self) -> &'a Parsed {
        &self.answers.parsed
    }

    /// Remembers where a file was first included.
    pub(crate) fn included(&self, file: FileId, at: Span) {
        self.included_at.borrow_mut().entry(file).or_insert(at);
    }

    /// Keeps the merged configuration for people to look at.
    pub(crate) fn show_merged(&self, merged: Node) {
        self.merged.replace(Some(merged));
    }

    pub(crate) fn take_merged(&self) -> Option<Node> {
        self.merged.take()
    }

    /// What has to be asked, and the diagnostics: errors and warnings in the order of files and lines.
    pub(crate) fn finish(self) -> (Vec<Request>, Vec<Diagnostic>) {
        let mut problems = self.problems.take();
        let key = |p: &Problem| (p.span.file, p.span.line, p.span.column, p.code.name);
        problems.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message)));
        problems.dedup_by(|a, b| a.span == b.span && a.code.name == b.code.name && a.message == b.message);
        let limit = self.input.context.limits.diagnostics;
        let total = problems.len() + self.dropped.get();
        if total > limit {
            // Errors first: a flood of warnings must not hide them.
            problems.sort_by_key(|problem| problem.code.severity);
            problems.truncate(limit);
            let last = problems.last().map_or_else(Span::default, |p| p.span);
            let message = format!("{} more findings are not shown", total - limit);
            problems.push(Problem::new(&code::TOO_MANY, last, message));
        }
        let diagnostics = problems.into_iter().map(|problem| self.diagnostic(problem)).collect();
        (self.needed.take().into_iter().collect(), diagnostics)
    }

    fn diagnostic(&self, problem: Problem) -> Diagnostic {
        let mut trail = problem.trail;
        let mut file = problem.span.file;
        let included_at = self.included_at.borrow();
        // A chain longer than the number of files is a circle.
        for _ in 0..included_at.len() {
            let Some(at) = included_at.get(&file).filter(|at| at.file != file) else {
                break;
            };
            trail.push(format!("included from {}", self.place(*at)));
            file = at.file;
        }
        let name = self.answers.parsed.file(problem.span.file);
        Diagnostic {
            severity: problem.code.severity,
            code: problem.code.name,
            message: problem.message,
            file: name.map_or_else(|| self.input.file.to_owned(), |file| file.name.clone()),
            line: problem.span.line,
            column: problem.span.column,
            length: problem.span.length,
            hint: problem.hint,
            trail,
        }
    }
}
