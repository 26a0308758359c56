//! From the text of a CI configuration to a [`Plan`](tasuki_model::plan::Plan), or to [`Diagnostic`]s.
//!
//! Pure: no I/O, no clock, no threads. What a configuration refers to (included files, the list of files of
//! a commit, changed paths) is asked for by value: [`compile`] returns [`Compile::Need`] with [`Request`]s,
//! the caller puts an [`Answer`] to each into [`Answers`] and calls again, until it gets [`Compile::Done`].
//! The same input and answers always give the same output.
//!
//! Bad input never panics and is never an early return: it gives diagnostics with file, line, column, the
//! chain of includes that led there and, where there is one, a remedy.
//!
//! | Room | What may go there |
//! |---|---|
//! | `yaml` | text → tree with positions; the type rules of YAML 1.1 and 1.2; limits |
//! | `form` | what a configuration asks of whoever starts it by hand |
//! | `diag` | diagnostics, the registry of their codes, how they are printed |
//! | `lang/<name>` | one configuration language: loads, merges and checks its files, and writes the Plan |

mod compile;
mod context;
pub mod diag;
pub mod form;
pub mod lang;
mod request;
mod session;
pub mod yaml;

pub use compile::{Compile, Input, Output, Skip, compile, compile_with, lint};
pub use context::{Context, Limits, Part, PipelineInfo, ProjectInfo, ScopedVariable, ServerInfo, VariableLevel};
pub use diag::{Diagnostic, Severity};
pub use request::{Answer, Answers, FileAnswer, Origin, Refusal, Request, Tree};
pub use session::{Mode, Session};
