//! Indentation, keys and lists.

use super::page::{
    Page, code, from, in_quotes, indent, is_idle, item, key_end, needs_quotes, shown, spaces, without_comment,
};
use super::{Fault, Stop};

/// A tab where blanks belong.
pub(super) fn tab(page: &Page<'_>, stop: Stop<'_>) -> Option<Fault> {
    const REMEDY: &str = "YAML takes spaces only: replace the tab by spaces";
    let has_tab = |at: usize| {
        let line = page.line(at);
        line.chars().take_while(|c| c.is_whitespace()).position(|c| c == '\t')
    };
    // A text that goes on in the next line is told of where it begins.
    let mut lines = stop.line..page.count().min(stop.line.saturating_add(2));
    if let Some((line, column)) = lines.find_map(|at| Some((at, has_tab(at)?))) {
        let fault = Fault::new(line, column, 1, "this line is indented by a tab");
        return Some(match page.above(line) {
            Some(above) => {
                let wanted = indent(page.line(above)) + if key_only(page.line(above)) { 2 } else { 0 };
                fault.hint(format!("{REMEDY}, for instance {wanted}"))
            }
            None => fault.hint(REMEDY),
        });
    }
    let column = page.line(stop.line).chars().position(|c| c == '\t')?;
    Some(Fault::new(stop.line, column, 1, "a tab cannot stand here").hint(REMEDY))
}

/// Whether a line is a key without a value.
fn key_only(line: &str) -> bool {
    let (_, content) = item(line);
    key_end(content).is_some_and(|end| without_comment(&content[end + 1..]).is_empty())
}

/// A colon where a value is under way.
pub(super) fn second_colon(page: &Page<'_>, stop: Stop<'_>) -> Option<Fault> {
    let line = page.line(stop.line);
    let (column, content) = item(line);
    let first = column + content[..key_end(content)?].chars().count();
    if first < stop.column {
        let end = key_end(content)?;
        // A line of a script is one text; `key: a: b` is a key and its value.
        let value = if is_word(&content[..end]) {
            &content[end + 1..]
        } else {
            content
        };
        let value = without_comment(value);
        let message = "a text without quotes has `: ` in it";
        return Some(Fault::new(stop.line, stop.column, 1, message).hint(needs_quotes(value)));
    }
    let above = page.above(stop.line)?;
    let (start, before) = item(page.line(above));
    let key = &content[..key_end(content)?];
    match key_end(before) {
        Some(end) if indent(line) > indent(page.line(above)) => {
            let message = format!(
                "`{}` is indented deeper than line {}, which has a value already",
                shown(key),
                above + 1
            );
            let own = shown(&before[..end]);
            let hint = format!(
                "indent it {}, as `{own}`, or put it below a key that has no value on its line",
                spaces(start)
            );
            Some(Fault::new(stop.line, column, key.chars().count(), message).hint(hint))
        }
        Some(_) => None,
        None => Some(word_alone(page, above)),
    }
}

/// A line of a map that is no `key: value`.
pub(super) fn no_colon(page: &Page<'_>, stop: Stop<'_>) -> Option<Fault> {
    let own = page.line(stop.line);
    let before_it: String = own.chars().take(stop.column).collect();
    let at = if before_it.trim().is_empty() || stop.line >= page.count() {
        page.above(stop.line)?
    } else {
        stop.line
    };
    let line = page.line(at);
    // A line that left the block of text that it belongs to.
    let block = (0..at)
        .rev()
        .find(|&above| !is_idle(page.line(above)) && indent(page.line(above)) <= indent(line));
    if let Some(block) = block.filter(|&above| opens_block(page.line(above)))
        && let Some(first) = (block + 1..at).find(|&line| !page.line(line).trim().is_empty())
    {
        let wanted = indent(page.line(first));
        let message = format!(
            "this line is indented less than the text that begins on line {}",
            first + 1
        );
        let length = line.trim().chars().count();
        return Some(Fault::new(at, indent(line), length, message).hint(format!(
            "indent it {} if it belongs to the text; else a line of a map is `key: value`",
            spaces(wanted)
        )));
    }
    Some(word_alone(page, at))
}

