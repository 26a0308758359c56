//! What a step prints, line by line: commands are carried out, the rest goes on.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::super::place;
use super::lines::Command;
use super::matcher::{Matchers, Problem};
use crate::executor::{Output, Sandbox, Stream};
use crate::job::console::Console;
use crate::trace::LogStream;

/// Bytes of a line beyond which it is no command and goes on in parts.
const MOST_LINE: usize = 64 << 10;
/// Notes of one kind that a step may leave.
const MOST_NOTES: usize = 10;
/// Bytes of the file of a problem matcher.
const MOST_MATCHER: u64 = 1 << 20;
/// Characters of a note.
const MOST_CHARS: usize = 4_096;

const CYAN: &str = "\u{1b}[36;1m";
const YELLOW: &str = "\u{1b}[0;33m";
const RED: &str = "\u{1b}[31;1m";
const RESET: &str = "\u{1b}[0;m";

/// Takes the output of one step.
pub(super) struct Spoken<'a> {
    console: &'a Console,
    sandbox: &'a dyn Sandbox,
    inner: LogStream,
    state: Mutex<State>,
}

/// What a step said beside text.
pub(super) struct Said {
    /// Why it fails although its program did not.
    pub(super) refused: Option<String>,
    pub(super) matchers: Matchers,
    /// Of `::set-output::` and `::save-state::`.
    pub(super) outputs: Vec<(String, String)>,
    pub(super) state: Vec<(String, String)>,
}

#[derive(Default)]
struct State {
    /// Unfinished lines of stdout and stderr.
    rest: [Vec<u8>; 2],
    /// The word that makes commands count again.
    stopped: Option<String>,
    notes: [usize; 3],
    refused: Option<String>,
    matchers: Matchers,
    /// Files of matchers that are to be read before the next line.
    wanted: Vec<String>,
    outputs: Vec<(String, String)>,
    kept: Vec<(String, String)>,
}

impl<'a> Spoken<'a> {
    pub(super) fn new(console: &'a Console, sandbox: &'a dyn Sandbox, matchers: Matchers) -> Self {
        Self {
            inner: console.work(),
            console,
            sandbox,
            state: Mutex::new(State {
                matchers,
                ..State::default()
            }),
        }
    }

    /// The step has ended.
    pub(super) fn finish(self) -> Said {
        let mut state = self.lock();
        for (at, stream) in [Stream::Stdout, Stream::Stderr].into_iter().enumerate() {
            let rest = std::mem::take(&mut state.rest[at]);
            if !rest.is_empty() {
                self.line(&mut state, stream, &rest);
            }
        }
        let State {
            refused,
            matchers,
            outputs,
            kept,
            ..
        } = std::mem::take(&mut *state);
        drop(state);
        self.inner.finish();
        Said {
            refused,
            matchers,
            outputs,
            state: kept,
        }
    }

