//! Keys of `[runners.kubernetes]` as flags.
//!
//! A flag for each key that is no section, named after it; gitlab-runner's own spelling differs from flag to flag, so dashes
//! and underscores are both understood.

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, Error, FromArgMatches, value_parser};
use serde::Deserialize as _;
use toml::{Table, Value};

use crate::config::kubernetes::KubernetesConfig;

/// `--kubernetes-…`
#[derive(Debug, Clone, Default)]
pub struct KubernetesArgs {
    section: Table,
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Truth,
    Number,
    List,
    /// `key=value` or `key:value`, may be repeated.
    Map,
    /// `key=value:effect`.
    Toleration,
    /// A list of objects as JSON.
    Json,
}

const FLAGS: &[(&str, Kind)] = &[
    ("host", Kind::Text),
    ("context", Kind::Text),
    ("cert_file", Kind::Text),
    ("key_file", Kind::Text),
    ("ca_file", Kind::Text),
    ("bearer_token", Kind::Text),
    ("bearer_token_overwrite_allowed", Kind::Truth),
    ("image", Kind::Text),
    ("namespace", Kind::Text),
    ("namespace_overwrite_allowed", Kind::Text),
    ("namespace_per_job", Kind::Truth),
    ("privileged", Kind::Truth),
    ("allow_privilege_escalation", Kind::Truth),
    ("runtime_class_name", Kind::Text),
    ("scheduler_name", Kind::Text),
    ("priority_class_name", Kind::Text),
    ("allowed_images", Kind::List),
    ("allowed_services", Kind::List),
    ("allowed_pull_policies", Kind::List),
    ("allowed_users", Kind::List),
    ("allowed_groups", Kind::List),
    ("pull_policy", Kind::List),
    ("node_selector", Kind::Map),
    ("node_selector_overwrite_allowed", Kind::Text),
    ("node_tolerations", Kind::Toleration),
    ("node_tolerations_overwrite_allowed", Kind::Text),
    ("image_pull_secrets", Kind::List),
    ("use_service_account_image_pull_secrets", Kind::Truth),
    ("helper_image", Kind::Text),
    ("helper_image_flavor", Kind::Text),
    ("helper_image_autoset_arch_and_os", Kind::Truth),
    ("guest_delivery", Kind::Text),
    ("pod_termination_grace_period_seconds", Kind::Number),
    ("cleanup_grace_period_seconds", Kind::Number),
    ("cleanup_resources_timeout", Kind::Text),
    ("poll_interval", Kind::Number),
    ("poll_timeout", Kind::Number),
    ("resource_availability_check_max_attempts", Kind::Number),
    ("retry_limit", Kind::Number),
    ("retry_backoff_max", Kind::Number),
    ("pod_labels", Kind::Map),
    ("pod_labels_overwrite_allowed", Kind::Text),
    ("pod_annotations", Kind::Map),
    ("pod_annotations_overwrite_allowed", Kind::Text),
    ("service_account", Kind::Text),
    ("service_account_overwrite_allowed", Kind::Text),
    ("automount_service_account_token", Kind::Truth),
    ("cap_add", Kind::List),
    ("cap_drop", Kind::List),
    ("host_aliases", Kind::Json),
    ("services", Kind::Json),
    ("dns_policy", Kind::Text),
    ("logs_base_dir", Kind::Text),
    ("scripts_base_dir", Kind::Text),
    ("print_pod_warning_events", Kind::Truth),
    ("pod_disruption_budget", Kind::Truth),
];

/// All of them: amounts are text.
fn flags() -> Vec<(&'static str, Kind)> {
    let config = KubernetesConfig::default();
    let amounts = config.amounts().into_iter().map(|(key, _)| (key, Kind::Text));
    FLAGS.iter().copied().chain(amounts).collect()
}

impl KubernetesArgs {
    /// The flags that were given, as a section.
    pub(super) fn section(&self) -> &Table {
        &self.section
    }
}