/// Whether a line ends with the sign of a block of text.
fn opens_block(line: &str) -> bool {
    let content = without_comment(line);
    let word = content.rsplit([' ', '\t']).next().unwrap_or_default();
    word.starts_with(['|', '>']) && word[1..].chars().all(|c| matches!(c, '+' | '-') || c.is_ascii_digit())
}

/// Whether a text is a single word, as most keys are.
fn is_word(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c))
}

/// A line without a colon where a key is wanted.
fn word_alone(page: &Page<'_>, at: usize) -> Fault {
    let (column, content) = item(page.line(at));
    let content = without_comment(content);
    for sign in [":", "="] {
        let Some((key, value)) = content.split_once(sign).filter(|(key, _)| is_word(key.trim_end())) else {
            continue;
        };
        let place = column + key.chars().count();
        let message = if sign == ":" {
            "a space is missing after `:`".to_owned()
        } else {
            format!("`{}` is followed by `=` instead of `:`", key.trim_end())
        };
        let pair = shown(&format!("{}: {}", key.trim_end(), value.trim_start()));
        return Fault::new(at, place, 1, message).hint(format!("write {}", code(&pair)));
    }
    let length = content.chars().count();
    let fault = Fault::new(at, column, length, "a `:` is missing: a line of a map is `key: value`");
    if content.chars().all(|c| c == '-') {
        return fault.hint("a line that begins a document has three dashes: `---`");
    }
    if is_word(content) {
        return fault.hint(format!(
            "write `{content}: …`, or indent it as the text that it belongs to"
        ));
    }
    fault.hint(
        "write `key: value`, or `- ` in front if it is an item of a list, or indent it as the text that it belongs to",
    )
}

/// A line that does not belong to the map or list around it.
pub(super) fn stranger(page: &Page<'_>, stop: Stop<'_>) -> Option<Fault> {
    let line = page.line(stop.line);
    let depth = indent(line);
    if line.trim().is_empty() {
        return None;
    }
    let content = from(line, depth);
    let is_item = content == "-" || content.starts_with("- ");
    let before: String = line.chars().take(stop.column).collect();
    if stop.info.contains("sequence entries") && !before.trim().is_empty() {
        let message = "a list cannot begin on the line of its key";
        let value = without_comment(from(line, stop.column + 1));
        let hint = match in_quotes(value) {
            Some(_) if !value.contains([',', '[', '{', ':']) => {
                format!("begin it on the next line, or write {}", code(&format!("[{value}]")))
            }
            _ => "begin it on the next line".to_owned(),
        };
        return Some(Fault::new(stop.line, stop.column, 1, message).hint(hint));
    }
    if !before.trim().trim_start_matches(['-', ' ']).is_empty() {
        let rest = without_comment(from(line, stop.column));
        let message = format!("{} cannot stand here", code(&shown(rest)));
        let hint = "one value ends before it: a text needs quotes around all of it, and a value has one anchor (`&name`) and one tag (`!tag`)";
        return Some(Fault::new(stop.line, stop.column, rest.chars().count(), message).hint(hint));
    }
    let length = if is_item {
        1
    } else {
        key_end(content).map_or(1, |end| content[..end].chars().count())
    };
    let fault = |message: String| Fault::new(stop.line, depth, length, message);
    let levels = levels(page, stop.line);
    if let Some(level) = levels
        .iter()
        .find(|level| level.indent == depth && level.is_item != is_item)
    {
        return Some(if is_item {
            fault(format!(
                "an item of a list stands among the keys of a map (line {})",
                level.line + 1
            ))
            .hint("indent it deeper if it belongs to the key above; a map has no items")
        } else {
            let deeper = item(page.line(level.line)).0;
            fault(format!(
                "a key stands among the items of a list (line {})",
                level.line + 1
            ))
            .hint(format!(
                "indent it {} if it belongs to the item, less if the list has ended, or write `- ` in front",
                spaces(deeper)
            ))
        });
    }
    let fits: Vec<String> = levels
        .iter()
        .filter(|level| level.is_item == is_item)
        .map(|level| format!("{} as line {}", spaces(level.indent), level.line + 1))
        .collect();
    let what = if is_item { "this item" } else { "this key" };
    let fault = fault(format!("{what} is indented {}, as nothing above it", spaces(depth)));
    Some(match fits.is_empty() {
        true => fault.hint("indent what stands side by side by the same number of spaces"),
        false => fault.hint(format!("indent it {}", fits.join(", or "))),
    })
}