    /// Reads the files of matchers that a line has named.
    async fn load(&self, paths: Vec<String>) {
        for path in paths {
            let place = place::absolute(&path, self.sandbox.paths())
                .to_string_lossy()
                .into_owned();
            let added = match self.sandbox.pull(&place, MOST_MATCHER).await {
                Ok(Some(json)) => self.lock().matchers.add(&json),
                Ok(None) => Err("there is no such file".to_owned()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(problem) = added {
                self.inner.line(&format!(
                    "{YELLOW}Warning: the problem matcher {path}: {problem}{RESET}"
                ));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One line, with its end where it has one.
    fn line(&self, state: &mut State, stream: Stream, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let command = Command::parse(text.trim_end_matches(['\r', '\n']), state.stopped.as_deref());
        match command {
            Some(command) => self.carry_out(state, &command),
            None => {
                self.inner.put(stream, bytes);
                if let Some(problem) = state.matchers.look(text.trim_end_matches(['\r', '\n'])) {
                    self.found(state, &problem);
                }
            }
        }
    }

    /// What a matcher has found.
    fn found(&self, state: &mut State, problem: &Problem) {
        let (kind, word, colour) = match problem.severity.to_ascii_lowercase().as_str() {
            "notice" | "info" => (0, "Notice", CYAN),
            "warning" => (1, "Warning", YELLOW),
            _ => (2, "Error", RED),
        };
        let mut place = problem.file.clone();
        for part in [&problem.line, &problem.column] {
            if !place.is_empty() && !part.is_empty() {
                place.push(':');
                place.push_str(part);
            }
        }
        let parts = [place.as_str(), problem.code.as_str(), problem.message.as_str()];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        self.say(state, kind, word, colour, &parts.join(": "));
    }

    fn carry_out(&self, state: &mut State, command: &Command) {
        if state.stopped.take().is_some() {
            return;
        }
        match command.name.as_str() {
            "add-mask" => {
                let value = command.text.trim();
                if !value.is_empty() {
                    self.console.mask(value);
                    value
                        .lines()
                        .map(str::trim)
                        .filter(|line| !line.is_empty() && *line != value)
                        .for_each(|line| self.console.mask(line));
                }
            }
            "group" => self.inner.line(&format!("{CYAN}{}{RESET}", command.text)),
            "notice" => self.note(state, 0, "Notice", CYAN, command),
            "warning" => self.note(state, 1, "Warning", YELLOW, command),
            "error" => self.note(state, 2, "Error", RED, command),
            "stop-commands" => state.stopped = Some(command.text.clone()).filter(|word| !word.is_empty()),
            "set-output" => self.old(command, "GITHUB_OUTPUT", &mut state.outputs),
            "save-state" => self.old(command, "GITHUB_STATE", &mut state.kept),
            "set-env" | "add-path" => {
                let message = format!(
                    "`::{}::` is refused: write to the file $GITHUB_ENV or $GITHUB_PATH",
                    command.name
                );
                self.inner.line(&format!("{RED}Error: {message}{RESET}"));
                state.refused.get_or_insert(message);
            }
            "add-matcher" => state.wanted.push(command.text.trim().to_owned()),
            "remove-matcher" => {
                if let Some(owner) = command.property("owner") {
                    state.matchers.remove(owner);
                }
            }
            _ => {}
        }
    }

    /// A command that a file has replaced; it still counts.
    fn old(&self, command: &Command, file: &str, place: &mut Vec<(String, String)>) {
        let name = &command.name;
        match command.property("name") {
            Some(key) => place.push((key.to_owned(), command.text.clone())),
            None => self
                .inner
                .line(&format!("{YELLOW}Warning: `::{name}::` says no name{RESET}")),
        }
        self.inner.line(&format!(
            "{YELLOW}Warning: `::{name}::` is deprecated: write to the file ${file}{RESET}"
        ));
    }

    fn note(&self, state: &mut State, kind: usize, word: &str, colour: &str, command: &Command) {
        self.say(state, kind, word, colour, &command.note());
    }

    fn say(&self, state: &mut State, kind: usize, word: &str, colour: &str, text: &str) {
        state.notes[kind] += 1;
        if state.notes[kind] <= MOST_NOTES {
            let note: String = text.chars().take(MOST_CHARS).collect();
            self.inner.line(&format!("{colour}{word}: {note}{RESET}"));
        } else if state.notes[kind] == MOST_NOTES + 1 {
            self.inner
                .line(&format!("{colour}{word}: more of these are not shown{RESET}"));
        }
    }
}

#[async_trait]
impl Output for Spoken<'_> {
    async fn write(&self, stream: Stream, bytes: &[u8]) {
        let at = match stream {
            Stream::Stdout => 0,
            Stream::Stderr => 1,
        };
        let mut pending = std::mem::take(&mut self.lock().rest[at]);
        pending.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(end) = pending[start..].iter().position(|byte| *byte == b'\n') {
            let wanted = {
                let mut state = self.lock();
                self.line(&mut state, stream, &pending[start..=start + end]);
                std::mem::take(&mut state.wanted)
            };
            if !wanted.is_empty() {
                self.load(wanted).await;
            }
            start += end + 1;
        }
        pending.drain(..start);
        let mut state = self.lock();
        let shows_at_once = state.matchers.is_empty() && !may_be_command(&pending);
        if pending.len() > MOST_LINE || shows_at_once {
            self.inner.put(stream, &pending);
            pending.clear();
        }
        state.rest[at] = pending;
    }
}

/// Whether the start of a line could become a command: other text is shown at once.
fn may_be_command(start: &[u8]) -> bool {
    let text = start.trim_ascii_start();
    text.len() < 2 && b"::".starts_with(text) || text.starts_with(b"::")
}
