//! What can be wrong with the references among variables.

use foldhash::{HashMap, HashMapExt as _};
use tasuki_model::plan::Variable;

use super::expand::{MAX_EXPANDED, references};
use super::scope::{MAX_CHAIN, Scope};

/// Why variables cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("circular variable reference detected: {}", .0.join(" refers to "))]
    Circle(Vec<String>),
    #[error("the variable `{0}` is at the end of a chain of more than {MAX_CHAIN} references")]
    TooDeep(String),
    #[error("the variable `{0}` expands to more than {MAX_EXPANDED} bytes")]
    TooLong(String),
}

/// A variable whose references are being followed.
struct Open<'a> {
    variable: &'a Variable,
    left: Vec<&'a str>,
    length: usize,
}

impl<'a> Scope<'a> {
    /// The first fault that one of `names` leads into. A variable that refers to itself is none.
    pub(crate) fn fault<'n>(&self, names: impl Iterator<Item = &'n str>) -> Option<Fault> {
        let mut lengths = HashMap::new();
        names
            .filter_map(|name| self.variable(name))
            .find_map(|variable| self.follow(variable, &mut lengths))
    }

    /// Depth first without recursion, keeping the expanded length of every variable that is done.
    fn follow(&self, start: &'a Variable, lengths: &mut HashMap<&'a str, usize>) -> Option<Fault> {
        let mut path = Vec::new();
        open(start, &mut path, lengths);
        while let Some(top) = path.last_mut() {
            if top.length > MAX_EXPANDED {
                return Some(Fault::TooLong(top.variable.key.clone()));
            }
            let Some(next) = top.left.last().copied() else {
                lengths.insert(&top.variable.key, top.length);
                path.pop();
                continue;
            };
            let known = lengths.get(next).copied();
            let own = next == top.variable.key;
            let target = self.variable(next).filter(|_| !own);
            match (known, target) {
                (Some(length), _) => top.length = top.length.saturating_add(length),
                (None, None) => {}
                (None, Some(_)) if path.len() > MAX_CHAIN => return Some(Fault::TooDeep(next.to_owned())),
                (None, Some(variable)) => {
                    if let Some(from) = path.iter().position(|open| open.variable.key == next) {
                        let names = path[from..].iter().map(|open| open.variable.key.clone());
                        return Some(Fault::Circle(names.chain([next.to_owned()]).collect()));
                    }
                    open(variable, &mut path, lengths);
                    continue;
                }
            }
            top.left.pop();
        }
        None
    }
}

fn open<'a>(variable: &'a Variable, path: &mut Vec<Open<'a>>, lengths: &mut HashMap<&'a str, usize>) {
    if variable.raw || !variable.value.contains(['$', '%']) {
        lengths.insert(&variable.key, variable.value.len());
    } else {
        path.push(Open {
            variable,
            left: references(&variable.value),
            length: variable.value.len(),
        });
    }
}
