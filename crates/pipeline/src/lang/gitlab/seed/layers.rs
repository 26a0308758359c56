//! The variables of a pipeline in layers that its jobs share.

use std::cell::RefCell;
use std::rc::Rc;

use foldhash::HashMap;
use tasuki_model::plan::Variable;

use crate::Context;
use crate::lang::gitlab::entry::Inherit;
use crate::lang::gitlab::predefined;
use crate::lang::gitlab::variables::{Layer, Scope, VariableSource, settings};

/// What does not change from job to job.
pub(super) struct Layers<'c> {
    context: &'c Context,
    predefined: Layer,
    /// Root variables with those of the workflow rule over them.
    root: Rc<Layer>,
    user: Layer,
    given: Layer,
    /// Of the settings, by environment; one entry where no variable is scoped.
    settings: RefCell<HashMap<Option<String>, Rc<Layer>>>,
    scoped: bool,
    empty: Rc<Layer>,
}

impl<'c> Layers<'c> {
    pub(super) fn new(context: &'c Context, root: Vec<Variable>) -> Self {
        Self {
            context,
            predefined: Layer::new(predefined::pipeline(context, None)),
            root: Rc::new(Layer::new(root)),
            user: Layer::new(predefined::user(context)),
            given: Layer::new(context.trigger.variables.clone()),
            settings: RefCell::default(),
            scoped: context
                .variables
                .iter()
                .any(|v| !matches!(v.environment_scope.as_str(), "*" | "")),
            empty: Rc::default(),
        }
    }

    /// With the variables of the workflow rule that held.
    pub(super) fn with_workflow(mut self, variables: &[Variable]) -> Self {
        if !variables.is_empty() {
            let mut root = self.root.list().to_vec();
            for variable in variables {
                put(&mut root, variable.clone());
            }
            self.root = Rc::new(Layer::new(root));
        }
        self
    }

    /// The root variables that a job takes.
    pub(super) fn root(&self, inherit: &Inherit) -> Rc<Layer> {
        match inherit {
            Inherit::All => self.root.clone(),
            Inherit::Nothing => self.empty.clone(),
            Inherit::Only(_) => {
                let taken = self
                    .root
                    .list()
                    .iter()
                    .filter(|v| inherit.takes(&v.key))
                    .cloned()
                    .collect();
                Rc::new(Layer::new(taken))
            }
        }
    }

    /// Some variable of the settings counts for certain environments only.
    pub(super) fn is_scoped(&self) -> bool {
        self.scoped
    }

    pub(super) fn settings(&self, environment: Option<&str>) -> Rc<Layer> {
        let key = environment.filter(|_| self.scoped).map(str::to_owned);
        let mut known = self.settings.borrow_mut();
        let layer = known
            .entry(key)
            .or_insert_with_key(|key| Rc::new(Layer::new(settings(self.context, key.as_deref()))));
        layer.clone()
    }

    /// Everything in order of precedence. `job` are the predefined variables of the job, `own` those of its YAML.
    pub(super) fn scope<'a>(
        &'a self,
        job: &'a dyn VariableSource,
        root: &'a Layer,
        own: &'a Layer,
        settings: &'a Layer,
    ) -> Scope<'a> {
        Scope::new(vec![
            job,
            &self.predefined,
            root,
            own,
            &self.user,
            settings,
            &self.given,
        ])
    }
}

/// Adds a variable, or replaces the one of that name.
pub(super) fn put(list: &mut Vec<Variable>, variable: Variable) {
    match list.iter_mut().find(|known| known.key == variable.key) {
        Some(known) => *known = variable,
        None => list.push(variable),
    }
}
