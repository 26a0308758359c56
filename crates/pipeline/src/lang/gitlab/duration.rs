//! Durations as GitLab reads them (`timeout`, `expire_in`, `start_in`, `auto_stop_in`): `1h 30m`, `2 weeks and 3
//! days`, `1:20:30`, `3600` (seconds), `one week`.

/// Seconds in a month (30 days) and a year, as GitLab counts them.
const MONTH: f64 = 2_592_000.0;
const YEAR: f64 = 31_557_600.0;

/// Seconds, or `None` where the text is no duration or comes to nothing.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    if let Some(seconds) = simple(text) {
        return (seconds > 0).then_some(seconds);
    }
    let text = numerals(&text.to_lowercase());
    let text = clock(&text).unwrap_or(text);
    let total = total(&words(&text)?)?;
    let rounded = total.round();
    // Beyond the upper end floats are no longer exact, and no duration makes sense.
    (1.0..9_007_199_254_740_992.0)
        .contains(&rounded)
        .then_some(rounded as u64)
}

/// `3600`, `30m`, `1 week`: what nearly all durations are.
fn simple(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u32 = text[..digits].parse().ok()?;
    let seconds = match text[digits..].trim_start_matches(' ') {
        "" => 1.0,
        word => unit(word)?,
    };
    // At most 2^32 years: exact as a float.
    Some((f64::from(number) * seconds) as u64)
}

#[derive(Clone, Copy)]
enum Word {
    Number(f64),
    Unit(f64),
}

fn unit(word: &str) -> Option<f64> {
    Some(match word {
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
        "d" | "dy" | "day" | "days" => 86_400.0,
        "w" | "wk" | "wks" | "week" | "weeks" => 604_800.0,
        "mo" | "mon" | "mos" | "month" | "months" => MONTH,
        "y" | "yr" | "yrs" | "year" | "years" => YEAR,
        _ => return None,
    })
}

/// Numbers and units; `and`, `with`, `plus` are dropped; any other word makes the whole invalid.
fn words(text: &str) -> Option<Vec<Word>> {
    let mut all = Vec::new();
    for word in spaced(text).split_whitespace() {
        let word = word.trim_matches(',');
        if word.is_empty() || matches!(word, "and" | "with" | "plus") {
            continue;
        }
        match word.parse::<f64>() {
            Ok(number) if word.starts_with(|c: char| c.is_ascii_digit() || c == '.') => all.push(Word::Number(number)),
            _ => all.push(Word::Unit(unit(word)?)),
        }
    }
    if let Some(Word::Unit(_)) = all.first() {
        all.insert(0, Word::Number(1.0));
    }
    Some(all)
}

/// Spaces around every number, so that `1h30m` falls into words.
fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut in_number = false;
    for c in text.chars() {
        let numeric = c.is_ascii_digit() || c == '.';
        if numeric != in_number {
            out.push(' ');
            in_number = numeric;
        }
        out.push(c);
    }
    out
}

/// A number counts with the unit after it, as seconds at the end, and not at all before another number.
fn total(words: &[Word]) -> Option<f64> {
    let mut sum = 0.0;
    for (at, word) in words.iter().enumerate() {
        if let Word::Number(number) = word {
            sum += match words.get(at + 1) {
                Some(Word::Unit(seconds)) => number * seconds,
                Some(Word::Number(_)) => 0.0,
                None => *number,
            };
        }
    }
    (!words.is_empty()).then_some(sum)
}

/// `1:20:30` is hours, minutes, seconds; up to years at the left.
fn clock(text: &str) -> Option<String> {
    let bare: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if !bare.contains(':') || !bare.chars().all(|c| c.is_ascii_digit() || c == ':' || c == '.') {
        return None;
    }
    let parts: Vec<&str> = bare.split(':').collect();
    let units = ["seconds", "minutes", "hours", "days", "months", "years"];
    if parts.len() > units.len() || parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    let joined: Vec<String> = parts
        .iter()
        .rev()
        .zip(units)
        .map(|(part, unit)| format!("{part} {unit}"))
        .rev()
        .collect();
    Some(joined.join(" "))
}

/// Number words into digits: `one week`, `twenty-five minutes`, `two hundred seconds`.
fn numerals(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut number: Option<u64> = None;
    for word in text.split_whitespace() {
        let parts: Vec<&str> = word.split('-').collect();
        let values: Option<Vec<Numeral>> = parts.iter().map(|part| numeral(part)).collect();
        match values {
            Some(values) => {
                for value in values {
                    number = Some(value.after(number));
                }
            }
            None => {
                out.extend(number.take().map(|n| n.to_string()));
                out.push(word.to_owned());
            }
        }
    }
    out.extend(number.map(|n| n.to_string()));
    out.join(" ")
}

#[derive(Clone, Copy)]
enum Numeral {
    Add(u64),
    Times(u64),
}

impl Numeral {
    fn after(self, before: Option<u64>) -> u64 {
        match self {
            Self::Add(n) => before.unwrap_or(0).saturating_add(n),
            Self::Times(n) => before.unwrap_or(1).saturating_mul(n),
        }
    }
}

fn numeral(word: &str) -> Option<Numeral> {
    const SMALL: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] = [
        "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
    ];
    let small = SMALL.iter().position(|known| *known == word).map(|n| n as u64);
    let tens = || TENS.iter().position(|known| *known == word).map(|n| n as u64 * 10 + 20);
    if let Some(n) = small.or_else(tens) {
        return Some(Numeral::Add(n));
    }
    match word {
        "hundred" => Some(Numeral::Times(100)),
        "thousand" => Some(Numeral::Times(1_000)),
        _ => None,
    }
}
