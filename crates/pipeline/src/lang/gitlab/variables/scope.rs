//! Lookups over layers that many jobs share.

use std::borrow::Cow;

use foldhash::HashMap;
use tasuki_model::plan::Variable;

use super::expand::{expand, expand_existing};
use crate::lang::gitlab::expr;

/// Something that has variables. Called for a name that no source above has.
pub trait VariableSource {
    fn find(&self, name: &str) -> Option<&Variable>;
}

/// Variables of one source. The last of a name wins.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    list: Vec<Variable>,
    /// Only for long lists: short ones are searched faster than hashed.
    index: HashMap<String, usize>,
}

const SHORT: usize = 8;

impl Layer {
    #[must_use]
    pub fn new(list: Vec<Variable>) -> Self {
        let index = if list.len() > SHORT {
            list.iter().enumerate().map(|(at, v)| (v.key.clone(), at)).collect()
        } else {
            HashMap::default()
        };
        Self { list, index }
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Variable> {
        if self.list.len() > SHORT {
            return self.index.get(name).map(|at| &self.list[*at]);
        }
        self.list.iter().rev().find(|v| v.key == name)
    }

    #[must_use]
    pub fn list(&self) -> &[Variable] {
        &self.list
    }

    #[must_use]
    pub fn into_list(self) -> Vec<Variable> {
        self.list
    }
}

impl VariableSource for Layer {
    fn find(&self, name: &str) -> Option<&Variable> {
        self.get(name)
    }
}

/// References followed for one text, and how deep: far more than anybody writes.
const MAX_STEPS: usize = 10_000;
pub(super) const MAX_CHAIN: usize = 100;

/// What was followed on the way to a value.
#[derive(Default)]
struct Trail<'a> {
    names: Vec<&'a str>,
    steps: usize,
}

/// Sources in order of precedence, the last wins.
#[derive(Clone, Default)]
pub struct Scope<'a> {
    layers: Vec<&'a dyn VariableSource>,
}

impl<'a> Scope<'a> {
    #[must_use]
    pub fn new(layers: Vec<&'a dyn VariableSource>) -> Self {
        Self { layers }
    }

    /// The variable that wins, as it was set.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&'a Variable> {
        self.find(name, self.layers.len()).map(|(_, variable)| variable)
    }

    fn find(&self, name: &str, below: usize) -> Option<(usize, &'a Variable)> {
        self.layers[..below]
            .iter()
            .enumerate()
            .rev()
            .find_map(|(at, layer)| layer.find(name).map(|variable| (at, variable)))
    }

    /// The value of a variable with everything in it expanded; undefined references in it become nothing.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<Cow<'a, str>> {
        self.resolve(name, self.layers.len(), &mut Trail::default())
    }

    fn resolve(&self, name: &str, below: usize, trail: &mut Trail<'a>) -> Option<Cow<'a, str>> {
        let (at, variable) = self.find(name, below)?;
        if variable.raw || !variable.value.contains(['$', '%']) {
            return Some(Cow::Borrowed(&variable.value));
        }
        // Circles, and chains beyond all measure, are reported where the pipeline is made.
        trail.steps += 1;
        let endless = trail.steps > MAX_STEPS || trail.names.len() > MAX_CHAIN;
        if endless || trail.names.contains(&variable.key.as_str()) {
            return None;
        }
        trail.names.push(&variable.key);
        let value = expand(&variable.value, |inner| {
            if inner != variable.key {
                return self.resolve(inner, self.layers.len(), trail);
            }
            // Itself is no circle: it means the layer below.
            let names = std::mem::take(&mut trail.names);
            let value = self.resolve(inner, at, trail);
            trail.names = names;
            value
        });
        trail.names.pop();
        Some(Cow::Owned(value))
    }

    /// Expands a name: undefined references become nothing.
    #[must_use]
    pub fn expand(&self, text: &str) -> String {
        expand(text, |name| self.value(name))
    }

    /// Expands what is defined and leaves the rest as written.
    #[must_use]
    pub fn expand_existing(&self, text: &str) -> String {
        expand_existing(text, |name| self.value(name))
    }
}

impl expr::Lookup for Scope<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.variable(name).map(|variable| variable.value.as_str())
    }
}
