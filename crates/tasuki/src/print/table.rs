//! Tables with columns as wide as their widest cell, and times as people read them.

use std::fmt::Write as _;
use std::time::Duration;

use tasuki_proto::rest::Time;

/// Rows of cells below a heading. Cells may hold colour codes, which take no room.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heading: &[&str]) -> Self {
        Self {
            rows: vec![heading.iter().map(|&cell| cell.to_owned()).collect()],
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as text; nothing at all without rows.
    pub(crate) fn text(&self) -> String {
        if self.rows.len() < 2 {
            return String::new();
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| width(cell))
                .max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or(0)).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut text = String::new();
            for (cell, wide) in row.iter().zip(&widths) {
                let _ = write!(text, "{cell}{}  ", " ".repeat(wide.saturating_sub(width(cell))));
            }
            out.push_str(text.trim_end());
            out.push('\n');
        }
        out
    }
}

/// Characters that are seen: colour codes are not.
fn width(text: &str) -> usize {
    let mut seen = 0;
    let mut code = false;
    for c in text.chars() {
        match (code, c) {
            (false, '\x1b') => code = true,
            (true, 'm') => code = false,
            (true, _) => {}
            (false, _) => seen += 1,
        }
    }
    seen
}

/// `3m 12s`, `450ms`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => format!("{}ms", time.as_millis()),
        (0, 0, s) if s < 10 => format!("{:.1}s", time.as_secs_f64()),
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m {s}s"),
        (h, m, _) => format!("{h}h {m}m"),
    }
}

/// `3m 12s ago`, by this machine's clock.
pub(crate) fn ago(then: Time, now_ms: i64) -> String {
    let past = u64::try_from(now_ms.saturating_sub(then.0.0)).unwrap_or(0);
    if past < 1000 {
        "now".to_owned()
    } else {
        format!("{} ago", duration(Duration::from_millis(past)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_their_colours() {
        let mut table = Table::new(&["ID", "STATUS", "NAME"]);
        table.row(["1".to_owned(), "\x1b[32msuccess\x1b[0m".to_owned(), "a".to_owned()]);
        table.row(["100".to_owned(), "failed".to_owned(), "b".to_owned()]);
        assert_eq!(
            table.text(),
            "ID   STATUS   NAME\n1    \x1b[32msuccess\x1b[0m  a\n100  failed   b\n"
        );
        assert_eq!(Table::new(&["ID"]).text(), "");
    }

    #[test]
    fn durations_are_short() {
        for (ms, expected) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_500, "1.5s"),
            (59_999, "59s"),
            (61_000, "1m 1s"),
            (3_660_000, "1h 1m"),
        ] {
            assert_eq!(duration(Duration::from_millis(ms)), expected);
        }
    }
}
