//! Hints from one server process to the others.

/// A hint that something changed. Hints may be lost, doubled and late: whoever gets one reads the database
/// again, and has a timer besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// What kind of thing changed. [`Notification::RESYNC`] after hints may have been lost.
    pub topic: String,
    /// Which one: short text, in the topic's own form.
    pub payload: String,
    /// Whether this very process sent it.
    pub own: bool,
}

impl Notification {
    /// Topic of the hint that others may have been lost: read everything again.
    pub const RESYNC: &'static str = "resync";
}
