//! What can go wrong with logs.

/// What can go wrong with logs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the database failed")]
    Store(#[from] tasuki_store::Error),
    #[error("an old part of the log cannot be read")]
    Blobs(#[from] crate::blobs::Error),
    #[error("an old part of the log could not be received")]
    Receive(#[source] std::io::Error),
    /// A sealed part is not what was sealed.
    #[error("the part of the log at byte {start} is damaged")]
    Damaged { start: i64 },
    #[error("the log could not be packed")]
    Pack(#[source] std::io::Error),
    /// Other servers append to the same log faster than this one can.
    #[error("the log changes too fast; try again")]
    Contended,
    #[error("the server is stopping")]
    Stopping,
}
