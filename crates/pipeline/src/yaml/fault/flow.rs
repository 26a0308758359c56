//! Brackets.

use super::page::{Page, code, from, is_idle, item, key_end, needs_quotes, without_comment};
use super::{Fault, Stop};

/// A bracket that is open where the parser stopped.
#[derive(Debug, Clone, Copy)]
struct Open {
    line: usize,
    column: usize,
    bracket: char,
}

fn closing(bracket: char) -> char {
    if bracket == '[' { ']' } else { '}' }
}

/// The column where a line's value begins with a bracket, if it does.
fn start(line: &str) -> Option<usize> {
    let (column, content) = item(line);
    if content.starts_with(['[', '{']) {
        return Some(column);
    }
    let end = key_end(content)?;
    let value = content[end + 1..].trim_start();
    let value = value.strip_prefix(['&', '!']).map_or(value, |tagged| {
        tagged.split_once(' ').map_or("", |(_, value)| value.trim_start())
    });
    let before = &content[..content.len() - value.len()];
    value.starts_with(['[', '{']).then(|| column + before.chars().count())
}

/// The brackets that are open at the place where the parser stopped.
fn open(page: &Page<'_>, stop: Stop<'_>) -> Vec<Open> {
    let last = stop.line.min(page.count().saturating_sub(1));
    let first = (0..=last).rev().find_map(|at| {
        let column = start(page.line(at)).filter(|column| at < stop.line || *column <= stop.column)?;
        Some((at, column, left_open(page, (at, column), stop)))
    });
    first.map(|(.., open)| open).unwrap_or_default()
}

fn left_open(page: &Page<'_>, from_here: (usize, usize), stop: Stop<'_>) -> Vec<Open> {
    let mut open: Vec<Open> = Vec::new();
    let mut quote = None;
    for line in from_here.0..=stop.line.min(page.count().saturating_sub(1)) {
        let first = if line == from_here.0 { from_here.1 } else { 0 };
        let mut before = ' ';
        for (column, c) in page.line(line).chars().enumerate().skip(first) {
            if line == stop.line && column >= stop.column {
                return open;
            }
            match (quote, c) {
                (Some(opened), c) if c == opened => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') if !before.is_alphanumeric() => quote = Some(c),
                (None, '#') if before.is_whitespace() => break,
                (None, '[' | '{') => open.push(Open {
                    line,
                    column,
                    bracket: c,
                }),
                (None, ']' | '}') => {
                    if open.pop_if(|last| closing(last.bracket) == c).is_some() && open.is_empty() {
                        // What follows is no longer in it.
                        return open;
                    }
                }
                (None, _) => {}
            }
            before = c;
        }
    }
    open
}

/// A bracket that is not closed, closes nothing, or a value in brackets that needs quotes.
pub(super) fn brackets(page: &Page<'_>, stop: Stop<'_>) -> Option<Fault> {
    let (line, column) = page.within(stop.line, stop.column);
    let rest = from(page.line(stop.line), stop.column);
    let here = rest.chars().next();
    if stop.info.contains("':' may not") {
        let fault = Fault::new(line, column, 1, "a space is missing after `:`");
        return Some(fault.hint("inside `{ }` a key is written `key: value`"));
    }
    let innermost = open(page, stop).last().copied();
    let Some(opened) = innermost else {
        let wrong = here.filter(|c| matches!(c, ']' | '}' | ','))?;
        let value = without_comment(rest);
        let message = match wrong {
            ',' => "a text without quotes cannot start with `,`".to_owned(),
            bracket => format!("`{bracket}` closes nothing that is open"),
        };
        let hint = match wrong {
            ',' => needs_quotes(value),
            bracket => format!("remove it; a text with `{bracket}` in front needs quotes"),
        };
        return Some(Fault::new(line, column, 1, message).hint(hint));
    };
    let end = closing(opened.bracket);
    match here {
        Some(wrong @ (']' | '}')) if wrong != end => {
            let message = format!(
                "`{wrong}` cannot close the `{}` of column {}",
                opened.bracket,
                opened.column + 1
            );
            let hint = if opened.line == line {
                format!("write `{end}`; a text with brackets in it needs quotes")
            } else {
                format!(
                    "`{}` was opened on line {}: write `{end}`",
                    opened.bracket,
                    opened.line + 1
                )
            };
            Some(Fault::new(line, column, 1, message).hint(hint))
        }
        Some(',') if stop.info.contains("node content") => {
            let message = "a value is missing before `,`";
            Some(Fault::new(line, column, 1, message).hint("remove one of the commas, or write `\"\"`"))
        }
        Some(c) if opened.line == stop.line && !c.is_whitespace() => {
            let message = format!(
                "`{c}` cannot stand here, inside the `{}` of column {}",
                opened.bracket,
                opened.column + 1
            );
            Some(Fault::new(line, column, 1, message).hint(
                "values in brackets are separated by `,`; one that has any of `{ } [ ] ,` or `: ` in it needs quotes",
            ))
        }
        _ => Some(unclosed(page, opened)),
    }
}

fn unclosed(page: &Page<'_>, opened: Open) -> Fault {
    let message = format!("the `{}` that opens here is not closed", opened.bracket);
    let content = without_comment(from(page.line(opened.line), opened.column));
    let end = closing(opened.bracket);
    let fault = Fault::new(opened.line, opened.column, 1, message);
    let is_last = (opened.line + 1..page.count()).all(|at| is_idle(page.line(at)));
    fault.hint(match content.chars().count() {
        0..=1 | 61.. => format!("write `{end}` behind its last value"),
        _ if content.ends_with(',') && !is_last => format!("write `{end}` behind its last value"),
        _ => format!("close it: {}", code(&format!("{}{end}", content.trim_end_matches(',')))),
    })
}

/// Text behind the closing bracket of a value, as in `{{ x }}-y`.
pub(super) fn behind(page: &Page<'_>, stop: Stop<'_>) -> Option<Fault> {
    let line = page.line(stop.line);
    let column = start(line).filter(|column| *column < stop.column)?;
    let before: String = line.chars().take(stop.column).collect();
    if !before.trim_end().ends_with([']', '}']) {
        return None;
    }
    let value = without_comment(from(line, column));
    let message = "there is text behind the closing bracket";
    Some(Fault::new(stop.line, stop.column, 1, message).hint(needs_quotes(value)))
}
