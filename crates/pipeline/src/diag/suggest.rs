//! "Did you mean …?"

use crate::yaml::{Kind, Node, Style};

/// Characters of a value that is repeated in a hint, at most.
const MOST_SHOWN: usize = 60;

/// How a value has to be written to be of the kind that is wanted, where a list, a boolean or one value was meant and
/// only its form is wrong. `wanted` is what the message says of it.
#[must_use]
pub fn reshaped(node: &Node, wanted: &str) -> Option<String> {
    let list = ["list", "array"].iter().any(|word| wanted.contains(word));
    let map = ["map", "hash"].iter().any(|word| wanted.contains(word));
    match &node.kind {
        Kind::Map(_) if list && !map => Some("put `- ` before its first key: that makes a list of one".to_owned()),
        Kind::Scalar(text, Style::Quoted)
            if wanted.contains("boolean") && matches!(text.as_ref(), "true" | "false" | "yes" | "no") =>
        {
            let word = if matches!(text.as_ref(), "true" | "yes") {
                "true"
            } else {
                "false"
            };
            Some(format!("write `{word}` without quotes"))
        }
        Kind::Scalar(text, _) if list && is_plain(text) => Some(format!("write it as a list: `[{text}]`")),
        Kind::Seq(items) if !list => match &items[..] {
            [one] => {
                let text = one.text().filter(|text| is_plain(text))?;
                Some(format!("write `{text}` without brackets or dash"))
            }
            _ => None,
        },
        Kind::Scalar(..) | Kind::Seq(_) | Kind::Map(_) => None,
    }
}

/// A short text of one line that can stand in a list without quotes.
fn is_plain(text: &str) -> bool {
    let special = |c: char| c.is_control() || "[]{},:#&*!|>'\"%@`".contains(c);
    !text.trim().is_empty() && text.len() <= MOST_SHOWN && !text.contains(special)
}

/// The known word that is nearest to `word` in spelling, if one is near enough to be meant.
#[must_use]
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(64).flat_map(char::to_lowercase).collect();
    let allowed = match word.len() {
        0 | 1 => return None,
        2..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    let mut best: Option<(usize, &str)> = None;
    for candidate in known.into_iter().take(20_000) {
        if candidate.chars().count().abs_diff(word.len()) > allowed {
            continue;
        }
        let distance = distance(&word, candidate);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Edits between two words: insert, delete, replace, swap of neighbours.
fn distance(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, cb) in b.iter().enumerate() {
            let mut least = (last[j] + usize::from(ca != cb)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *ca == b[j - 1] && a[i - 1] == *cb {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    fn check(word: &str, expected: Option<&str>) {
        let known = [
            "script",
            "stage",
            "stages",
            "before_script",
            "needs",
            "when",
            "tags",
            "image",
        ];
        assert_eq!(did_you_mean(word, known), expected, "{word}");
    }

    #[test]
    fn near_words_are_suggested() {
        check("scirpt", Some("script"));
        check("Script", Some("script"));
        check("befor_script", Some("before_script"));
        check("need", Some("needs"));
        check("tag", Some("tags"));
        check("x", None);
        check("completely", None);
    }
}
