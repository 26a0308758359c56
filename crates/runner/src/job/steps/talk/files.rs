//! Files in which a step leaves values: `NAME=value`, or `NAME<<MARK`, lines, `MARK`.

/// The values of a file, in order.
///
/// # Errors
/// What is wrong, with its line.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let number = at + 1;
        let equals = line.find('=');
        let heredoc = line.find("<<");
        let (name, value) = match (equals, heredoc) {
            (Some(equals), heredoc) if heredoc.is_none_or(|heredoc| equals < heredoc) => {
                (&line[..equals], line[equals + 1..].to_owned())
            }
            (_, Some(heredoc)) => {
                let mark = &line[heredoc + 2..];
                if mark.is_empty() {
                    return Err(format!("line {number}: there is no mark after `<<`"));
                }
                let mut inner = Vec::new();
                loop {
                    match lines.next() {
                        Some((_, line)) if line == mark => break,
                        Some((_, line)) => inner.push(line),
                        None => return Err(format!("line {number}: the mark `{mark}` does not come")),
                    }
                }
                (&line[..heredoc], inner.join("\n"))
            }
            (Some(_) | None, None) => {
                return Err(format!("line {number}: `{line}` is neither NAME=value nor NAME<<MARK"));
            }
        };
        if name.trim().is_empty() {
            return Err(format!("line {number}: there is no name before the value"));
        }
        found.push((name.to_owned(), value));
    }
    Ok(found)
}

/// Folders for `PATH`: one a line.
pub(super) fn folders(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let check = |text: &str, expected: &str| {
            let found = match pairs(text) {
                Ok(found) => format!("{found:?}"),
                Err(problem) => problem,
            };
            assert_eq!(found, expected, "{text}");
        };
        check("A=1\n\nB=x=y\n", r#"[("A", "1"), ("B", "x=y")]"#);
        check("\u{feff}A=\r\n", r#"[("A", "")]"#);
        check(
            "A<<EOF\none\n\ntwo=2\nEOF\nB=3",
            r#"[("A", "one\n\ntwo=2"), ("B", "3")]"#,
        );
        check("A=x<<EOF\n", r#"[("A", "x<<EOF")]"#);
        check("A<<EOF\nEOF\n", r#"[("A", "")]"#);
        check("A<<EOF\none", "line 1: the mark `EOF` does not come");
        check("A<<\n", "line 1: there is no mark after `<<`");
        check(
            "ok=1\nnothing",
            "line 2: `nothing` is neither NAME=value nor NAME<<MARK",
        );
        check("=x", "line 1: there is no name before the value");
    }

    #[test]
    fn paths() {
        assert_eq!(folders("/a\n\n/b/c\r\n"), ["/a", "/b/c"]);
    }
}