/// What a line may stand beside.
struct Level {
    indent: usize,
    line: usize,
    is_item: bool,
}

/// The levels that are open above a line, deepest first.
fn levels(page: &Page<'_>, at: usize) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::new();
    let mut least = usize::MAX;
    for line in (0..at.min(page.count())).rev() {
        let text = page.line(line);
        if is_idle(text) || text.starts_with("---") {
            continue;
        }
        let depth = indent(text);
        let content = from(text, depth);
        let is_item = content == "-" || content.starts_with("- ");
        let (inner, rest) = item(text);
        // An item that is a map opens two levels.
        if is_item && inner < least && key_end(rest).is_some() {
            levels.push(Level {
                indent: inner,
                line,
                is_item: false,
            });
        }
        if depth < least && (is_item || key_end(content).is_some()) {
            least = depth;
            levels.push(Level {
                indent: depth,
                line,
                is_item,
            });
        }
        if least == 0 {
            break;
        }
    }
    levels
}

/// A block of text whose first line is wrong.
pub(super) fn block(page: &Page<'_>, stop: Stop<'_>) -> Option<Fault> {
    let (line, column) = page.within(stop.line, stop.column);
    if stop.info.contains("wrongly indented") {
        let fault = Fault::new(
            line,
            column,
            1,
            "a line of this block of text is indented less than a blank line before it",
        );
        return Some(fault.hint("remove the blanks of the empty lines at the start of the block"));
    }
    let rest = without_comment(from(page.line(stop.line), stop.column));
    let sign = rest.chars().next().filter(|c| matches!(c, '|' | '>'))?;
    let fault = Fault::new(
        line,
        column,
        rest.chars().count(),
        format!("there is text behind `{sign}`"),
    );
    Some(fault.hint(format!(
        "a block of text begins on the line below its `{sign}`; a value that starts with `{sign}` needs quotes{}",
        in_quotes(rest).map(|quoted| format!(": {}", code(&quoted))).unwrap_or_default()
    )))
}

/// Something behind the end of the document.
pub(super) fn outside(page: &Page<'_>, stop: Stop<'_>) -> Option<Fault> {
    let (line, _) = page.within(stop.line, stop.column);
    let directive = (0..=line).rev().find(|&at| page.line(at).starts_with('%'));
    if let Some(at) = directive.filter(|at| line - at <= 1) {
        let text = page.line(at);
        let length = text.split_whitespace().next().unwrap_or_default().chars().count();
        let fault = Fault::new(at, 0, length, "a line that starts with `%` is a directive of YAML");
        return Some(fault.hint("put the key in quotes"));
    }
    let text = page.line(line);
    let fault = Fault::new(
        line,
        indent(text),
        text.trim().chars().count(),
        "this line is outside of what the file begins with",
    );
    Some(match page.above(line) {
        Some(above) if key_end(item(page.line(above)).1).is_none() && !page.line(above).contains(['[', '{']) => {
            word_alone(page, above)
        }
        _ => fault.hint("a file is one map (`key: value`) or one list; what is in brackets ends with the last of them"),
    })
}
