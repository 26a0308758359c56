//! What starts a workflow: `on`.

mod cron;
mod event;
mod filter;
mod glob;
mod inputs;
mod parse;

pub(super) use filter::Verdict;
pub(super) use inputs::{Input, InputKind, default_value, given};
pub(super) use parse::{Call, On, Required, parse};
