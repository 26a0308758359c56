//! Names that nothing else has.

use super::{Error, Result};

/// Sixteen random hexadecimal digits.
///
/// # Errors
/// The system gives no random numbers.
pub(crate) fn unique() -> Result<String> {
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random).map_err(|error| Error::system("get random numbers", error))?;
    Ok(format!("{:016x}", u64::from_le_bytes(random)))
}