impl clap::Args for KubernetesArgs {
    fn augment_args(command: Command) -> Command {
        flags()
            .into_iter()
            .fold(command, |command, (key, kind)| command.arg(arg(key, kind)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// The flag of a key, its environment variable, and its other spelling.
fn arg(key: &'static str, kind: Kind) -> Arg {
    let dashed = format!("kubernetes-{}", key.replace('_', "-"));
    let spelled = format!("kubernetes-{key}");
    let mut arg = Arg::new(format!("kubernetes_{key}"))
        .long(dashed.clone())
        .env(format!("KUBERNETES_{}", key.to_uppercase()))
        .help(format!("Key {key} of [runners.kubernetes]"))
        .help_heading("Kubernetes")
        .hide_short_help(true)
        .hide_env_values(key == "bearer_token")
        .value_name("VALUE");
    if spelled != dashed {
        arg = arg.alias(spelled);
    }
    match kind {
        Kind::Text => arg,
        Kind::Truth => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(value_parser!(bool)),
        Kind::Number => arg.allow_negative_numbers(true).value_parser(value_parser!(i64)),
        Kind::List => arg.action(ArgAction::Append),
        Kind::Map => arg.action(ArgAction::Append).value_name("KEY=VALUE"),
        Kind::Toleration => arg.action(ArgAction::Append).value_name("KEY=VALUE:EFFECT"),
        Kind::Json => arg.value_name("JSON"),
    }
}

impl FromArgMatches for KubernetesArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        for (key, kind) in flags() {
            if let Some(value) = value(matches, &format!("kubernetes_{key}"), kind)? {
                self.section.insert(key.to_owned(), value);
            }
        }
        Ok(())
    }
}

fn value(matches: &ArgMatches, id: &str, kind: Kind) -> Result<Option<Value>, Error> {
    let texts = || matches.get_many::<String>(id).into_iter().flatten();
    let found = match kind {
        Kind::Text => matches.get_one::<String>(id).cloned().map(Value::String),
        Kind::Truth => matches.get_one::<bool>(id).copied().map(Value::Boolean),
        Kind::Number => matches.get_one::<i64>(id).copied().map(Value::Integer),
        Kind::List => {
            let list: Vec<Value> = texts().cloned().map(Value::String).collect();
            (!list.is_empty()).then_some(Value::Array(list))
        }
        Kind::Map => table(texts().map(|text| text.split_once(['=', ':']).ok_or(text)), id)?,
        Kind::Toleration => table(texts().map(|text| Ok(text.rsplit_once(':').unwrap_or((text, "")))), id)?,
        Kind::Json => match matches.get_one::<String>(id) {
            Some(text) => Some(json(text).map_err(|error| bad(&format!("{id}: {error}")))?),
            None => None,
        },
    };
    Ok(found)
}

fn table<'t>(
    pairs: impl Iterator<Item = Result<(&'t str, &'t str), &'t String>>,
    id: &str,
) -> Result<Option<Value>, Error> {
    let mut table = Table::new();
    for pair in pairs {
        let (key, value) = pair.map_err(|text| bad(&format!("{id}: {text:?} has no value: write key=value")))?;
        table.insert(key.to_owned(), Value::String(value.to_owned()));
    }
    Ok((!table.is_empty()).then_some(Value::Table(table)))
}

/// A list of objects; what TOML does not have (`null`) is refused.
fn json(text: &str) -> Result<Value, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    if !value.is_array() {
        return Err("it is no list of objects".to_owned());
    }
    Value::deserialize(value).map_err(|error| error.to_string())
}

