//! The configuration languages. A new language is one folder here.

pub mod circleci;
pub mod github;
pub mod gitlab;
