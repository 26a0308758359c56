//! Flags and their environment variables.

use std::path::PathBuf;

use super::custom_args::CustomArgs;
use super::docker_args::DockerArgs;
use super::kubernetes_args::KubernetesArgs;
use super::signals::SignalMode;
use crate::executor::helper_image;

use clap::{Args, Subcommand};

/// `runner …`
#[derive(Debug, Clone, Subcommand)]
pub enum RunnerCommand {
    /// Register a runner and add it to config.toml
    ///
    /// Example: tasuki runner register --non-interactive --url http://ci.example.com:8080 --token glrt-…
    Register(Box<RegisterArgs>),
    /// Work for all runners of config.toml
    ///
    /// Example: tasuki runner run --config runner.toml
    Run(RunArgs),
    /// Work for one runner without a config.toml
    ///
    /// Example: tasuki runner run-single --url http://ci.example.com:8080 --token glrt-…
    RunSingle(Box<RunSingleArgs>),
    /// Ask the servers whether the runners are still registered
    ///
    /// Example: tasuki runner verify --delete
    Verify(VerifyArgs),
    /// Check config.toml: its syntax, the names of its keys, its values
    ///
    /// Example: tasuki runner lint /etc/gitlab-runner/config.toml
    Lint(LintArgs),
    /// List the runners of config.toml
    ///
    /// Example: tasuki runner list
    List(ListArgs),
    /// Remove runners from their server and from config.toml
    ///
    /// Example: tasuki runner unregister --name build-1
    Unregister(UnregisterArgs),
    /// Exchange the token of a runner
    ///
    /// Example: tasuki runner reset-token --name build-1
    ResetToken(ResetTokenArgs),
    /// Remove what dead runners of this machine left: folders, processes, containers, networks, volumes
    ///
    /// Example: tasuki runner sweep --check
    Sweep(SweepArgs),
    /// Print the service account and the rights that a runner needs in its Kubernetes cluster
    ///
    /// Example: tasuki runner kubernetes-rbac --namespace runners | kubectl apply -f -
    KubernetesRbac(KubernetesRbacArgs),
    /// Make the helper image of the kubernetes executor of this machine's own files
    ///
    /// Example: tasuki runner kubernetes-helper-image helper.tar && docker load -i helper.tar
    KubernetesHelperImage(KubernetesHelperImageArgs),
    /// Install a systemd service
    ///
    /// Example: tasuki runner install --user ci
    Install(ServiceArgs),
    /// Remove the systemd service
    ///
    /// Example: tasuki runner uninstall
    Uninstall(ServiceArgs),
    /// Start the service
    ///
    /// Example: tasuki runner start
    Start(ServiceArgs),
    /// Stop the service
    ///
    /// Example: tasuki runner stop
    Stop(ServiceArgs),
    /// Stop and start the service
    ///
    /// Example: tasuki runner restart
    Restart(ServiceArgs),
    /// Tell whether the service runs
    ///
    /// Example: tasuki runner status
    Status(ServiceArgs),
}

/// Where config.toml is.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArg {
    /// Configuration file [default: /etc/gitlab-runner/config.toml as root, else ~/.gitlab-runner/config.toml]
    #[arg(short = 'c', long, env = "CONFIG_FILE", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Keys of `[[runners]]` as flags.
