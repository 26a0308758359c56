//! The registry of everything that can be wrong. The reference page of errors is generated from it.

use super::Severity;

/// A kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// Stable name; scripts may rely on it.
    pub name: &'static str,
    pub severity: Severity,
    /// One sentence.
    pub summary: &'static str,
    /// Why it is so and what to do, in Markdown.
    pub explanation: &'static str,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $ident:ident = $severity:ident $name:literal, $summary:literal, $explanation:literal;)*) => {
        $(
            $(#[$doc])*
            #[doc = $summary]
            pub static $ident: Code = Code {
                name: $name,
                severity: Severity::$severity,
                summary: $summary,
                explanation: $explanation,
            };
        )*

        /// All codes in the order of the reference page.
        #[must_use]
        pub fn codes() -> &'static [&'static Code] {
            static ALL: &[&Code] = &[$(&$ident,)*];
            ALL
        }
    };
}

codes! {
    YAML_SYNTAX = Error "yaml-syntax", "The file is not YAML.",
        "The place named is where the parser could not go on; the cause is often on the line before it: a missing quote, a missing space after a colon, indentation by tabs, or a text with `: ` or ` #` in it that needs quotes.";
    YAML_TOO_BIG = Error "yaml-too-big", "The file is larger, deeper or more repetitive than allowed.",
        "Bytes, nesting and the number of values are bounded so that a file cannot exhaust the server. Values count as often as their aliases repeat them. Split the file with `include`, or raise the limits in the server's configuration.";
    YAML_DUPLICATE_KEY = Warning "yaml-duplicate-key", "A key is written twice in the same map.",
        "The last one counts, the first is lost without a trace. This is hardly ever meant; two jobs of one name are the usual case.";
    YAML_MERGE = Error "yaml-merge", "`<<` is given something that is not a map.",
        "A merge key takes an alias of a map (`<<: *defaults`) or a list of such aliases (`<<: [*a, *b]`).";
    YAML_DATE = Error "yaml-date", "A value without quotes is a date.",
        "YAML 1.1 turns `2024-01-31` into a date, which is not allowed in a pipeline configuration. Put it in quotes.";
    YAML_UNKNOWN_TAG = Warning "yaml-unknown-tag", "A tag is not known and has no effect.",
        "Only `!reference` has a meaning in GitLab CI, apart from YAML's own `!!str` and the like.";

    UNSUPPORTED = Error "unsupported", "Something valid that tasuki cannot do yet.",
        "Nothing that a configuration asks for is ignored: what is not supported yet is refused with the place where it is written.";
    TOO_MANY = Warning "too-many-diagnostics", "Only the first findings are shown.",
        "Repair the ones shown and check again.";

    GITLAB_MISSING_FILE = Error "gitlab-missing-config", "There is no configuration to read.",
        "The file is missing or holds nothing but white space and comments.";
    GITLAB_FORMAT = Error "gitlab-format", "The configuration is not a map.",
        "A GitLab CI configuration is a map of jobs and global keywords, e.g. `build: {script: [make]}`.";
    GITLAB_KEY_TYPE = Error "gitlab-key-type", "The name of a job or keyword is not a string.",
        "Bare `on`, `yes`, `true` or numbers are booleans and numbers in YAML 1.1, not names. Put the name in quotes.";
    GITLAB_HEADER = Error "gitlab-header", "The header of the file (`spec:`) is wrong.",
        "A header is the first of two or more documents (separated by `---`) and holds only `spec` with `inputs`, `include`, `component` and `description`.";
    GITLAB_INPUT = Error "gitlab-input", "An input is missing, unknown or has a wrong value.",
        "Inputs are declared under `spec:inputs` of the file that uses them; values come from `include:inputs` or from whoever starts the pipeline. An input without `default` must be given.";
    GITLAB_INTERPOLATION = Error "gitlab-interpolation", "A `$[[ … ]]` block cannot be resolved.",
        "A block is `$[[ inputs.name ]]`, optionally followed by up to three functions: `expand_vars`, `truncate(offset, length)`, `posix_escape`.";
    GITLAB_INCLUDE = Error "gitlab-include", "An `include` is wrong or cannot be read.",
        "Each entry has exactly one of `local`, `project` (with `file`), `remote`, `template`, `component`.";
    GITLAB_INCLUDE_LIMIT = Error "gitlab-include-limit", "Too many files are included, or they are too big together.",
        "The limit counts nested and repeated includes. Files that include each other in a circle end here, too.";
    GITLAB_EXTENDS = Error "gitlab-extends", "`extends` names something that cannot be extended.",
        "`extends` takes the name of another job or hidden job (or a list of names). It may be up to ten generations deep and must not lead back to itself.";
    GITLAB_REFERENCE = Error "gitlab-reference", "A `!reference` leads nowhere.",
        "`!reference [job, key, …]` is a path of keys from the top of the merged configuration. The value must exist and must not be null or false, and must not lead back to itself.";
}

#[cfg(test)]
mod tests {
    use super::codes;

    #[test]
    fn names_are_unique_and_explained() {
        let mut names: Vec<_> = codes().iter().map(|code| code.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), codes().len());
        for code in codes() {
            assert!(
                code.summary.ends_with('.') && code.explanation.len() > 30,
                "{}",
                code.name
            );
            assert!(
                code.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{}",
                code.name
            );
        }
    }
}
