//! Keys of `[runners.custom]` as flags.

use clap::Args;
use toml::Table;

use super::section::{set_list, set_number, set_text};

/// `--custom-…`
#[derive(Debug, Clone, Default, Args)]
pub struct CustomArgs {
    /// Program of the driver that says where things are
    #[arg(long = "custom-config-exec", env = "CUSTOM_CONFIG_EXEC", value_name = "PROGRAM")]
    pub custom_config_exec: Option<String>,
    /// Argument of it, may be repeated
    #[arg(
        long = "custom-config-args",
        env = "CUSTOM_CONFIG_ARGS",
        value_name = "VALUE",
        allow_hyphen_values = true
    )]
    pub custom_config_args: Vec<String>,
    /// Its time limit in seconds (3600)
    #[arg(
        long = "custom-config-exec-timeout",
        env = "CUSTOM_CONFIG_EXEC_TIMEOUT",
        value_name = "SECONDS"
    )]
    pub custom_config_exec_timeout: Option<u32>,
    /// Program of the driver that makes a job's place
    #[arg(long = "custom-prepare-exec", env = "CUSTOM_PREPARE_EXEC", value_name = "PROGRAM")]
    pub custom_prepare_exec: Option<String>,
    /// Argument of it, may be repeated
    #[arg(
        long = "custom-prepare-args",
        env = "CUSTOM_PREPARE_ARGS",
        value_name = "VALUE",
        allow_hyphen_values = true
    )]
    pub custom_prepare_args: Vec<String>,
    /// Its time limit in seconds (3600)
    #[arg(
        long = "custom-prepare-exec-timeout",
        env = "CUSTOM_PREPARE_EXEC_TIMEOUT",
        value_name = "SECONDS"
    )]
    pub custom_prepare_exec_timeout: Option<u32>,
    /// Program of the driver that runs a script: it gets the script's file and the stage
    #[arg(long = "custom-run-exec", env = "CUSTOM_RUN_EXEC", value_name = "PROGRAM")]
    pub custom_run_exec: Option<String>,
    /// Argument before them, may be repeated
    #[arg(
        long = "custom-run-args",
        env = "CUSTOM_RUN_ARGS",
        value_name = "VALUE",
        allow_hyphen_values = true
    )]
    pub custom_run_args: Vec<String>,
    /// Program of the driver that removes the place
    #[arg(long = "custom-cleanup-exec", env = "CUSTOM_CLEANUP_EXEC", value_name = "PROGRAM")]
    pub custom_cleanup_exec: Option<String>,
    /// Argument of it, may be repeated
    #[arg(
        long = "custom-cleanup-args",
        env = "CUSTOM_CLEANUP_ARGS",
        value_name = "VALUE",
        allow_hyphen_values = true
    )]
    pub custom_cleanup_args: Vec<String>,
    /// Its time limit in seconds (3600)
    #[arg(
        long = "custom-cleanup-exec-timeout",
        env = "CUSTOM_CLEANUP_EXEC_TIMEOUT",
        value_name = "SECONDS"
    )]
    pub custom_cleanup_exec_timeout: Option<u32>,
    /// Seconds between SIGTERM and SIGKILL when a program is stopped (600)
    #[arg(
        long = "custom-graceful-kill-timeout",
        env = "CUSTOM_GRACEFUL_KILL_TIMEOUT",
        value_name = "SECONDS"
    )]
    pub custom_graceful_kill_timeout: Option<u32>,
    /// Seconds to wait after SIGKILL (10)
    #[arg(
        long = "custom-force-kill-timeout",
        env = "CUSTOM_FORCE_KILL_TIMEOUT",
        value_name = "SECONDS"
    )]
    pub custom_force_kill_timeout: Option<u32>,
}

/// The flags that were given, as a section.
pub(super) fn custom_section(args: &CustomArgs) -> Table {
    let mut table = Table::new();
    for (key, value) in [
        ("config_exec", &args.custom_config_exec),
        ("prepare_exec", &args.custom_prepare_exec),
        ("run_exec", &args.custom_run_exec),
        ("cleanup_exec", &args.custom_cleanup_exec),
    ] {
        set_text(&mut table, key, value.as_deref());
    }
    for (key, values) in [
        ("config_args", &args.custom_config_args),
        ("prepare_args", &args.custom_prepare_args),
        ("run_args", &args.custom_run_args),
        ("cleanup_args", &args.custom_cleanup_args),
    ] {
        set_list(&mut table, key, values);
    }
    for (key, value) in [
        ("config_exec_timeout", args.custom_config_exec_timeout),
        ("prepare_exec_timeout", args.custom_prepare_exec_timeout),
        ("cleanup_exec_timeout", args.custom_cleanup_exec_timeout),
        ("graceful_kill_timeout", args.custom_graceful_kill_timeout),
        ("force_kill_timeout", args.custom_force_kill_timeout),
    ] {
        set_number(&mut table, key, value.map(u64::from));
    }
    table
}