#[derive(Debug, Clone, Default, Args)]
pub struct RunnerArgs {
    /// Name shown on the server and in logs
    #[arg(long, visible_alias = "description", env = "RUNNER_NAME")]
    pub name: Option<String>,
    /// Address of the server
    #[arg(short = 'u', long, env = "CI_SERVER_URL")]
    pub url: Option<String>,
    /// Authentication token of the runner (glrt-…)
    #[arg(short = 't', long, env = "CI_SERVER_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Certificates to trust besides the system's
    #[arg(long, env = "CI_SERVER_TLS_CA_FILE", value_name = "FILE")]
    pub tls_ca_file: Option<PathBuf>,
    /// Client certificate
    #[arg(long, env = "CI_SERVER_TLS_CERT_FILE", value_name = "FILE")]
    pub tls_cert_file: Option<PathBuf>,
    /// Key of the client certificate
    #[arg(long, env = "CI_SERVER_TLS_KEY_FILE", value_name = "FILE")]
    pub tls_key_file: Option<PathBuf>,
    /// How jobs are run
    #[arg(long, env = "RUNNER_EXECUTOR")]
    pub executor: Option<String>,
    /// Jobs at a time of this runner (0 = no limit of its own)
    #[arg(long, env = "RUNNER_LIMIT")]
    pub limit: Option<u32>,
    /// Requests for work at a time
    #[arg(long, env = "RUNNER_REQUEST_CONCURRENCY")]
    pub request_concurrency: Option<u32>,
    /// Kilobytes of a job's log
    #[arg(long, env = "RUNNER_OUTPUT_LIMIT")]
    pub output_limit: Option<u64>,
    /// Folder of the sources
    #[arg(long, env = "RUNNER_BUILDS_DIR", value_name = "DIR")]
    pub builds_dir: Option<String>,
    /// Folder of the caches
    #[arg(long, env = "RUNNER_CACHE_DIR", value_name = "DIR")]
    pub cache_dir: Option<String>,
    /// Address to clone from instead of the server's
    #[arg(long, env = "CLONE_URL")]
    pub clone_url: Option<String>,
    /// Variable of all jobs (KEY=value), may be repeated
    #[arg(long = "env", env = "RUNNER_ENV", value_name = "KEY=VALUE")]
    pub environment: Vec<String>,
    /// Shell of the scripts (bash, sh)
    #[arg(long, env = "RUNNER_SHELL")]
    pub shell: Option<String>,
    /// Commands before the source is fetched
    #[arg(long, env = "RUNNER_PRE_GET_SOURCES_SCRIPT")]
    pub pre_get_sources_script: Option<String>,
    /// Commands after the source is fetched
    #[arg(long, env = "RUNNER_POST_GET_SOURCES_SCRIPT")]
    pub post_get_sources_script: Option<String>,
    /// Commands before the job's script, in its shell
    #[arg(long, env = "RUNNER_PRE_BUILD_SCRIPT")]
    pub pre_build_script: Option<String>,
    /// Commands after the job's script, in its shell
    #[arg(long, env = "RUNNER_POST_BUILD_SCRIPT")]
    pub post_build_script: Option<String>,
    /// Ignore CI_DEBUG_TRACE
    #[arg(long, env = "RUNNER_DEBUG_TRACE_DISABLED")]
    pub debug_trace_disabled: bool,
    /// Refused requests in a row until the runner rests
    #[arg(long, env = "RUNNER_UNHEALTHY_REQUESTS_LIMIT")]
    pub unhealthy_requests_limit: Option<u32>,
    /// How long it rests, e.g. 1h
    #[arg(long, env = "RUNNER_UNHEALTHY_INTERVAL")]
    pub unhealthy_interval: Option<String>,
    /// Tries to tell a job's final state
    #[arg(long, env = "RUNNER_JOB_STATUS_FINAL_UPDATE_RETRY_LIMIT")]
    pub job_status_final_update_retry_limit: Option<u32>,
    #[command(flatten)]
    pub docker: DockerArgs,
    #[command(flatten)]
    pub kubernetes: KubernetesArgs,
    #[command(flatten)]
    pub custom: CustomArgs,
}

/// `register`
#[derive(Debug, Clone, Default, Args)]
#[command(
    after_help = "Examples:\n  runner register -n --url https://ci.example.com --token glrt-… --executor shell\n  \
                        runner register --url https://ci.example.com --registration-token …"
)]
pub struct RegisterArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    #[command(flatten)]
    pub runner: RunnerArgs,
    /// Registration token (legacy): makes a new runner
    #[arg(short = 'r', long, env = "REGISTRATION_TOKEN", hide_env_values = true)]
    pub registration_token: Option<String>,
    /// config.toml with one [[runners]] section to take further keys from
    #[arg(long, env = "TEMPLATE_CONFIG_FILE", value_name = "FILE")]
    pub template_config: Option<PathBuf>,
    /// Tags, separated by commas
    #[arg(long, env = "RUNNER_TAG_LIST")]
    pub tag_list: Option<String>,
    /// Ask nothing
    #[arg(short = 'n', long, env = "REGISTER_NON_INTERACTIVE")]
    pub non_interactive: bool,
    /// Keep the runner on the server when registering fails later on
    #[arg(long, env = "REGISTER_LEAVE_RUNNER")]
    pub leave_runner: bool,
    /// Take jobs without tags [default: true where there are no tags]
    #[arg(long, env = "REGISTER_RUN_UNTAGGED", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub run_untagged: Option<bool>,
    /// Keep the runner to its project [default: true]
    #[arg(long, env = "REGISTER_LOCKED", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub locked: Option<bool>,
    /// not_protected or ref_protected
    #[arg(long, env = "REGISTER_ACCESS_LEVEL")]
    pub access_level: Option<String>,
    /// Longest time of a job in seconds
    #[arg(long, env = "REGISTER_MAXIMUM_TIMEOUT")]
    pub maximum_timeout: Option<u64>,
    /// Take no jobs at first
    #[arg(long, env = "REGISTER_PAUSED")]
    pub paused: bool,
    /// Note for administrators
    #[arg(long, env = "REGISTER_MAINTENANCE_NOTE")]
    pub maintenance_note: Option<String>,
}

