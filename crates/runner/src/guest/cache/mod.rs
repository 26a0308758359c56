//! Caches: archives beside the builds, `<cache_dir>/<project slug>/<key>/cache.zip`, and in an object store where the
//! request names one. A cache never fails a job: what goes wrong is a warning, and the next key is tried.

mod key;
mod store;

pub use key::{CacheKey, clean_key, fallback_is_allowed, local_file};
pub(super) use store::{restore, save};
