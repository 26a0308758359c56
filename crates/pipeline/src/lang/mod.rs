//! The configuration languages. A new language is one folder here.

mod file;

pub mod circleci;
pub mod github;
pub mod gitlab;

pub use file::of_file;
