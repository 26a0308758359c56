//! `matrix`.

use crate::diag::code;
use crate::lang::circleci::compiler::Compiler;
use crate::lang::circleci::read::{is_unknown, scalar};
use crate::lang::circleci::scope::Scope;
use crate::yaml::{Map, Node, Text};

/// A combination: parameters in the order of their names.
pub(super) type Values = Vec<(Text, Node)>;

#[derive(Debug)]
pub(super) struct Matrix {
    pub(super) alias: Option<String>,
    pub(super) members: Vec<Values>,
}

impl Compiler<'_, '_> {
    pub(super) fn matrix(&self, node: &Node, scope: &Scope) -> Option<Matrix> {
        let node = self.interpolate(node, scope);
        let map = self.map(&node, "`matrix`")?;
        self.only(map, "`matrix`", &["parameters", "exclude", "alias"]);
        let parameters = self.required(map, "parameters", "`matrix`", node.span)?;
        let mut axes = self.axes(self.map(parameters, "`parameters` of `matrix`")?, parameters)?;
        axes.sort_by(|(a, _), (b, _)| a.cmp(b));
        let most = self.session.input.context.limits.parallel;
        let count = axes
            .iter()
            .try_fold(1_usize, |count, (_, values)| count.checked_mul(values.len()));
        if count.is_none_or(|count| count > most) {
            let message = format!("the matrix makes more than {most} jobs");
            self.error(&code::CIRCLECI_MATRIX, node.span, message);
            return None;
        }
        let mut members: Vec<Values> = vec![Vec::new()];
        for (name, values) in &axes {
            members = members
                .iter()
                .flat_map(|member| {
                    values.iter().map(move |value| {
                        let mut member = member.clone();
                        member.push((name.clone(), value.clone()));
                        member
                    })
                })
                .collect();
        }
        if let Some(exclude) = map.get("exclude") {
            self.exclude(exclude, &axes, &mut members);
        }
        Some(Matrix {
            alias: map.get("alias").and_then(|node| self.text(node, "`alias` of `matrix`")),
            members,
        })
    }

    fn axes(&self, map: &Map, node: &Node) -> Option<Vec<(Text, Vec<Node>)>> {
        if map.is_empty() {
            self.error(&code::CIRCLECI_MATRIX, node.span, "the matrix has no parameters");
            return None;
        }
        let mut axes = Vec::with_capacity(map.len());
        for (key, value) in map.iter() {
            let name = key.text()?;
            let what = format!("matrix parameter `{name}`");
            if is_unknown(value) {
                return None;
            }
            let values = self.seq(value, &what)?;
            for value in values.iter().filter(|value| scalar(value).is_none()) {
                self.wrong_type(
                    value,
                    format_args!("each value of {what}"),
                    "a string, a number or a boolean",
                );
            }
            axes.push((name.clone(), values.to_vec()));
        }
        Some(axes)
    }

    fn exclude(&self, node: &Node, axes: &[(Text, Vec<Node>)], members: &mut Vec<Values>) {
        let Some(items) = self.seq(node, "`exclude` of `matrix`") else {
            return;
        };
        for item in items.iter() {
            let Some(map) = self.map(item, "each of `exclude`") else {
                continue;
            };
            let whole = map.len() == axes.len() && axes.iter().all(|(name, _)| map.get(name).is_some());
            if !whole {
                let names: Vec<&str> = axes.iter().map(|(name, _)| &**name).collect();
                let names = crate::lang::circleci::read::listed(&names);
                let message = format!("an excluded combination has a value for each of {names}");
                self.error(&code::CIRCLECI_MATRIX, item.span, message);
                continue;
            }
            let before = members.len();
            members.retain(|member| {
                !member
                    .iter()
                    .all(|(name, value)| map.get(name).is_some_and(|other| scalar(other) == scalar(value)))
            });
            if members.len() == before {
                self.no_effect(item.span, "the matrix has no such combination");
            }
        }
    }
}
