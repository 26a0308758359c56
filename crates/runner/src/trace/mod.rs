//! The job's log: mask → timestamp → limit → spool file → upload at byte offsets.
//!
//! ```text
//! Source  →  Masker  →  QueryFilter  →  PrefixFilter  →  Utf8  →  Timestamper  ┐
//! (one chain per stream: the runner's messages, the job's stdout, its stderr)  ├→  Log (limit, CRC, spool)  →  Uploader
//!                                                                              ┘
//! ```
//! Every filter streams: text that is cut anywhere gives the same bytes as in one piece (shown by tests that
//! cut at every byte), and none holds back more than what may still become part of a match.

mod contact;
mod filter;
mod limit;
mod log;
mod masker;
mod prefix;
mod query;
mod spool;
#[cfg(test)]
mod tests;
mod timestamp;
mod upload;
mod utf8;

pub use contact::{Claim, Contact};
pub use filter::{Chain, MASK, Masks};
pub use log::{Log, LogOptions, LogStream, Source};
pub(crate) use upload::chain;
pub use upload::{FinalState, Outcome, Pace, SignOfLife, UploadOptions, Uploader};

/// The log could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot make the log's spool file in {}", dir.display())]
    Create {
        dir: std::path::PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot write the log's spool file")]
    Write(#[source] std::io::Error),
    #[error("cannot read the log's spool file")]
    Read(#[source] std::io::Error),
}