fn bad(message: &str) -> Error {
    Error::raw(ErrorKind::ValueValidation, format!("{message}\n"))
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    fn parse(words: &[&str]) -> Result<Table, String> {
        let command = KubernetesArgs::augment_args(Command::new("register"));
        let matches = command
            .try_get_matches_from(std::iter::once(&"register").chain(words))
            .map_err(|error| error.to_string())?;
        let args = KubernetesArgs::from_arg_matches(&matches).map_err(|error| error.to_string())?;
        Ok(args.section().clone())
    }

    /// Covers: GK-SA-02
    /// Covers: GK-HOST-04
    /// Covers: GK-CFG-33
    #[test]
    fn flags_are_keys() {
        let check = |words: &[&str], wanted: &str| {
            let wanted: Table = wanted.parse().expect("is TOML");
            assert_eq!(parse(words), Ok(wanted), "{words:?}");
        };
        check(&[], "");
        check(&["--kubernetes-service-account", "ci"], "service_account = \"ci\"");
        check(&["--kubernetes-service_account", "ci"], "service_account = \"ci\"");
        check(
            &["--kubernetes-privileged", "--kubernetes-namespace-per-job=false"],
            "privileged = true\nnamespace_per_job = false",
        );
        check(
            &["--kubernetes-cpu-limit", "2", "--kubernetes-poll-timeout=60"],
            "cpu_limit = \"2\"\npoll_timeout = 60",
        );
        check(
            &[
                "--kubernetes-pull-policy",
                "always",
                "--kubernetes-pull-policy",
                "never",
            ],
            "pull_policy = [\"always\", \"never\"]",
        );
        check(
            &[
                "--kubernetes-node-selector",
                "role:ci",
                "--kubernetes-node-selector",
                "a=b",
            ],
            "node_selector = { role = \"ci\", a = \"b\" }",
        );
        check(
            &["--kubernetes-node-tolerations", "key=value:NoSchedule"],
            "node_tolerations = { \"key=value\" = \"NoSchedule\" }",
        );
        // One value is one toleration, as it is in the environment.
        check(
            &["--kubernetes-node-tolerations", "a=b:NoSchedule,c=d:NoExecute"],
            "node_tolerations = { \"a=b:NoSchedule,c=d\" = \"NoExecute\" }",
        );
        check(
            &[
                "--kubernetes-host_aliases",
                r#"[{"ip":"192.168.1.100","hostnames":["a","b"]},{"ip":"10.0.0.1","hostnames":["c"]}]"#,
            ],
            "host_aliases = [{ ip = \"192.168.1.100\", hostnames = [\"a\", \"b\"] }, { ip = \"10.0.0.1\", hostnames = [\"c\"] }]",
        );
        for words in [
            &["--kubernetes-host_aliases", "[{"][..],
            &["--kubernetes-host_aliases", "{}"],
            &["--kubernetes-node-selector", "role"],
            &["--kubernetes-poll-timeout", "long"],
            &["--kubernetes-privileged=perhaps"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }

    /// Every flag's key is one of the section, and every flag has an environment variable.
    ///
    /// Covers: GK-SA-01
    /// Covers: GK-SA-05
    #[test]
    fn keys_and_variables() {
        let command = KubernetesArgs::augment_args(Command::new("register"));
        let variables: Vec<String> = command
            .get_arguments()
            .filter_map(|arg| Some(arg.get_env()?.to_string_lossy().into_owned()))
            .collect();
        assert_eq!(variables.len(), flags().len());
        for name in [
            "KUBERNETES_SERVICE_ACCOUNT",
            "KUBERNETES_SERVICE_ACCOUNT_OVERWRITE_ALLOWED",
            "KUBERNETES_NODE_TOLERATIONS",
        ] {
            assert!(variables.iter().any(|variable| variable == name), "{name}");
        }
        for (key, kind) in flags() {
            let text = match kind {
                Kind::Text if key == "guest_delivery" => "\"helper\"",
                Kind::Text if key == "cleanup_resources_timeout" => "\"1m\"",
                Kind::Text => "\"1\"",
                Kind::Truth => "true",
                Kind::Number => "1",
                Kind::List => "[\"1\"]",
                Kind::Map | Kind::Toleration => "{ a = \"1\" }",
                Kind::Json => "[]",
            };
            let mut unknown = Vec::new();
            let text = format!("{key} = {text}");
            let read = toml::Deserializer::parse(&text).expect("is TOML");
            let config: Result<KubernetesConfig, _> =
                serde_ignored::deserialize(read, |path| unknown.push(path.to_string()));
            assert!(config.is_ok() && unknown.is_empty(), "{text}: {config:?} {unknown:?}");
        }
    }
}
