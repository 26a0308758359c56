//! What starts a workflow: `on`.

mod cron;
mod event;
mod filter;
mod glob;
mod inputs;
mod parse;

pub(super) use inputs::{Input, InputKind, given};
pub(super) use parse::{Call, On, Output, parse};
pub(super) use filter::{Filters, Verdict};
