//! Patterns that stand before overwrites.

use regex::Regex;
use tasuki_model::reason::FailureReason;
use tasuki_model::secret::Secret;

use super::super::names;
use crate::config::kubernetes::KubernetesConfig;
use crate::executor::{Error, Result, Task};

/// The patterns of a section. One that is empty is absent.
#[derive(Debug, Clone)]
pub(in super::super) struct Guards {
    namespace: Guard,
    service_account: Guard,
    pub(super) labels: Guard,
    pub(super) annotations: Guard,
    pub(super) node_selector: Guard,
    pub(super) tolerations: Guard,
    bearer_token: bool,
}

/// A key of the configuration with its pattern.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    key: &'static str,
    pattern: Option<Regex>,
}

impl Guards {
    /// # Errors
    /// A pattern is none.
    pub(in super::super) fn new(config: &KubernetesConfig) -> Result<Self> {
        Ok(Self {
            namespace: Guard::new("namespace_overwrite_allowed", &config.namespace_overwrite_allowed)?,
            service_account: Guard::new(
                "service_account_overwrite_allowed",
                &config.service_account_overwrite_allowed,
            )?,
            labels: Guard::new("pod_labels_overwrite_allowed", &config.pod_labels_overwrite_allowed)?,
            annotations: Guard::new(
                "pod_annotations_overwrite_allowed",
                &config.pod_annotations_overwrite_allowed,
            )?,
            node_selector: Guard::new(
                "node_selector_overwrite_allowed",
                &config.node_selector_overwrite_allowed,
            )?,
            tolerations: Guard::new(
                "node_tolerations_overwrite_allowed",
                &config.node_tolerations_overwrite_allowed,
            )?,
            bearer_token: config.bearer_token_overwrite_allowed,
        })
    }

    /// The namespace that the job wants.
    pub(in super::super) fn namespace(&self, task: &Task) -> Result<Option<String>> {
        self.namespace.named("KUBERNETES_NAMESPACE_OVERWRITE", task)
    }

    /// The service account that the job wants.
    pub(in super::super) fn service_account(&self, task: &Task) -> Result<Option<String>> {
        self.service_account.named("KUBERNETES_SERVICE_ACCOUNT_OVERWRITE", task)
    }

    /// The token that the job brings for the API.
    pub(in super::super) fn bearer_token(&self, task: &Task) -> Option<Secret> {
        let token = task
            .variable("KUBERNETES_BEARER_TOKEN")
            .filter(|token| !token.is_empty());
        token.filter(|_| self.bearer_token).map(Secret::new)
    }
}

impl Guard {
    fn new(key: &'static str, pattern: &str) -> Result<Self> {
        let pattern = (!pattern.is_empty()).then(|| Regex::new(pattern)).transpose();
        let pattern = pattern.map_err(|_| {
            Error::configuration(
                format!("{key} in [runners.kubernetes] is no regular expression"),
                "`tasuki runner lint` says what is wrong with it",
            )
        })?;
        Ok(Self { key, pattern })
    }

    /// The value of one variable, which names something of the cluster. The name becomes a part of addresses of the API:
    /// with a slash in it, a pattern that matches anywhere would let a job choose the whole address.
    fn named(&self, variable: &str, task: &Task) -> Result<Option<String>> {
        let value = self.one(variable, task)?;
        if let Some(name) = value.as_deref().filter(|name| !names::is_object(name)) {
            return Err(refused(format!(
                "{variable} = {name:?} is no name in Kubernetes: small letters, digits, dots and hyphens, a letter or digit at either \
                 end, 253 at most"
            )));
        }
        Ok(value)
    }

    /// The value of one variable.
    fn one(&self, variable: &str, task: &Task) -> Result<Option<String>> {
        match task.variable(variable) {
            Some(value) if !value.is_empty() && self.is_set() => {
                self.check(variable, value)?;
                Ok(Some(value.to_owned()))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// The variables whose names begin so, where the guard lets any through.
    pub(super) fn all<'t>(&self, prefix: &str, task: &'t Task) -> Result<Vec<(&'t str, &'t str)>> {
        if !self.is_set() {
            return Ok(Vec::new());
        }
        let named = task.variables.iter().filter(|(key, _)| key.starts_with(prefix));
        named
            .map(|(key, value)| {
                self.check(key, value)?;
                Ok((key.as_str(), value.as_str()))
            })
            .collect()
    }

    fn is_set(&self) -> bool {
        self.pattern.is_some()
    }

    fn check(&self, variable: &str, value: &str) -> Result<()> {
        match &self.pattern {
            Some(pattern) if !pattern.is_match(value) => Err(refused(format!(
                "{variable} = {value:?} is not allowed on this runner ({}): it does not match {:?}",
                self.key,
                pattern.as_str()
            ))),
            Some(_) | None => Ok(()),
        }
    }
}

/// What a job asks for and cannot have.
pub(in super::super) fn refused(message: String) -> Error {
    Error::job(FailureReason::RunnerConfigurationError, message)
}
