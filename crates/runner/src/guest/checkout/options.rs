//! What the job's variables say about its checkout.

use crate::guest::{Checkout, Strategy, SubmoduleStrategy, Submodules};

/// A variable with a value that a job cannot run with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {value:?} is not one of {allowed}")]
pub struct OptionError {
    pub variable: &'static str,
    pub value: String,
    pub allowed: &'static str,
}

/// `GIT_*` variables, as GitLab's runner reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub strategy: Strategy,
    pub checkout: bool,
    pub depth: u32,
    pub clean_flags: Option<Vec<String>>,
    pub fetch_flags: Vec<String>,
    pub submodules: Submodules,
    pub lfs: bool,
    /// For the log: values that were replaced by their defaults.
    pub warnings: Vec<String>,
}

impl Options {
    /// Reads them through `variable`, which gives a variable's value. `payload_depth` is `git_info.depth`,
    /// `allow_fetch` the payload's `allow_git_fetch`.
    ///
    /// # Errors
    /// `GIT_SUBMODULE_STRATEGY` is none of its values: the one case that fails the job. All others warn.
    pub fn read(
        variable: impl Fn(&str) -> Option<String>,
        payload_depth: u32,
        allow_fetch: bool,
    ) -> Result<Self, OptionError> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mut warnings = Vec::new();
        let words = |text: String| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let number = |name: &str, default: u32, warnings: &mut Vec<String>| match get(name) {
            None => default,
            Some(text) => text.trim().parse().unwrap_or_else(|_| {
                warnings.push(format!("{name}: {text:?} is not a number; using {default}"));
                default
            }),
        };
        let by_default = if allow_fetch { Strategy::Fetch } else { Strategy::Clone };
        let strategy = match get("GIT_STRATEGY").as_deref() {
            None => by_default,
            Some("fetch") => Strategy::Fetch,
            Some("clone") => Strategy::Clone,
            Some("none") => Strategy::None,
            Some("empty") => Strategy::Empty,
            Some(other) => {
                warnings.push(format!(
                    "GIT_STRATEGY: {other:?} is not one of fetch, clone, none, empty; using the default"
                ));
                by_default
            }
        };
        let flag = |name: &str, default: bool, warnings: &mut Vec<String>| match get(name) {
            None => default,
            Some(text) => truth(&text).unwrap_or_else(|| {
                warnings.push(format!("{name}: {text:?} is neither true nor false; using {default}"));
                default
            }),
        };
        let depth = number("GIT_DEPTH", payload_depth, &mut warnings);
        let clean_flags = match get("GIT_CLEAN_FLAGS") {
            None => Some(vec!["-ffdx".to_owned()]),
            Some(text) if text == "none" => None,
            Some(text) => Some(words(text)),
        };
        let fetch_flags = match get("GIT_FETCH_EXTRA_FLAGS") {
            None => vec!["--prune".to_owned(), "--quiet".to_owned()],
            Some(text) if text == "none" => Vec::new(),
            Some(text) => words(text),
        };
        let submodules = Submodules {
            strategy: submodule_strategy(get("GIT_SUBMODULE_STRATEGY"))?,
            depth: number("GIT_SUBMODULE_DEPTH", depth, &mut warnings),
            paths: get("GIT_SUBMODULE_PATHS").map(words).unwrap_or_default(),
            update_flags: get("GIT_SUBMODULE_UPDATE_FLAGS").map(words).unwrap_or_default(),
            force_https: flag("GIT_SUBMODULE_FORCE_HTTPS", false, &mut warnings),
        };
        let checkout = flag("GIT_CHECKOUT", true, &mut warnings);
        let lfs = !flag("GIT_LFS_SKIP_SMUDGE", false, &mut warnings);
        Ok(Self {
            strategy,
            checkout,
            depth,
            clean_flags,
            fetch_flags,
            submodules,
            lfs,
            warnings,
        })
    }

    /// Puts them into a request.
    pub fn apply(self, request: &mut Checkout) {
        request.strategy = self.strategy;
        request.checkout = self.checkout;
        request.depth = self.depth;
        request.clean_flags = self.clean_flags;
        request.fetch_flags = self.fetch_flags;
        request.submodules = self.submodules;
        request.lfs = self.lfs;
    }
}

fn submodule_strategy(text: Option<String>) -> Result<SubmoduleStrategy, OptionError> {
    match text.as_deref() {
        None | Some("none") => Ok(SubmoduleStrategy::None),
        Some("normal") => Ok(SubmoduleStrategy::Normal),
        Some("recursive") => Ok(SubmoduleStrategy::Recursive),
        Some(other) => Err(OptionError {
            variable: "GIT_SUBMODULE_STRATEGY",
            value: other.to_owned(),
            allowed: "none, normal, recursive",
        }),
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" => Some(true),
        "0" | "f" | "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Options, OptionError> {
        let find = |name: &str| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Options::read(find, 20, true)
    }

    #[test]
    fn variables_say_how_to_check_out() {
        let plain = read(&[]).expect("defaults");
        assert_eq!(
            (plain.strategy, plain.depth, plain.submodules.depth, plain.lfs),
            (Strategy::Fetch, 20, 20, true)
        );
        assert_eq!(plain.clean_flags, Some(vec!["-ffdx".to_owned()]));

        let wrong = read(&[
            ("GIT_STRATEGY", "steal"),
            ("GIT_DEPTH", "x"),
            ("GIT_CHECKOUT", "perhaps"),
        ])
        .expect("warns");
        assert_eq!(
            (wrong.strategy, wrong.depth, wrong.checkout, wrong.warnings.len()),
            (Strategy::Fetch, 20, true, 3)
        );

        let set = read(&[
            ("GIT_CLEAN_FLAGS", "none"),
            ("GIT_FETCH_EXTRA_FLAGS", "none"),
            ("GIT_SUBMODULE_STRATEGY", "recursive"),
            ("GIT_SUBMODULE_PATHS", "a :(exclude)b"),
            ("GIT_LFS_SKIP_SMUDGE", "1"),
        ])
        .expect("is right");
        assert_eq!((set.clean_flags, set.fetch_flags.len(), set.lfs), (None, 0, false));
        assert_eq!(set.submodules.paths, ["a", ":(exclude)b"]);

        read(&[("GIT_SUBMODULE_STRATEGY", "all")]).expect_err("fails the job");
    }
}
