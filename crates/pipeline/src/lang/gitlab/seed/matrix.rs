//! `$[[ matrix.NAME ]]` in `needs`: the value of the job's own matrix.

use crate::lang::gitlab::entry::Cell;

/// Replaces every block.
///
/// # Errors
/// The name that the job's matrix does not have.
pub(super) fn interpolate(text: &str, cell: &Cell) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("$[[") {
        let Some((block, after)) = after.split_once("]]") else {
            break;
        };
        let Some(name) = block.trim().strip_prefix("matrix.") else {
            out.push_str(before);
            out.push_str("$[[");
            out.push_str(block);
            out.push_str("]]");
            rest = after;
            continue;
        };
        let found = cell.iter().find(|(key, _)| key == name);
        let (_, value) = found.ok_or_else(|| name.to_owned())?;
        out.push_str(before);
        out.push_str(value);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}
