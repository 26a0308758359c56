//! What the accounts of kubernetes runners may do.

use std::path::Path;
use std::time::Duration;

use tasuki_runner::commands::config_path;
use tasuki_runner::config::{ConfigFile, Environment, RunnerConfig};
use tasuki_runner::executor::kubernetes::{Permissions, Settings, permissions};

use super::{Finding, Verdict};

const CHECK: &str = "cluster";

/// How long a cluster may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// A finding for each runner with `executor = "kubernetes"`. None where no file is given and none lies at its usual place.
pub(super) async fn examine(given: Option<&Path>) -> Vec<Finding> {
    let environment = Environment(std::env::vars().collect());
    let here = std::env::current_dir().unwrap_or_default();
    let path = config_path(&environment, &here, given);
    if given.is_none() && !path.exists() {
        return Vec::new();
    }
    let config = ConfigFile::load(&path).and_then(|file| file.config(&environment));
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            let remedy = "`tasuki runner lint` names the line";
            return vec![Finding::bad(CHECK, Verdict::Failed, error.to_string(), remedy)];
        }
    };
    let mut all = Vec::new();
    for runner in config.runners.iter().filter(|runner| runner.executor == "kubernetes") {
        all.push(of(runner).await);
    }
    all
}

async fn of(runner: &RunnerConfig) -> Finding {
    let name = &runner.name;
    let found = async { permissions(&Settings::new(runner)?).await };
    match tokio::time::timeout(PATIENCE, found).await {
        Ok(Ok(found)) => judged(name, &found),
        Ok(Err(error)) => {
            let remedy = "check `host`, `context` and the credentials in [runners.kubernetes], or KUBECONFIG";
            Finding::bad(CHECK, Verdict::Failed, format!("{name}: {error}"), remedy)
        }
        Err(_) => Finding::bad(
            CHECK,
            Verdict::Failed,
            format!("{name}: it does not answer within {} s", PATIENCE.as_secs()),
            "check `host` in [runners.kubernetes], or KUBECONFIG; is a proxy in between?",
        ),
    }
}

fn judged(name: &str, found: &Permissions) -> Finding {
    let Permissions {
        address,
        needed,
        missing,
    } = found;
    if missing.is_empty() {
        return Finding::ok(
            CHECK,
            format!("{name}: the account has all {needed} rights at {address}"),
        );
    }
    let verdict = if missing.iter().all(|right| right.is_dispensable()) {
        Verdict::Warning
    } else {
        Verdict::Failed
    };
    let list: Vec<String> = missing.iter().map(ToString::to_string).collect();
    Finding::bad(
        CHECK,
        verdict,
        format!("{name}: the account at {address} may not {}", list.join("; ")),
        format!("tasuki runner kubernetes-rbac --name {name:?} | kubectl apply -f -"),
    )
}

#[cfg(test)]
mod tests {
    use tasuki_runner::executor::kubernetes::Right;

    use super::*;

    fn right(verb: &str, resource: &str) -> Right {
        Right {
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            group: String::new(),
            namespace: Some("ci".to_owned()),
        }
    }

    #[test]
    fn a_runner_that_works_without_a_right_is_only_warned_of() {
        for (missing, verdict, wanted) in [
            (Vec::new(), Verdict::Ok, "all 9 rights"),
            (
                vec![right("watch", "pods")],
                Verdict::Warning,
                "may not watch pods in the namespace ci",
            ),
            (
                vec![right("watch", "events"), right("get", "pods/log")],
                Verdict::Warning,
                "may not watch events in the namespace ci; get pods/log in the namespace ci",
            ),
            (
                vec![right("watch", "pods"), right("get", "pods/exec")],
                Verdict::Failed,
                "watch pods in the namespace ci; get pods/exec in the namespace ci",
            ),
        ] {
            let found = Permissions {
                address: "https://10.0.0.1:6443/".to_owned(),
                needed: 9,
                missing,
            };
            let finding = judged("runner", &found);
            assert_eq!(finding.verdict, verdict, "{}", finding.message);
            assert!(finding.message.contains(wanted), "{}", finding.message);
        }
    }
}
