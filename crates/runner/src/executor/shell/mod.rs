//! The shell executor: a fresh folder and a supervised process tree on this machine.
//!
//! ```text
//! <builds_dir>/<short token>/<CI_CONCURRENT_PROJECT_ID>/<group>/<project>        the source (CI_PROJECT_DIR)
//! <builds_dir>/<short token>/<CI_CONCURRENT_PROJECT_ID>/<group>/<project>.tmp/   file variables, scripts
//!                                                                .../home/       HOME
//!                                                                .../tmp/        TMPDIR
//! <builds_dir>/.tasuki/<sandbox>.json                                            record of a living sandbox
//! <cache_dir>                                                                    caches; the only thing that stays
//! ```
//!
//! **Environment.** Nothing of the runner's own. `PATH` and further variables come from [`Config`]; `HOME`, `TMPDIR`,
//! `USER`, `LOGNAME`, `SHELL` and `LANG` (`C.UTF-8`) are set; the job's variables win over all of them. Each process carries
//! [`crate::process::MARKER`].
//!
//! **Nothing outlives the task.** Scripts run under supervisors ([`crate::process`]), in a cgroup where one can be made.
//! Teardown kills who is left, then removes both folders, also those that the job made unreadable.
//!
//! **Crash.** A record is written, and locked, before the first folder is made. The lock goes with the process that
//! holds it: [`Shell::sweep`] takes every record whose lock it gets, kills what carries that sandbox's marker or sits
//! in its cgroup, removes its folders, then the record.
//!
//! **User.** With [`Config::user`] (only as root) scripts and guest run as that user, with its groups; the folders belong
//! to it. Without, whoever runs the runner: a job can then do to the runner what its user can. Other users'
//! jobs belong into containers or machines.

pub(crate) mod environment;
mod executor;
pub(crate) mod folders;
mod record;
mod sandbox;
pub(crate) mod script;

pub use executor::{Config, Shell};
