//! What a step prints, line by line: commands are carried out, the rest goes on.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::lines::Command;
use crate::executor::{Output, Stream};
use crate::job::console::Console;
use crate::trace::LogStream;

/// Bytes of a line beyond which it is no command and goes on in parts.
const MOST_LINE: usize = 64 << 10;
/// Notes of one kind that a step may leave.
const MOST_NOTES: usize = 10;
/// Characters of a note.
const MOST_CHARS: usize = 4_096;

const CYAN: &str = "\u{1b}[36;1m";
const YELLOW: &str = "\u{1b}[0;33m";
const RED: &str = "\u{1b}[31;1m";
const RESET: &str = "\u{1b}[0;m";

/// Takes the output of one step.
pub(super) struct Spoken<'a> {
    console: &'a Console,
    inner: LogStream,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Unfinished lines of stdout and stderr.
    rest: [Vec<u8>; 2],
    /// The word that makes commands count again.
    stopped: Option<String>,
    notes: [usize; 3],
    refused: Option<String>,
}

impl<'a> Spoken<'a> {
    pub(super) fn new(console: &'a Console) -> Self {
        Self {
            inner: console.work(),
            console,
            state: Mutex::default(),
        }
    }

    /// The step has ended. Gives why it fails although its program did not.
    pub(super) fn finish(self) -> Option<String> {
        let mut state = self.lock();
        for (at, stream) in [Stream::Stdout, Stream::Stderr].into_iter().enumerate() {
            let rest = std::mem::take(&mut state.rest[at]);
            if !rest.is_empty() {
                self.line(&mut state, stream, &rest);
            }
        }
        let refused = state.refused.take();
        drop(state);
        self.inner.finish();
        refused
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
            None => self.inner.put(stream, bytes),
        }
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
            "set-output" | "save-state" => self.old(&command.name, "write to the file $GITHUB_OUTPUT or $GITHUB_STATE"),
            "set-env" | "add-path" => {
                let message = format!(
                    "`::{}::` is refused: write to the file $GITHUB_ENV or $GITHUB_PATH",
                    command.name
                );
                self.inner.line(&format!("{RED}Error: {message}{RESET}"));
                state.refused.get_or_insert(message);
            }
            "add-matcher" | "remove-matcher" => self.old(&command.name, "problem matchers are not supported yet"),
            _ => {}
        }
    }

    fn old(&self, name: &str, remedy: &str) {
        self.inner
            .line(&format!("{YELLOW}Warning: `::{name}::` has no effect: {remedy}{RESET}"));
    }

    fn note(&self, state: &mut State, kind: usize, word: &str, colour: &str, command: &Command) {
        state.notes[kind] += 1;
        if state.notes[kind] <= MOST_NOTES {
            let note: String = command.note().chars().take(MOST_CHARS).collect();
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
        let mut state = self.lock();
        let mut pending = std::mem::take(&mut state.rest[at]);
        pending.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(end) = pending[start..].iter().position(|byte| *byte == b'\n') {
            self.line(&mut state, stream, &pending[start..=start + end]);
            start += end + 1;
        }
        pending.drain(..start);
        if pending.len() > MOST_LINE || !may_be_command(&pending) {
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
