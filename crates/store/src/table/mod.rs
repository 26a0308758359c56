//! The tables: for each a record and plain functions over a transaction.

pub mod artifacts;
pub mod blobs;
pub mod bridges;
pub mod caches;
pub mod deliveries;
pub mod deployments;
pub mod environments;
pub mod jobs;
pub mod logs;
pub mod merge_requests;
pub mod pages;
pub mod pipelines;
pub mod projects;
pub mod releases;
pub mod resource_classes;
pub mod resource_groups;
pub mod runners;
pub mod schedules;
pub mod sessions;
pub mod settings;
pub mod tasks;
pub mod tokens;
pub mod users;
pub mod variables;
pub mod workflows;

/// A lifecycle's state as it is saved: `tag` is what queries look at, `json` holds the variant's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State<'a> {
    pub tag: &'a str,
    pub json: &'a str,
}
