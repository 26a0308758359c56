//! The five fields of `schedule.cron`.

const MONTHS: &[&str] = &[
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const DAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Name, least, most, words for numbers from the least on.
const FIELDS: [(&str, u32, u32, &[&str]); 5] = [
    ("minute", 0, 59, &[]),
    ("hour", 0, 23, &[]),
    ("day of the month", 1, 31, &[]),
    ("month", 1, 12, MONTHS),
    ("day of the week", 0, 6, DAYS),
];

/// What is wrong with a schedule, as a sentence.
pub(super) fn check(text: &str) -> Result<(), String> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!(
            "a schedule has five fields (minute, hour, day of the month, month, day of the week), not {}",
            fields.len()
        ));
    }
    for (field, (name, least, most, words)) in fields.iter().zip(FIELDS) {
        for part in field.split(',') {
            if !is_part(part, least, most, words) {
                return Err(format!(
                    "`{part}` is no {name}: it is `*`, {least}-{most}, a range or a list of these, with `/` for steps"
                ));
            }
        }
    }
    Ok(())
}

fn is_part(part: &str, least: u32, most: u32, words: &[&str]) -> bool {
    let (range, step) = part
        .split_once('/')
        .map_or((part, None), |(range, step)| (range, Some(step)));
    let good_step = step.is_none_or(|step| step.parse::<u32>().is_ok_and(|n| n > 0 && n <= most));
    let number = |text: &str| {
        let word = words.iter().position(|word| word.eq_ignore_ascii_case(text));
        word.and_then(|at| u32::try_from(at).ok())
            .map(|at| at + least)
            .or_else(|| text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit())))
            .filter(|n| (least..=most).contains(n))
    };
    let good_range = match range.split_once('-') {
        _ if range == "*" => true,
        Some((from, to)) => matches!((number(from), number(to)), (Some(from), Some(to)) if from <= to),
        None => number(range).is_some(),
    };
    good_step && good_range
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn schedules() {
        for good in [
            "* * * * *",
            "0 14-23/2 * * 1-5",
            "*/6 */3 * 1 WED",
            "1-59 9-17 * */3 6,0",
            "* * * JAN-JUN *",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "@daily",
            "* * * *",
            "60 * * * *",
            "* * 0 * *",
            "* * * * 7",
            "5-1 * * * *",
            "*/0 * * * *",
            "+1 * * * *",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
