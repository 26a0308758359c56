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
        "The place named is that of the mistake, as far as it can be told from the lines around the one where reading stopped; the hint says what to write. Usual ones are a missing quote or bracket, a missing space after a colon, indentation by tabs or by another number of spaces, and a text with `: ` in it that needs quotes.";
    YAML_TOO_BIG = Error "yaml-too-big", "The file is larger, deeper or more repetitive than allowed.",
        "Bytes, nesting and the number of values are bounded so that a file cannot exhaust the server. Values count as often as their aliases repeat them. Split the file with `include`, or raise the limits in the server's configuration.";
    YAML_DUPLICATE_KEY = Warning "yaml-duplicate-key", "A key is written twice in the same map.",
        "The last one counts, the first is lost without a trace. This is hardly ever meant; two jobs of one name are the usual case.";
    YAML_DUPLICATE_ANCHOR = Warning "yaml-duplicate-anchor", "An anchor is written twice in the same file.",
        "Aliases mean the last anchor of their name above them: what stands below the second one gets something else than what stands above it.";
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
    GITLAB_INCLUDE_EMPTY = Warning "gitlab-include-empty", "An `include` with wildcards matches no file.",
        "Nothing is included. `*` does not match `/`, `**` does; files that are included already are left out.";
    GITLAB_EXTENDS = Error "gitlab-extends", "`extends` names something that cannot be extended.",
        "`extends` takes the name of another job or hidden job (or a list of names). It may be up to ten generations deep and must not lead back to itself.";
    GITLAB_REFERENCE = Error "gitlab-reference", "A `!reference` leads nowhere.",
        "`!reference [job, key, …]` is a path of keys from the top of the merged configuration. The value must exist and must not be null or false, and must not lead back to itself.";
    GITLAB_STAGES = Error "gitlab-stages", "`stages` is not a list of names.",
        "`stages` takes a list of strings. `.pre` is always first and `.post` always last. Without it the stages are build, test, deploy.";
    GITLAB_DOCUMENTS = Warning "gitlab-documents", "The file has documents that are not read.",
        "Only the first document (or the second, after a header with `spec`) is the configuration. A line `---` starts a new document, also inside a block of text.";
    GITLAB_TYPE = Error "gitlab-type", "A keyword has a value of the wrong type.",
        "In YAML 1.1 bare `yes`, `on`, `012`, `1.10` and `1:30` are no strings, and `- key: value` is a map. Quotes make a string of anything.";
    GITLAB_VALUE = Error "gitlab-value", "A keyword has a value that it does not take.",
        "The message names what is taken. Durations are texts such as `1h 30m`; lists and numbers have upper limits.";
    GITLAB_UNKNOWN_KEY = Error "gitlab-unknown-key", "A key is not known here.",
        "Misspelt keys would otherwise be lost without a trace. Helpers that are not jobs have names that start with a dot.";
    GITLAB_MISSING_KEY = Error "gitlab-missing-key", "A key that must be there is missing.",
        "The keyword needs the named key beside or below it.";
    GITLAB_EXCLUSIVE_KEYS = Error "gitlab-exclusive-keys", "Keys are used together that exclude one another.",
        "Examples are `script` with `trigger`, `rules` with `only`, and `access` with `public`. Keep one of them.";
    GITLAB_EXPRESSION = Error "gitlab-expression", "An expression or regular expression cannot be read.",
        "Expressions compare `$NAME`, quoted text, `null`, `true`, `false` with `==`, `!=`, and with `/regex/` by `=~`, `!~`, joined by `&&`, `||`, `!` and parentheses. `${NAME}` is not allowed. Regular expressions are RE2's.";
    GITLAB_NO_EFFECT = Warning "gitlab-no-effect", "Something is written that does nothing.",
        "It is valid and harmless, but probably not what was meant.";
    GITLAB_JOB = Error "gitlab-job", "A job lacks what makes it one.",
        "A job has `script`, `run` or `trigger`. Maps that only serve `extends` or anchors have names that start with a dot. At least one job must be visible.";
    GITLAB_STAGE = Error "gitlab-stage", "A job is in a stage that does not exist.",
        "Add the stage to `stages`, or choose one of those that the message names. Without `stages` there are `.pre`, `build`, `test`, `deploy` and `.post`; a job without `stage` is in `test`.";
    GITLAB_NEED = Error "gitlab-need", "A job needs, depends on or stops by a job that is not there.",
        "`needs` and `dependencies` name jobs of the same or an earlier stage. A job that rules leave out is not there, either: write `optional: true` where that is meant.";
    GITLAB_CIRCULAR_NEEDS = Error "gitlab-circular-needs", "Jobs need one another in a circle.",
        "None of them could ever start. The message shows the circle.";
    GITLAB_CIRCULAR_VARIABLES = Error "gitlab-circular-variables", "Variables refer to one another in a circle.",
        "The message shows the circle. A variable may refer to itself: it means the value of the same name from a source of lower precedence.";
    GITLAB_TOO_MANY = Error "gitlab-too-many", "The pipeline is larger than allowed.",
        "Limits count jobs after `parallel` is expanded. Split the pipeline, or raise the limit in the server's configuration.";
    GITLAB_RULES = Error "gitlab-rules", "A rule cannot be evaluated for this pipeline.",
        "`changes:compare_to` must name a branch, tag or commit that exists, and `exists:project` a project that the user can read.";
    GITLAB_ENVIRONMENT = Warning "gitlab-environment", "An environment's or resource group's name is not usable.",
        "After its variables are expanded it must consist of letters, digits, spaces and `-_/${}.`, be at most 255 characters long, and not start or end with a slash. The job runs without the environment or group. Often a variable is empty in this kind of pipeline.";
    GITLAB_DUPLICATE_PIPELINES = Warning "gitlab-duplicate-pipelines", "A job may run twice for one push.",
        "Its last rule has no condition, so that it joins branch and merge request pipelines alike. Add `workflow:rules` that decide which of the two is made.";

    CIRCLECI_FORMAT = Error "circleci-format", "The configuration is not what a CircleCI file is.",
        "It is a map with `version: 2.1`, `jobs` and `workflows`. A file without `workflows` needs a job named `build`.";
    CIRCLECI_UNKNOWN_TOP_LEVEL = Warning "circleci-unknown-top-level", "A key at the top of the file means nothing.",
        "CircleCI ignores it without a word. Keys that only hold anchors are harmless; `workflow` instead of `workflows` is not.";
    CIRCLECI_UNKNOWN_KEY = Error "circleci-unknown-key", "A key is not known here.",
        "The message lists the keys that are permitted at this place. Arguments of a job or command must be declared in its `parameters`.";
    CIRCLECI_MISSING_KEY = Error "circleci-missing-key", "A key that must be there is missing.",
        "The element cannot mean anything without it.";
    CIRCLECI_TYPE = Error "circleci-type", "A value has the wrong type.",
        "The message names what is expected. Quotes make a string of anything.";
    CIRCLECI_VALUE = Error "circleci-value", "A key has a value that it does not take.",
        "The message names what is taken.";
    CIRCLECI_NAME = Error "circleci-name", "A name has characters that it must not have, or is taken.",
        "Jobs and workflows are letters, digits, spaces, `-` and `_` and begin with a letter; commands, executors and parameters the same without upper case and spaces.";
    CIRCLECI_PARAMETER = Error "circleci-parameter", "A parameter's declaration is wrong.",
        "A parameter has `type` (string, boolean, integer, enum, executor, steps, env_var_name) and, unless it is required, a `default` of that type. Pipeline parameters need a default and cannot be of the types executor, steps and env_var_name.";
    CIRCLECI_ARGUMENT = Error "circleci-argument", "An argument is missing, unknown or has the wrong type.",
        "Arguments are given where a job, command or executor is used, pipeline parameters with `--param` or when the pipeline is started. A parameter without `default` must be given.";
    CIRCLECI_INTERPOLATION = Error "circleci-interpolation", "A `<< … >>` names something that is not there.",
        "There are `<< parameters.NAME >>` for the parameters of the same job, command or executor, `<< matrix.NAME >>` in a workflow's entry, and `<< pipeline.… >>` outside of orbs. A literal `<<`, as in a here-document, is written `\\<<`.";
    CIRCLECI_UNDEFINED = Error "circleci-undefined", "A job, command, executor or orb is used that is not defined.",
        "Elements of an orb are named `orb/element`, where `orb` is a key below `orbs`.";
    CIRCLECI_RECURSION = Error "circleci-recursion", "Commands or orbs use one another in a circle, or too deep.",
        "The message shows where. Expansion would never end.";
    CIRCLECI_EXECUTOR = Error "circleci-executor", "A job has no execution environment, or several.",
        "A job or executor has exactly one of `docker`, `machine`, `macos`, and a job may name an `executor` instead.";
    CIRCLECI_STEP = Error "circleci-step", "A step cannot be read.",
        "A step is a name, or a map of one name to its arguments, e.g. `- run: make` or `- restore_cache: {key: v1}`.";
    CIRCLECI_CACHE_KEY = Error "circleci-cache-key", "The template of a cache key cannot be read.",
        "In `{{ … }}` may stand `checksum \"file\"`, `.Branch`, `.BuildNum`, `.Revision`, `.CheckoutKey`, `.Environment.NAME`, `epoch` and `arch`.";
    CIRCLECI_CONDITION = Error "circleci-condition", "A condition cannot be evaluated.",
        "A logic statement is a value or a map with one of `and`, `or`, `not`, `equal`, `matches`. Expressions compare pipeline values, as in `pipeline.git.branch == \"main\"`; they may stand in `when` and `unless` of workflows and in `filters`.";
    CIRCLECI_REQUIRES = Error "circleci-requires", "A job requires one that is not there, or that is there several times.",
        "`requires` names jobs of the same workflow by their `name`. Members of a matrix are required together by its alias or job name.";
    CIRCLECI_CIRCLE = Error "circleci-circle", "Jobs require one another in a circle.",
        "None of them could ever start: take one of the `requires` of the chain in the message away.";
    CIRCLECI_MATRIX = Error "circleci-matrix", "A matrix is wrong or too large.",
        "`matrix.parameters` maps parameters of the job to lists of values, `exclude` lists combinations of all of them.";
    CIRCLECI_ORB = Error "circleci-orb", "An orb cannot be had.",
        "Registry orbs are read from the folder that `TASUKI_CIRCLECI_ORBS` names: `namespace/name/version.yml`, e.g. `circleci/node/5.2.0.yml`. Orbs in the file itself need nothing.";
    CIRCLECI_SETUP = Error "circleci-setup", "A configuration that sets up another one is wrong.",
        "A `setup: true` configuration is of version 2.1 and has one workflow; a job of it gives the configuration that follows, which cannot be one of `setup` again.";
    CIRCLECI_TOO_MANY = Error "circleci-too-many", "The pipeline is larger than allowed.",
        "Limits count jobs and steps after everything is expanded.";
    CIRCLECI_NO_EFFECT = Warning "circleci-no-effect", "Something is written that does nothing here.",
        "It is valid on CircleCI's cloud, but there is nothing that it could change on runners of your own.";
    CIRCLECI_STEP_REFUSED = Warning "circleci-step-refused", "A step that no runner of tasuki does.",
        "The job is made as it is written; the runner that gets it refuses it and says why. The hint names what does the same.";
    GITHUB_FORMAT = Error "github-format", "A workflow, action or part of it has the wrong shape.",
        "A workflow is a map with at least `on` and `jobs`; an action is a map with `name`, `description` and `runs`. The message says what was found and what may stand there.";
    GITHUB_UNKNOWN_KEY = Error "github-unknown-key", "A key is not one of those that may stand here.",
        "Nothing is ignored silently: a key without a meaning is most often misspelled, or one level too high or too low.";
    GITHUB_DUPLICATE_KEY = Error "github-duplicate-key", "A key is written twice in the same map.",
        "Keys are compared without case. GitHub refuses such a file.";
    GITHUB_VALUE = Error "github-value", "A value is not one of those that may stand here.",
        "The message names what may. A value with `${{ }}` in it is checked when it is evaluated.";
    GITHUB_EXPRESSION = Error "github-expression", "An expression cannot be read or evaluated.",
        "Texts stand in single quotes, `''` is a quote in a text. Which contexts and functions there are depends on the key: `secrets` and `env`, for example, do not exist in `jobs.<id>.if`.";
    GITHUB_CONDITION = Warning "github-condition", "A condition is always true.",
        "`if: text ${{ x }}` makes a text, and a text that is not empty is true. Write the whole condition between the braces, or no braces at all.";
    GITHUB_NO_EFFECT = Warning "github-no-effect", "Something is understood, and has no effect here.",
        "tasuki starts workflows by `push`, `pull_request`, `workflow_dispatch`, `schedule` and `workflow_call`; other events of `on` never come. Concurrency of a whole workflow stands in the Plan and nothing acts on it yet: give it to the jobs instead.";
    GITHUB_FILTER = Error "github-filter", "A filter of an event cannot be used.",
        "Patterns: `*` (not `/`), `**`, `?` and `+` after a character, `[abc]`, `!` at the start. A list needs a pattern without `!`; `branches` and `branches-ignore` (tags, paths alike) exclude each other.";
    GITHUB_INPUT = Error "github-input", "An input is missing, unknown or has a wrong value.",
        "Inputs are declared under `workflow_dispatch.inputs` or `workflow_call.inputs`; an input that is required and has no default must be given.";
    GITHUB_NEEDS = Error "github-needs", "A job needs one that is not there, or jobs need one another in a circle.",
        "`needs` names the ids of other jobs of the same file. At least one job must need nothing.";
    GITHUB_MATRIX = Error "github-matrix", "A matrix cannot be expanded.",
        "Each vector is a list with at least one value, `include` and `exclude` are lists of maps, `exclude` names only keys of the matrix, and at most 256 jobs come of it.";
    GITHUB_USES = Error "github-uses", "A reusable workflow or an action cannot be used.",
        "Workflows and actions of the same repository are written `./.github/workflows/file.yml` and `./path/of/the/action`; they are read at the commit that is built.";
    GITHUB_TOO_MANY = Error "github-too-many", "The workflow is larger than allowed.",
        "Limits count jobs after matrices are expanded and reusable workflows are put in.";
    GITHUB_SHELL = Warning "github-shell", "A step wants a shell that only Windows has.",
        "tasuki's runners work on Linux. The job is made as it is written: it waits for a runner that has its labels, and on a Linux machine the step fails. Use `shell: pwsh` or `bash`, which are found on all systems.";
    GITHUB_ACTION = Warning "github-action", "An action is used in a way that has no effect.",
        "An unknown input is given to it, or it declares something that is not done for actions of the own repository.";
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
