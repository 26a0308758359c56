//! `$NAME` in text.

/// Replaces `$NAME` and `${NAME}` by what `lookup` gives, in one pass: what is put in is not looked at again.
/// `$$` stands for one `$`; the shell's own parameters (`$1`, `$@`, `$?`, …) become empty; a `$` before anything else
/// stays.
pub fn expand(text: &str, lookup: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(braced) = rest.strip_prefix('{') {
            let Some(end) = braced.find('}') else {
                out.push_str("${");
                rest = braced;
                continue;
            };
            let name = &braced[..end];
            if is_name(name) {
                out.push_str(&lookup(name));
            }
            rest = &braced[end + 1..];
        } else {
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(rest.len());
            if rest.starts_with(|c: char| c.is_ascii_digit() || "*#@!?-".contains(c)) {
                rest = &rest[1..];
            } else if end == 0 {
                out.push('$');
            } else {
                out.push_str(&lookup(&rest[..end]));
                rest = &rest[end..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        let lookup = |name: &str| match name {
            "A" => "1".to_owned(),
            "B_2" => "$A".to_owned(),
            _ => String::new(),
        };
        for (text, expected) in [
            ("plain", "plain"),
            ("$A-${A}", "1-1"),
            ("$B_2", "$A"),
            ("$$A ${B_2}x", "$A $Ax"),
            ("$NOPE|${NOPE}", "|"),
            ("$1$@$?$#|", "|"),
            ("a$", "a$"),
            ("a$ b", "a$ b"),
            ("${A", "${A"),
            ("${}", ""),
            ("ä$A→", "ä1→"),
            ("$A$A", "11"),
        ] {
            assert_eq!(expand(text, lookup), expected, "{text}");
        }
    }
}