/// `run`
#[derive(Debug, Clone, Default, Args)]
#[command(
    after_help = "Signals: SIGQUIT ends when the running jobs have ended; SIGTERM and SIGINT end them (see --signals); SIGHUP \
                        reads the configuration again.\n\nExample:\n  runner run --config /etc/gitlab-runner/config.toml"
)]
pub struct RunArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Folder that builds and caches are made in [default: the current one]
    #[arg(short = 'd', long, value_name = "DIR")]
    pub working_directory: Option<PathBuf>,
    /// Unix user of the jobs (needs root)
    #[arg(short = 'u', long)]
    pub user: Option<String>,
    /// Address of the metrics, host:port
    #[arg(long, env = "LISTEN_ADDRESS")]
    pub listen_address: Option<String>,
    /// What SIGTERM and SIGINT mean
    #[arg(long, value_enum, default_value_t, env = "TASUKI_RUNNER_SIGNALS")]
    pub signals: SignalMode,
    /// Name of the service; accepted for compatibility
    #[arg(short = 'n', long, hide = true)]
    pub service: Option<String>,
    /// Accepted for compatibility: the log goes to standard error, which systemd keeps
    #[arg(long, hide = true)]
    pub syslog: bool,
}

/// `run-single`
#[derive(Debug, Clone, Default, Args)]
#[command(
    after_help = "Example:\n  runner run-single --url https://ci.example.com --token glrt-… --executor shell --max-builds 1"
)]
pub struct RunSingleArgs {
    #[command(flatten)]
    pub runner: RunnerArgs,
    /// Take the runner of this name from config.toml
    #[arg(short = 'r', long = "runner", value_name = "NAME")]
    pub runner_name: Option<String>,
    #[command(flatten)]
    pub config: ConfigArg,
    /// End after so many jobs (0 = never)
    #[arg(long, env = "RUNNER_MAX_BUILDS", default_value_t = 0)]
    pub max_builds: u32,
    /// End when no job came for so many seconds (0 = never)
    #[arg(long, env = "RUNNER_WAIT_TIMEOUT", default_value_t = 0)]
    pub wait_timeout: u64,
    /// What SIGTERM and SIGINT mean
    #[arg(long, value_enum, default_value_t, env = "TASUKI_RUNNER_SIGNALS")]
    pub signals: SignalMode,
    /// Seconds that a job has to end at a forced stop (0 = 30)
    #[arg(long, env = "RUNNER_SHUTDOWN_TIMEOUT", default_value_t = 0)]
    pub shutdown_timeout: u64,
    /// Folder that builds and caches are made in [default: the current one]
    #[arg(short = 'd', long, value_name = "DIR")]
    pub working_directory: Option<PathBuf>,
}

/// Which runners of config.toml.
#[derive(Debug, Clone, Default, Args)]
pub struct Select {
    /// Name of the runner
    #[arg(long)]
    pub name: Option<String>,
    /// Address of its server
    #[arg(short = 'u', long)]
    pub url: Option<String>,
    /// Its token
    #[arg(short = 't', long)]
    pub token: Option<String>,
}

/// `verify`
#[derive(Debug, Clone, Default, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    #[command(flatten)]
    pub select: Select,
    /// Remove runners that their server does not know any more
    #[arg(long)]
    pub delete: bool,
}

