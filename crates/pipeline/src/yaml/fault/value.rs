//! Quotes, aliases, and characters that no value starts with.

use super::page::{Page, code, from, in_quotes, indent, item, key_end, needs_quotes, shown, without_comment};
use super::{Fault, Stop};
use crate::diag::did_you_mean;
use crate::yaml::anchors::{Anchor, name, written};

/// A value that starts with a character that YAML keeps for itself.
pub(super) fn start(page: &Page<'_>, stop: Stop<'_>) -> Option<Fault> {
    let rest = from(page.line(stop.line), stop.column);
    let first = rest.chars().next()?;
    let message = format!("a text without quotes cannot start with {}", code(&first.to_string()));
    Some(Fault::new(stop.line, stop.column, 1, message).hint(needs_quotes(whole(rest))))
}

/// The value that starts here: all of the line but its comment.
fn whole(rest: &str) -> &str {
    without_comment(rest)
}

pub(super) fn alias(text: &str, page: &Page<'_>, stop: Stop<'_>) -> Option<Fault> {
    let rest = from(page.line(stop.line), stop.column);
    let sign = rest.chars().next().filter(|c| matches!(c, '*' | '&'))?;
    let wanted = name(&rest[1..]);
    let fault = |message: String| Fault::new(stop.line, stop.column, 1 + wanted.chars().count(), message);
    if wanted.is_empty() || !wanted.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c)) || wanted.starts_with('.')
    {
        let what = if sign == '*' { "an alias" } else { "an anchor" };
        let message = format!("a text without quotes cannot start with `{sign}`, which is {what} of YAML");
        return Some(fault(message).hint(needs_quotes(whole(rest))));
    }
    let here = (stop.line, stop.column);
    let known: Vec<Anchor<'_>> = written(text).collect();
    let fault = fault(format!("there is no anchor `&{wanted}` above its alias `*{wanted}`"));
    if let Some(later) = known.iter().find(|anchor| anchor.name == wanted) {
        let line = later.line + 1;
        let hint = format!("`&{wanted}` stands on line {line}: an anchor must come before its aliases");
        return Some(fault.hint(hint));
    }
    let before = known.iter().filter(|anchor| (anchor.line, anchor.column) < here);
    let hint = match did_you_mean(wanted, before.map(|anchor| anchor.name)) {
        Some(near) => format!("did you mean `*{near}`?"),
        None if whole(rest).len() > 1 + wanted.len() => needs_quotes(whole(rest)),
        None => "anchors (`&name`) must stand before their aliases (`*name`), in the same file".to_owned(),
    };
    Some(fault.hint(hint))
}

/// A quote that is not closed, closed too early, or an escape that there is not.
pub(super) fn quoted(page: &Page<'_>, stop: Stop<'_>) -> Option<Fault> {
    if stop.info.contains("trailing content") {
        return Some(behind_quote(page, stop));
    }
    let rest = from(page.line(stop.line), stop.column);
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    if ["escape", "hexadecimal"].iter().any(|word| stop.info.contains(word)) {
        return escape(page, stop);
    }
    let message = format!("the quote {} that opens here is not closed", code(&quote.to_string()));
    let fault = Fault::new(stop.line, stop.column, 1, message);
    let goes_on = ending(page, stop, quote);
    if let Some(line) = goes_on.filter(|_| stop.info.contains("indentation")) {
        let needed = indent(page.line(stop.line)) + 1;
        let message = format!("line {} of this text in quotes is not indented enough", line + 1);
        let hint = format!(
            "indent it by {needed} or more, or close the quote {quote} on line {}",
            stop.line + 1
        );
        return Some(Fault { message, ..fault }.hint(hint));
    }
    let text = without_quotes(rest, quote);
    let hint = match in_quotes(text) {
        Some(_) if text.contains(quote) => needs_quotes(text),
        Some(_) => format!("close it: {}", code(&format!("{quote}{text}{quote}"))),
        None => format!("write another {quote} where the text ends"),
    };
    Some(fault.hint(hint))
}

fn without_quotes(rest: &str, quote: char) -> &str {
    rest.strip_prefix(quote).unwrap_or(rest).trim_end()
}

/// The first line below on which the text goes on, where that does not look like the next key or item.
fn ending(page: &Page<'_>, stop: Stop<'_>, quote: char) -> Option<usize> {
    let below = (stop.line + 1..page.count()).find(|&at| !page.line(at).trim().is_empty())?;
    let content = page.line(below).trim();
    let is_structure = content.starts_with("- ") || key_end(content).is_some_and(|end| !content[..end].contains(' '));
    (!is_structure && content.contains(quote)).then_some(below)
}

fn behind_quote(page: &Page<'_>, stop: Stop<'_>) -> Fault {
    let line = page.line(stop.line);
    let (column, content) = item(line);
    let value = match key_end(content) {
        Some(end) if !content[end + 1..].trim().is_empty() => content[end + 1..].trim_start(),
        _ => content,
    };
    let message = "there is text behind the closing quote";
    let place = (stop.line, stop.column.max(column));
    let fault = Fault::new(place.0, place.1, 1, message);
    let value = whole(value);
    let inner = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
    fault.hint(match inner {
        Some(inner) => format!(
            "a {} inside single quotes is written twice: {}",
            code("'"),
            code(&format!("'{}'", shown(inner).replace('\'', "''")))
        ),
        None => needs_quotes(value),
    })
}

/// An escape in double quotes that there is not.
fn escape(page: &Page<'_>, stop: Stop<'_>) -> Option<Fault> {
    const KNOWN: &str = "0abt\tnvfre \"/\\N_LPxuU";
    let (mut line, mut column) = (stop.line, stop.column + 1);
    loop {
        let mut chars = from(page.line(line), column).chars();
        while let Some(c) = chars.next() {
            if c != '\\' {
                column += 1;
                continue;
            }
            let Some(next) = chars.next() else { break };
            if KNOWN.contains(next) && !is_short(next, chars.as_str()) {
                column += 2;
                continue;
            }
            let word = format!("\\{next}");
            if KNOWN.contains(next) {
                let message = format!("{} is followed by the digits of no character", code(&word));
                let hint = "two hexadecimal digits follow `\\x`, four `\\u`, eight `\\U`";
                return Some(Fault::new(line, column, 2, message).hint(hint));
            }
            let message = format!("{} is no escape of a text in double quotes", code(&word));
            let hint = format!("write {}, or put the text in single quotes", code(&format!("\\{word}")));
            return Some(Fault::new(line, column, 2, message).hint(hint));
        }
        (line, column) = (line + 1, 0);
        if line >= page.count() {
            return None;
        }
    }
}

/// Whether `\x`, `\u` or `\U` lacks its digits, or they are those of no character.
fn is_short(kind: char, rest: &str) -> bool {
    let digits = match kind {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return false,
    };
    let text: String = rest.chars().take(digits).collect();
    let number = u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == digits);
    number.and_then(char::from_u32).is_none()
}
