//! Artifacts: to and from the coordinator. Source: GitLab's runner protocol, artifacts.

mod download;
mod upload;

pub(super) use download::download;
pub(super) use upload::upload;
