//! What the charts come to.

use serde_json::Value;
use tasuki_runner::config::ConfigFile;
use tasuki_runner::executor::kubernetes::{Account, Purpose, Settings, rbac_manifest};

use super::helm::template;

const RUNNER: &str = "gitlabUrl: https://ci.example.com\nrunnerToken: glrt-secret\n";

/// The rendered objects.
fn objects(chart: &str, values: &str) -> Vec<Value> {
    let text = template(chart, "runners", values).unwrap_or_else(|error| panic!("{error}"));
    let parts = text.split("\n---").map(|part| part.trim_start_matches("---"));
    let objects =
        parts.map(|part| serde_saphyr::from_str::<Value>(part).unwrap_or_else(|error| panic!("{error}: {part}")));
    objects.filter(|object| !object.is_null()).collect()
}

fn one<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found: Vec<_> = objects.iter().filter(|object| object["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "{kind}: {objects:?}");
    found[0]
}

/// Covers: GK-RBAC-01, GK-RBAC-02, GK-RBAC-03, GK-NS-01, GK-VAR-05
#[test]
#[ignore = "needs helm: cargo xtask test charts"]
fn charts() {
    for (name, chart, values) in [
        ("runner_plain", "tasuki-runner", RUNNER.to_owned()),
        (
            "runner_own_account",
            "tasuki-runner",
            format!("{RUNNER}rbac: {{create: false}}\nserviceAccount: {{name: has-rights}}\nrunners: {{secret: has-token}}\n"),
        ),
        (
            "runner_everything",
            "tasuki-runner",
            format!(
                "{RUNNER}replicas: 2\nconcurrent: 30\nlogFormat: json\nrbac: {{clusterWideAccess: true, authorizedUsers: true}}\n\
                 metrics: {{enabled: true, serviceMonitor: {{enabled: true}}}}\nservice: {{enabled: true}}\n\
                 resources: {{limits: {{memory: 128Mi}}}}\nnodeSelector: {{role: ci}}\n\
                 tolerations: [{{key: ci, operator: Exists}}]\npodAnnotations: {{who: we}}\npodLabels: {{team: build}}\n\
                 envVars: [{{name: HTTPS_PROXY, value: \"http://proxy:3128\"}}]\nsecrets: [{{name: more, items: [{{key: a, path: b}}]}}]\n\
                 certsSecretName: certs\nimagePullSecrets: [pull]\npriorityClassName: high\n"
            ),
        ),
        ("server_plain", "tasuki", String::new()),
        (
            "server_everything",
            "tasuki",
            "replicas: 2\nexternalUrl: https://ci.example.com\nconfig: {database_url: \"postgres://db/ci\", blob_url: \"s3://ci\", lease_s: 20}\n\
             persistence: {enabled: false}\ningress: {enabled: true, host: ci.example.com, tlsSecret: cert, className: nginx}\n\
             serviceAccount: {create: true}\nextraEnvFrom: {AWS_SECRET_ACCESS_KEY: {secretKeyRef: {name: s3, key: secret}}}\n"
                .to_owned(),
        ),
    ] {
        let text = template(chart, "runners", &values).unwrap_or_else(|error| panic!("{name}: {error}"));
        // No two versions of the chart have the same.
        let text: String = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("checksum/"))
            .map(|line| format!("{}\n", line.trim_end()))
            .collect();
        insta::assert_snapshot!(name, text);
    }
}

/// Covers: GK-CFGX-11
#[test]
#[ignore = "needs helm: cargo xtask test charts"]
fn the_configuration_goes_through_as_it_is_written() {
    let toml = "[[runners]]\n  limit = 3\n  [runners.kubernetes]\n    namespace = \"{{ .Release.Namespace }}\"\n    image = \"debian:12\"\n    \
                [runners.kubernetes.node_selector]\n      \"role\" = \"ci\"\n";
    let indented: String = toml.lines().map(|line| format!("    {line}\n")).collect();
    let objects = objects("tasuki-runner", &format!("{RUNNER}runners:\n  config: |\n{indented}"));
    let map = one(&objects, "ConfigMap");
    let written = map["data"]["config.template.toml"].as_str().unwrap();
    assert_eq!(
        written.trim(),
        toml.replace("{{ .Release.Namespace }}", "runners").trim()
    );
    // The rest is a configuration that the runner reads.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, map["data"]["config.toml"].as_str().unwrap()).unwrap();
    let read = ConfigFile::load(&file).unwrap();
    assert!(read.unknown().is_empty());
    // The token is in a secret alone.
    let with_token: Vec<_> = objects
        .iter()
        .filter(|object| object.to_string().contains("glrt-secret"))
        .collect();
    assert!(with_token.is_empty(), "{with_token:?}");
}

