//! The tree of a file → what it says, checked key by key. Nothing is evaluated here.

mod action;
mod container;
mod job;
mod permissions;
mod step;
mod strategy;
mod workflow;

pub(super) use action::{Action, Container as ActionContainer, Runs, parse as parse_action};
pub(super) use container::{Container, Credentials};
pub(super) use job::{Body, Call, Environment, Job, JobKind, Secrets};
pub(super) use step::{Step, StepKind, Uses};
pub(super) use strategy::{Matrix, MatrixRows};
pub(super) use workflow::{Concurrency, Queue, Workflow, parse as parse_workflow};
