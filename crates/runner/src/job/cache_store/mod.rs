//! `[runners.cache]`: an object store that keeps caches for other machines.
//!
//! The guest gets signed addresses, one for each object and only for as long as a request may take; the keys of the
//! store never leave this process.
//!
//! | File | Store | How an address is signed |
//! |---|---|---|
//! | [`s3`] | S3 and what speaks like it | signature version 4 in the query, by keys of the configuration or of [`aws`] |
//! | [`gcs`] | Google Cloud Storage | `GOOG4-RSA-SHA256` by a service account's key |
//! | [`azure`] | Azure Blob Storage | service SAS by the account's key |

mod aws;
mod azure;
mod gcs;
mod path;
mod s3;
mod store;

pub use aws::{AwsSurroundings, Keyring};
pub(super) use path::object_name;
pub(crate) use store::cache_problem;
pub(super) use store::{CacheStore, Signed};
