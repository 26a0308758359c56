//! Lookups over layers that many jobs share.

use std::borrow::Cow;
use std::collections::HashSet;

use foldhash::HashMap;
use tasuki_model::plan::Variable;

use super::expand::{expand, expand_existing, references};
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
        self.resolve(name, self.layers.len(), &mut Vec::new())
    }

    fn resolve(&self, name: &str, below: usize, open: &mut Vec<&'a str>) -> Option<Cow<'a, str>> {
        let (at, variable) = self.find(name, below)?;
        if variable.raw || !variable.value.contains(['$', '%']) {
            return Some(Cow::Borrowed(&variable.value));
        }
        if open.contains(&variable.key.as_str()) {
            // A circle: reported where the pipeline is made; a self-reference means the layer below.
            return None;
        }
        open.push(&variable.key);
        let opened = std::cell::RefCell::new(std::mem::take(open));
        let value = expand(&variable.value, |inner| {
            if inner == variable.key {
                // The list of open names is only searched for circles of two or more.
                return self.resolve(inner, at, &mut Vec::new());
            }
            self.resolve(inner, self.layers.len(), &mut opened.borrow_mut())
        });
        *open = opened.into_inner();
        open.pop();
        Some(Cow::Owned(value))
    }

    /// A circle of two or more variables that one of `names` leads into, first name repeated at the end.
    pub(crate) fn circle<'n>(&self, names: impl Iterator<Item = &'n str>) -> Option<Vec<String>> {
        let mut done = HashSet::new();
        for name in names {
            let Some(start) = self.variable(name) else { continue };
            // Each open variable with the references in it that are still to be followed.
            let mut path: Vec<(&'a str, Vec<&'a str>)> = Vec::new();
            self.open(start, &mut path, &done);
            while let Some((current, left)) = path.last_mut() {
                let current = *current;
                let Some(next) = left.pop() else {
                    done.insert(current);
                    path.pop();
                    continue;
                };
                if next == current || done.contains(next) {
                    continue;
                }
                if let Some(from) = path.iter().position(|(open, _)| *open == next) {
                    let names = path[from..].iter().map(|(open, _)| (*open).to_owned());
                    return Some(names.chain([next.to_owned()]).collect());
                }
                if let Some(variable) = self.variable(next) {
                    self.open(variable, &mut path, &done);
                }
            }
        }
        None
    }

    fn open(&self, variable: &'a Variable, path: &mut Vec<(&'a str, Vec<&'a str>)>, done: &HashSet<&'a str>) {
        if !done.contains(variable.key.as_str()) && !variable.raw && variable.value.contains(['$', '%']) {
            path.push((&variable.key, references(&variable.value)));
        }
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
