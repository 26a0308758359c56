//! The bare mirror of each project, and the only door of the server to `git`.
