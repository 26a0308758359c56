//! Quoting for POSIX shells.

/// `text` as one word: in single quotes, a single quote as `'\''`.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for part in text.chars() {
        match part {
            '\'' => quoted.push_str("'\\''"),
            // The kernel takes no NUL in a program's arguments, and shells drop it.
            '\0' => {}
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    quoted
}
