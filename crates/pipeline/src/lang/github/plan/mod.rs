//! What the files say → the Plan of the pipeline that the context asks for.

mod action;
mod call;
mod container;
mod event;
mod facts;
mod graph;
mod job;
mod late;
mod login;
mod matrix;
mod ports;
mod scope;
mod start;
mod steps;
mod workflow;

pub(super) use facts::github;
pub(super) use start::{Answer, asks_to_skip, is_dispatch, started};
pub(super) use workflow::{check, make};