/// `lint`
#[derive(Debug, Clone, Default, Args)]
#[command(
    after_help = "Prints FILE:LINE:COLUMN: MESSAGE for each problem. Exit code 0 without problems, 1 with some, 2 where the file \
                        cannot be read.\n\nExamples:\n  runner lint\n  runner lint ./config.toml --json"
)]
pub struct LintArgs {
    /// File to check [default: as for --config]
    #[arg(value_name = "CONFIG")]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub config: ConfigArg,
    /// Print a list of objects with file, line, column, message and hint
    #[arg(long)]
    pub json: bool,
}

/// `list`
#[derive(Debug, Clone, Default, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub config: ConfigArg,
}

/// `sweep`
#[derive(Debug, Clone, Default, Args)]
pub struct SweepArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Afterwards list what still belongs to jobs on the container engines, and fail when there is something
    #[arg(long)]
    pub check: bool,
    /// Folder that builds and caches are made in [default: the current one]
    #[arg(short = 'd', long, value_name = "DIR")]
    pub working_directory: Option<PathBuf>,
}

/// `kubernetes-rbac`
#[derive(Debug, Clone, Default, Args)]
#[command(
    after_help = "Prints YAML documents: a ServiceAccount, and a Role with its RoleBinding in the namespace of the pods; a ClusterRole \
                        instead where jobs choose their namespace or get one of their own.\n\nExamples:\n  \
                        runner kubernetes-rbac --namespace runners | kubectl apply -f -\n  \
                        runner kubernetes-rbac --name build-1 --service-account ci --audit"
)]
pub struct KubernetesRbacArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Name of the runner, where several have executor = "kubernetes"
    #[arg(long)]
    pub name: Option<String>,
    /// Name of the service account, the role and the binding
    #[arg(long, default_value = "tasuki-runner", value_name = "NAME")]
    pub service_account: String,
    /// Namespace of the service account [default: that of the pods]
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Also the rights that `runner sweep --check` needs
    #[arg(long)]
    pub audit: bool,
    /// Print a list of objects as JSON
    #[arg(long)]
    pub json: bool,
}

/// `kubernetes-helper-image`
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The archive holds this program, and git, ssh and a shell of this machine with their libraries. `docker load`, \
                        `ctr images import` and `kind load image-archive` take it.\n\nExamples:\n  \
                        runner kubernetes-helper-image helper.tar\n  \
                        runner kubernetes-helper-image helper.tar --name registry.example.com/tasuki-helper:1\n  \
                        runner kubernetes-helper-image helper.tar --user 59417:59417"
)]
pub struct KubernetesHelperImageArgs {
    /// Where the archive goes; a file that exists is replaced
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Name of the image [default: the one that a runner of this version takes without `helper_image`]
    #[arg(long, value_name = "IMAGE")]
    pub name: Option<String>,
    /// Whom its programs run as, where a policy of the cluster wants nobody to be root [default: root]
    #[arg(long, value_name = "UID[:GID]")]
    pub user: Option<helper_image::User>,
}

/// `unregister`
#[derive(Debug, Clone, Default, Args)]
pub struct UnregisterArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    #[command(flatten)]
    pub select: Select,
    /// All runners of config.toml
    #[arg(long)]
    pub all_runners: bool,
}

/// `reset-token`
#[derive(Debug, Clone, Default, Args)]
pub struct ResetTokenArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    #[command(flatten)]
    pub select: Select,
    /// Id of the runner
    #[arg(long)]
    pub id: Option<i64>,
    /// All runners of config.toml
    #[arg(long)]
    pub all_runners: bool,
    /// Personal access token, where the runner's own is lost
    #[arg(long, env = "PAT", hide_env_values = true)]
    pub pat: Option<String>,
}

/// `install`, `uninstall`, `start`, `stop`, `restart`, `status`
#[derive(Debug, Clone, Default, Args)]
pub struct ServiceArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Name of the service
    #[arg(short = 'n', long, default_value = "tasuki-runner")]
    pub service: String,
    /// Folder that builds and caches are made in [default: /var/lib/tasuki-runner]
    #[arg(short = 'd', long, value_name = "DIR")]
    pub working_directory: Option<PathBuf>,
    /// Unix user of the jobs
    #[arg(short = 'u', long)]
    pub user: Option<String>,
}
