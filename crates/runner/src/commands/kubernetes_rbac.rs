//! `runner kubernetes-rbac`

use super::args::KubernetesRbacArgs;
use super::{Context, Error, Result};
use crate::config::RunnerConfig;
use crate::executor::kubernetes::{Account, Purpose, Settings, rbac_manifest};

/// Prints the objects that give a runner of config.toml its rights in the cluster.
pub(super) fn kubernetes_rbac(args: &KubernetesRbacArgs, context: &mut Context) -> Result<()> {
    let file = context.load(args.config.config.as_deref())?;
    let config = file.config(&context.environment)?;
    let fits = |runner: &&RunnerConfig| {
        runner.executor == "kubernetes" && args.name.as_ref().is_none_or(|name| *name == runner.name)
    };
    let found: Vec<&RunnerConfig> = config.runners.iter().filter(fits).collect();
    let runner = match found.as_slice() {
        [runner] => *runner,
        [] => {
            return Err(Error::usage(format!(
                "no runner of {} with executor = \"kubernetes\" fits; `runner list` shows those that are there",
                file.path().display()
            )));
        }
        several => {
            let names: Vec<&str> = several.iter().map(|runner| runner.name.as_str()).collect();
            return Err(Error::usage(format!(
                "several runners fit: name one of {} by --name",
                names.join(", ")
            )));
        }
    };
    let settings = Settings::new(runner).map_err(|error| Error::usage(error.to_string()))?;
    let account = Account {
        name: args.service_account.clone(),
        namespace: args.namespace.clone().unwrap_or_else(|| settings.namespace.clone()),
    };
    let purpose = if args.audit {
        Purpose::JobsAndAudit
    } else {
        Purpose::Jobs
    };
    let objects = rbac_manifest(&settings, &account, purpose);
    if args.json {
        let json = serde_json::to_string_pretty(&objects).map_err(|error| Error::Output(error.into()))?;
        return context.say(&json);
    }
    for object in &objects {
        let text =
            serde_saphyr::to_string(object).map_err(|error| Error::Output(std::io::Error::other(error.to_string())))?;
        context.say("---")?;
        context.say(text.trim_end())?;
    }
    Ok(())
}
