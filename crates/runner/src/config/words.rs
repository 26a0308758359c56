//! Values that are one of a few words.

use std::str::FromStr;

/// A word that this version has no meaning for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {word:?} is none that this version has: use {known}")]
pub struct UnknownWord {
    key: &'static str,
    word: String,
    /// `"a" or "b"`.
    known: String,
}

impl UnknownWord {
    pub(super) fn new(key: &'static str, word: &str, known: &[&str]) -> Self {
        let quoted: Vec<_> = known.iter().map(|word| format!("{word:?}")).collect();
        Self {
            key,
            word: word.to_owned(),
            known: quoted.join(" or "),
        }
    }
}

/// `executor`: how jobs are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutorKind {
    Shell,
    Docker,
    Kubernetes,
    Custom,
}

impl ExecutorKind {
    /// The words of all.
    pub const WORDS: [&str; 4] = ["shell", "docker", "kubernetes", "custom"];
}

impl FromStr for ExecutorKind {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "shell" => Ok(Self::Shell),
            "docker" => Ok(Self::Docker),
            "kubernetes" => Ok(Self::Kubernetes),
            "custom" => Ok(Self::Custom),
            other => Err(UnknownWord::new("executor", other, &Self::WORDS)),
        }
    }
}

/// `shell`: what scripts are given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShellWord {
    /// Empty: bash where it is, else sh.
    Detect,
    Bash,
    Sh,
}

impl FromStr for ShellWord {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "" => Ok(Self::Detect),
            "bash" => Ok(Self::Bash),
            "sh" => Ok(Self::Sh),
            other => Err(UnknownWord::new("shell", other, &["bash", "sh"])),
        }
    }
}
