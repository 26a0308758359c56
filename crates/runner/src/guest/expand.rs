//! Variables in paths, keys and names.

/// Puts variables into `text` in one pass: `$NAME` and `${NAME}`; `$$` is a dollar; an unknown name and a shell
/// special (`$1`, `$@`, `$?`) give nothing. What comes in is not looked at again.
/// Source: the expansion rules of GitLab's runner.
pub fn expand(text: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        match rest.chars().next() {
            Some('$') => {
                expanded.push('$');
                rest = &rest[1..];
            }
            Some('{') => match rest.find('}') {
                Some(end) => {
                    expanded.push_str(&variable(&rest[1..end]).unwrap_or_default());
                    rest = &rest[end + 1..];
                }
                // Not a variable after all.
                None => expanded.push('$'),
            },
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                expanded.push_str(&variable(&rest[..end]).unwrap_or_default());
                rest = &rest[end..];
            }
            Some(c) if c.is_ascii_digit() || "*#@!?-".contains(c) => rest = &rest[1..],
            Some(_) | None => expanded.push('$'),
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in_once() {
        let check = |text: &str, wanted: &str| {
            let variable = |name: &str| match name {
                "A" => Some("a".to_owned()),
                "B_1" => Some("$A".to_owned()),
                _ => None,
            };
            assert_eq!(expand(text, variable), wanted, "{text}");
        };
        check("plain", "plain");
        check("$A-${A}$A", "a-aa");
        check("$B_1/$B_1x", "$A/");
        check("$$A $$$A", "$A $a");
        check("$1$@$?x$", "x$");
        check("${A", "${A");
        check("$UNKNOWN${UNKNOWN}.", ".");
        check("ü$Aü $ü", "üaü $ü");
    }
}
