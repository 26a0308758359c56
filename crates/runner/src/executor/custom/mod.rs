//! The custom executor: somebody else's programs (the driver) make the place, run scripts in it and remove it.
//!
//! GitLab's contract, so that drivers written for gitlab-runner work as they are:
//!
//! | Program of `[runners.custom]` | Called | Gets |
//! |---|---|---|
//! | `config_exec` | first, if set | nothing; may print a JSON object ([`Described`](described::Described)) |
//! | `prepare_exec` | once for each try | nothing |
//! | `run_exec` | for each stage, a stage possibly more than once | `<run_args…> <script file> <stage>` |
//! | `cleanup_exec` | once, also after a `prepare_exec` that failed | nothing; its output goes to the runner's own log |
//!
//! **Environment** ([`driver`]): the runner's own, then `TMPDIR`, `JOB_RESPONSE_FILE`, `BUILD_FAILURE_EXIT_CODE`,
//! `SYSTEM_FAILURE_EXIT_CODE` and `BUILD_EXIT_CODE_FILE`, then `job_env` of `config_exec`, then each variable of the job as
//! `CUSTOM_ENV_<KEY>`.
//!
//! **Stages** of `run_exec`, in this order: `prepare_script`, `get_sources` (`clear_worktree` before its second try),
//! `restore_cache`, `download_artifacts`, `build_script` (the step `script`) and other `step_*`, `after_script`,
//! `archive_cache` or `archive_cache_on_failure`, `upload_artifacts_on_success` or `…_on_failure`,
//! `cleanup_file_variables`. What has nothing to do is left out.
//!
//! **Scripts** ([`script`]) are POSIX shell text that may be executed, named to `bash` or `sh`, or fed into either. What
//! is the guest's work (source, caches, artifacts) calls `tasuki guest`: the program has to be installed in the place, as
//! gitlab-runner has for its own executor.
//!
//! **Ends**: 0 is good; `BUILD_FAILURE_EXIT_CODE` is the job's fault, with the script's own exit code where the driver
//! writes it to `BUILD_EXIT_CODE_FILE`; everything else is ours.
//!
//! **Nothing is left.** Programs run under supervisors ([`crate::process`]). What they start in the background lives until
//! `cleanup_exec` has ended, then it is killed. A [`record`] is written and locked before the first program is
//! called: after a crash [`Custom::sweep`](executor::Custom) calls `cleanup_exec` for every record that nobody
//! holds, with the public variables of the job only, for no secret is written down.

mod described;
mod driver;
mod executor;
mod place;
mod record;
mod sandbox;
mod script;
mod settings;
mod sift;

pub use executor::Custom;
pub use settings::Settings;
