//! Artifacts and caches: bytes in a local folder or an S3-compatible store.
