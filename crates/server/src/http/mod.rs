//! Everything that is reached over HTTP.
