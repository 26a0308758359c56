//! Artifacts, caches and old logs: bytes in a local folder or an S3-compatible store.
//!
//! [`BlobStore`] keeps bytes under keys and knows nothing else. [`Files`] adds what the database knows of
//! them, so that no crash leaves bytes that nothing names. The [`sweeper`](Files::start_sweeper) deletes what
//! has expired or takes up too much.

mod backup;
mod error;
mod files;
mod folder;
mod key;
mod location;
pub(crate) mod member;
mod s3;
mod store;
mod sweep;
mod verify;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;

pub use backup::{Report, backup, restore};
pub use error::Error;
pub use files::{Files, Upload};
pub use folder::Folder;
pub use key::Key;
pub use location::{Location, S3Location};
pub use s3::S3;
pub use store::{BlobStore, Body, Content, Stored, body_of};
pub use sweep::{Sweeping, evictions};
