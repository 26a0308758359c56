//! The only door through which the runner starts programs.
