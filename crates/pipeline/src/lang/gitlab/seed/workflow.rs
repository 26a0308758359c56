//! `workflow`: whether there is a pipeline at all, and what it is called.

use tasuki_model::plan::{AutoCancel, Variable};

use super::facts::Facts;
use super::layers::Layers;
use super::select::holds;
use crate::lang::gitlab::entry::{Definition, RuleWhen};
use crate::lang::gitlab::variables::Layer;

/// What the workflow decides.
pub(super) struct Decision {
    pub(super) variables: Vec<Variable>,
    pub(super) auto_cancel: AutoCancel,
}

/// `None`: the pipeline is filtered out.
pub(super) fn decide(definition: &Definition, layers: &Layers<'_>, facts: &Facts<'_>) -> Option<Decision> {
    let workflow = &definition.workflow;
    let rule = match &workflow.rules {
        None => None,
        Some(rules) => {
            let (root, settings, nothing) = (
                layers.root(&Default::default()),
                layers.settings(None),
                Layer::default(),
            );
            let scope = layers.scope(&nothing, &root, &nothing, &settings);
            let rule = rules.iter().find(|rule| holds(rule, &scope, facts))?;
            if rule.when == Some(RuleWhen::Never) {
                return None;
            }
            Some(rule)
        }
    };
    let own = rule.map(|rule| rule.auto_cancel).unwrap_or_default();
    let general = workflow.auto_cancel;
    Some(Decision {
        variables: rule.map(|rule| rule.variables.clone()).unwrap_or_default(),
        auto_cancel: AutoCancel {
            on_new_commit: own.on_new_commit.or(general.on_new_commit).unwrap_or_default(),
            on_job_failure: own.on_job_failure.or(general.on_job_failure).unwrap_or_default(),
        },
    })
}

/// The pipeline's name: expanded, trimmed, and none where nothing is left.
pub(super) fn name(definition: &Definition, layers: &Layers<'_>) -> Option<String> {
    let name = definition.workflow.name.as_ref()?;
    let (root, settings, nothing) = (
        layers.root(&Default::default()),
        layers.settings(None),
        Layer::default(),
    );
    let scope = layers.scope(&nothing, &root, &nothing, &settings);
    let name: String = scope.expand(&name.text).trim().chars().take(255).collect();
    (!name.is_empty()).then_some(name)
}
