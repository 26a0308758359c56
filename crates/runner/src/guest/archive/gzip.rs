//! Reports: the files' contents as gzip members, one after the other.

use std::fs::File;
use std::io::{Read as _, Write};
use std::os::unix::fs::MetadataExt as _;

use super::compress;
use crate::guest::Context;
use crate::guest::error::{Error, Result};
use crate::guest::selection::Chosen;

/// Reports are small; one beyond this is none.
const MAX_REPORT: u64 = 1 << 30;

/// Writes all chosen files. Returns the size.
pub(crate) fn write(chosen: &Chosen, out: &mut dyn Write, context: &Context) -> Result<u64> {
    let mut written = 0;
    for (path, found) in chosen.entries.iter().filter(|(_, found)| found.is_file()) {
        if context.stop().is_pulled() {
            return Err(Error::Stopped);
        }
        let failed = |error| Error::job(format!("cannot read the report {}: {error}", path.display()));
        let mut data = Vec::new();
        File::open(chosen.project.join(path))
            .and_then(|file| file.take(MAX_REPORT).read_to_end(&mut data))
            .map_err(failed)?;
        let modified = u32::try_from(found.mtime()).unwrap_or(0);
        let member = compress::gzip(&data, &path.to_string_lossy(), modified).map_err(failed)?;
        out.write_all(&member).map_err(Error::io("write the report"))?;
        written += member.len() as u64;
    }
    Ok(written)
}
