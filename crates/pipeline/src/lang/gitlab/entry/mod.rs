//! Every keyword of a merged configuration, checked and typed.
//!
//! One file per keyword. What is wrong is reported where it stands, and reading goes on, so that one run finds
//! everything. What is typed here is still as written: rules are not evaluated, nothing is expanded.

mod artifacts;
mod build;
mod cache;
mod check;
mod defaults;
mod environment;
mod image;
mod inputs;
mod job;
mod json;
mod needs;
mod only;
mod parallel;
mod release;
mod retry;
mod root;
mod rules;
mod script;
mod tokens;
mod trigger;
mod variables;

pub(crate) use build::Build;
pub(crate) use check::Located;
pub(crate) use environment::{EnvironmentEntry, GOOD_NAME, TIERS, is_good_name};
pub(crate) use job::{Inherit, JobEntry, Selection, Work};
pub(crate) use needs::{NeedEntry, NeedForm};
pub(crate) use only::{Policy, RefName, RefRule};
pub(crate) use parallel::{Cell, Matrix, Parallel, cell_name, cells};
pub(crate) use release::Pages;
pub(crate) use root::{Definition, read};
pub(crate) use rules::{Changes, Exists, Rule, RuleWhen};
