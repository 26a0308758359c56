//! Words and numbers as pages show them.

use tasuki_model::time::Timestamp;
use tasuki_proto::rest::{Status, Time};

use super::log::escape;

/// A status: its class in the style sheet and its word for people.
#[derive(Debug, Clone, Copy)]
pub(super) struct StatusView {
    pub(super) class: &'static str,
    pub(super) word: &'static str,
}

impl From<Status> for StatusView {
    fn from(status: Status) -> Self {
        Self {
            class: status.as_str(),
            word: word(status),
        }
    }
}

/// The word for people.
pub(super) fn word(status: Status) -> &'static str {
    match status {
        Status::Created => "waiting",
        Status::WaitingForResource => "waiting for its turn",
        Status::Manual => "manual",
        Status::Scheduled => "scheduled",
        Status::Pending => "pending",
        Status::Running => "running",
        Status::Canceling => "canceling",
        Status::Success => "passed",
        Status::Failed => "failed",
        Status::Error => "system failure",
        Status::Canceled => "canceled",
        Status::Skipped => "skipped",
    }
}

/// How long something took, or takes.
#[derive(Debug, Clone)]
pub(super) enum Took {
    NotStarted,
    /// Since then; the page counts on.
    Running(String),
    Ended(String),
}

impl Took {
    pub(super) fn new(started: Option<Time>, finished: Option<Time>) -> Self {
        match (started, finished) {
            (None, _) => Self::NotStarted,
            (Some(from), None) => Self::Running(from.to_string()),
            (Some(from), Some(to)) => Self::Ended(duration(Timestamp::from(to).since(from.into()))),
        }
    }

    /// The text of something that ended.
    pub(super) fn ended(self) -> Option<String> {
        match self {
            Self::Ended(text) => Some(text),
            Self::NotStarted | Self::Running(_) => None,
        }
    }
}

/// `840 ms`, `12 s`, `3 min 5 s`, `2 h 10 min`.
pub(super) fn duration(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `512 B`, `1.4 MB`.
pub(super) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    if unit == "B" {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// A sentence as HTML: what stands between a pair of backticks is code.
pub(super) fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('`') {
        let Some((code, left)) = after.split_once('`') else {
            break;
        };
        escape(before, &mut out);
        out.push_str("<code>");
        escape(code, &mut out);
        out.push_str("</code>");
        rest = left;
    }
    escape(rest, &mut out);
    out
}

/// An address that a job gave. Only http and https become links: a browser would run what stands in others.
pub(super) struct Address {
    pub(super) text: String,
    pub(super) link: Option<String>,
}

impl Address {
    pub(super) fn new(text: String) -> Self {
        let parsed = url::Url::parse(&text).ok();
        let link = parsed.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        Self {
            link: link.map(String::from),
            text,
        }
    }
}

/// The first eight characters of a commit.
pub(super) fn short_sha(sha: &str) -> String {
    sha.chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn sentences_may_hold_code() {
        let check = |text: &str, expected: &str| assert_eq!(prose(text), expected, "{text}");
        check("plain <b>", "plain &lt;b&gt;");
        check(
            "run `make <x>` or `y`.",
            "run <code>make &lt;x&gt;</code> or <code>y</code>.",
        );
        check("one ` alone", "one ` alone");
        check("``", "<code></code>");
    }

    #[test]
    fn only_web_addresses_are_links() {
        let check = |text: &str, link: Option<&str>| {
            assert_eq!(Address::new(text.to_owned()).link.as_deref(), link, "{text:?}");
        };
        check("https://x.example.com/a?b=c#d", Some("https://x.example.com/a?b=c#d"));
        check("HTTP://X.example.com", Some("http://x.example.com/"));
        check("https://x/\"><script>", Some("https://x/%22%3E%3Cscript%3E"));
        for text in [
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            " javascript:alert(1)",
            "java\nscript:alert(1)",
            "\u{1}javascript:alert(1)",
            "data:text/html,<script>alert(1)</script>",
            "vbscript:x",
            "file:///etc/passwd",
            "//x.example.com",
            "x.example.com",
            "https:",
            "",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn numbers_are_short() {
        let shown = |ms| duration(Duration::from_millis(ms));
        assert_eq!(
            [shown(7), shown(59_999), shown(61_000), shown(7_261_000)],
            ["7 ms", "59 s", "1 min 1 s", "2 h 1 min"]
        );
        assert_eq!(
            [size(0), size(999), size(1500), size(2_000_000_000)],
            ["0 B", "999 B", "1.5 kB", "2.0 GB"]
        );
    }
}
