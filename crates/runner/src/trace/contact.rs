//! What the server says about a job while its log is sent.

/// What the server has last told about the job. Follows `Job-Status`, refusals and silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Contact {
    #[default]
    Good,
    /// Stop the user's script; the rest of the job still runs.
    CancelGracefully,
    /// The server does not want this job's results any more: stop everything.
    Abort,
    /// Nothing was heard for longer than the lease: the server has given the job to somebody else.
    Lost,
}

impl Contact {
    /// Whether everything must stop.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Abort | Self::Lost)
    }

    /// What was told once is not taken back by something milder.
    pub(super) fn rank(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::CancelGracefully => 1,
            Self::Abort => 2,
            Self::Lost => 3,
        }
    }
}

/// What the server said when the job was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It runs here.
    Ours,
    /// It was canceled in between: nothing is to be run, its end is to be told.
    Canceled,
    /// It is not ours, or nobody answered: drop it silently.
    Lost,
}