/// Numbers of a values file are fractions to Helm, and none to the server.
#[test]
#[ignore = "needs helm: cargo xtask test charts"]
fn the_servers_configuration_is_one_that_it_reads() {
    let objects = objects(
        "tasuki",
        "config: {lease_s: 20, include_private_addresses: true, limits: {log_bytes: 100000000}, database_url: \"postgres://a/1.0\"}\n",
    );
    let written = one(&objects, "ConfigMap")["data"]["server.toml"].as_str().unwrap();
    let read: tasuki_server::config::Config =
        toml::from_str(written).unwrap_or_else(|error| panic!("{error}: {written}"));
    assert_eq!((read.lease_s, read.limits.log_bytes), (20, 100_000_000));
    assert_eq!(read.database_url.as_deref(), Some("postgres://a/1.0"));
    assert_eq!(read.external_url.as_deref(), Some("http://ci-tasuki.runners.svc:8700"));
}

/// Rules without regard to their order.
fn rules(objects: &[Value]) -> Vec<String> {
    let mut all: Vec<String> = objects
        .iter()
        .filter(|object| matches!(object["kind"].as_str(), Some("Role" | "ClusterRole")))
        .flat_map(|role| {
            let kind = role["kind"].as_str().unwrap().to_owned();
            let rules = role["rules"].as_array().unwrap().clone();
            rules.into_iter().map(move |rule| {
                let mut verbs: Vec<_> = rule["verbs"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                verbs.sort();
                format!("{kind} {} {} {}", rule["apiGroups"], rule["resources"], verbs.join(","))
            })
        })
        .collect();
    all.sort();
    all
}

/// The chart's switches give what the configuration needs, as `runner kubernetes-rbac` does.
#[test]
#[ignore = "needs helm: cargo xtask test charts"]
fn the_charts_roles_are_those_of_the_configuration() {
    for (switches, purpose, section) in [
        ("", Purpose::Jobs, ""),
        (
            "features: {warningEvents: false}",
            Purpose::Jobs,
            "print_pod_warning_events = false",
        ),
        (
            "features: {pullSecrets: false, resourceAvailabilityCheck: true}",
            Purpose::Jobs,
            "use_service_account_image_pull_secrets = true\nresource_availability_check_max_attempts = 3",
        ),
        (
            "features: {podEvents: true, podLogs: true}",
            Purpose::Jobs,
            "[runners.feature_flags]\nFF_PRINT_POD_EVENTS = true\nFF_KUBERNETES_HONOR_ENTRYPOINT = true",
        ),
        (
            "features: {warningEvents: false, podEvents: true}",
            Purpose::Jobs,
            "print_pod_warning_events = false\n[runners.feature_flags]\nFF_PRINT_POD_EVENTS = true",
        ),
        (
            "features: {podDisruptionBudget: true}",
            Purpose::Jobs,
            "pod_disruption_budget = true",
        ),
        (
            "clusterWideAccess: true",
            Purpose::Jobs,
            "namespace_overwrite_allowed = \"ci-.*\"",
        ),
        (
            "features: {namespacePerJob: true}",
            Purpose::Jobs,
            "namespace_per_job = true",
        ),
        (
            "features: {pausePods: true}",
            Purpose::Jobs,
            "[runners.kubernetes.autoscaler]\nmax_pause_pods = 1",
        ),
        ("features: {audit: true}", Purpose::JobsAndAudit, ""),
        (
            "features: {audit: true, namespacePerJob: true, podDisruptionBudget: true, pausePods: true}",
            Purpose::JobsAndAudit,
            "namespace_per_job = true\npod_disruption_budget = true\n[runners.kubernetes.autoscaler]\nmax_pause_pods = 1",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        let text = format!(
            "[[runners]]\nname = \"r\"\nurl = \"http://a\"\ntoken = \"t\"\nexecutor = \"kubernetes\"\n[runners.kubernetes]\nnamespace = \"runners\"\n{section}\n"
        );
        std::fs::write(&file, text).unwrap();
        let config = ConfigFile::load(&file)
            .unwrap()
            .config(&tasuki_runner::config::Environment::default())
            .unwrap();
        let settings = Settings::new(&config.runners[0]).unwrap();
        let account = Account {
            name: "ci-tasuki-runner".to_owned(),
            namespace: "runners".to_owned(),
        };
        let made = rbac_manifest(&settings, &account, purpose);
        let rendered = objects(
            "tasuki-runner",
            &format!("{RUNNER}rbac: {{create: true, {switches}}}\n"),
        );
        assert_eq!(rules(&rendered), rules(&made), "{switches}");
    }
}

#[test]
#[ignore = "needs helm: cargo xtask test charts"]
fn what_cannot_work_is_refused() {
    for (chart, values, wanted) in [
        ("tasuki-runner", "runnerToken: t", "gitlabUrl is missing"),
        ("tasuki-runner", "gitlabUrl: http://a", "runnerToken is missing"),
        ("tasuki", "replicas: 2", "config.database_url"),
        ("tasuki", "ingress: {enabled: true}", "ingress.host is missing"),
    ] {
        let error = template(chart, "runners", values).unwrap_err();
        assert!(error.contains(wanted), "{values}: {error}");
    }
}
