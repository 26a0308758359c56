//! The size limit of a log.

/// Lets at most `limit` bytes through, then one line that says so, then nothing.
#[derive(Debug)]
pub(super) struct Limit {
    limit: u64,
    passed: u64,
    full: bool,
}

impl Limit {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            passed: 0,
            full: false,
        }
    }

    /// What of `bytes` (which are UTF-8) goes into the log, and the notice where the limit is met now.
    pub(super) fn take<'a>(&mut self, bytes: &'a [u8]) -> (&'a [u8], Option<String>) {
        if self.full {
            return (&[], None);
        }
        let room = usize::try_from(self.limit - self.passed).unwrap_or(usize::MAX);
        if bytes.len() <= room {
            self.passed += bytes.len() as u64;
            return (bytes, None);
        }
        self.full = true;
        let mut cut = room;
        while cut > 0 && bytes[cut] & 0xc0 == 0x80 {
            cut -= 1;
        }
        let notice = format!(
            "\n\u{1b}[33;1mJob's log exceeded limit of {} bytes. The job goes on, but no more of its output is \
             kept.\u{1b}[0;m\n",
            self.limit
        );
        (&bytes[..cut], Some(notice))
    }
}
