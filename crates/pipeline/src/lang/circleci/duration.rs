//! Durations as Go writes them: `20m`, `1h30m`, `1.5h`, `90s`.

/// Whole seconds, rounded up; `None` where the text is no duration.
pub(super) fn parse(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        total += number
            * match rest[..end].trim() {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3_600.0,
                _ => return None,
            };
        rest = &rest[end..];
    }
    // Longer than a century is a slip of the pen.
    (0.0..3_200_000_000.0).contains(&total).then(|| total.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn durations() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(parse(text), expected, "{text}");
        check("20m", Some(1200));
        check("1h30m", Some(5400));
        check("1.5h", Some(5400));
        check("90s", Some(90));
        check("10ms", Some(1));
        check("20", None);
        check("m", None);
        check("", None);
        check("1d", None);
        check("1..5h", None);
    }
}
