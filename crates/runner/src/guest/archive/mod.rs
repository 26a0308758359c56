//! Archives: streaming out, confined in.
//!
//! Zip is what the runner protocol demands. Writing is ours, because no crate writes one zip on several cores from a stream:
//! files are compressed beside one another, large ones in blocks, and written in order with flat memory. The same container
//! with zstd inside is what we use between our own: parallel in both directions. Reading a zip's directory is the `zip`
//! crate's; unpacking goes through [`super::confined`] and obeys [`Limits`].

mod compress;
mod gzip;
mod limits;
mod tar;
mod unpack;
mod unzip;
mod zip;
mod zip_format;

pub(super) use gzip::write as write_gzip;
pub(super) use limits::Limits;
pub(super) use tar::write as write_tar;
pub(super) use unpack::unpack;
pub(super) use zip::{Method, write as write_zip};
