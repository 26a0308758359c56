//! The part of the binary that works inside a sandbox: checkout, caches, artifacts.
//!
//! It is a subcommand (`tasuki guest`): one JSON [`Request`] on standard input, text for people on standard error,
//! one JSON [`Response`] on standard output, exit code 0 when [`Response::failure`] is absent, 1 for a fault of the
//! job, 3 for a fault of ours. Secrets come in the request, never in an argument or a URL. Where the sandbox is this very machine the same work may run in-process.

mod archive;
mod artifacts;
mod cache;
mod checkout;
pub(crate) mod confined;
mod context;
mod digest;
mod error;
mod git;
mod http;
pub(crate) mod inside;
mod keyed;
mod main;
mod request;
mod response;
mod selection;
mod serve;
mod snapshot;
mod store_path;

pub use context::Context;
pub use main::main;
pub use request::{
    ArtifactFile, ArtifactSource, CacheEntry, Checkout, ClearWorktree, Compression, Coordinator, Credentials,
    Dependency, DigestFiles, DownloadArtifacts, Format, KeyedPlace, KeyedStore, Request, RestoreCache, RestoreKeyed,
    SaveCache, SaveKeyed, Selection, Snapshot, StorePath, StoredAs, Strategy, SubmoduleStrategy, Submodules, Tls,
    UploadArtifacts,
};
pub use response::{Failure, Report, Response};
pub use serve::serve;
