//! `job-groups`: jobs that are put into a workflow together.
//!
//! A group begins with a job that does nothing and has the group's requirements and filters, and ends with one that
//! requires all members: what requires the group, requires that.

use std::rc::Rc;

use crate::diag::{Problem, code};
use crate::lang::circleci::compiler::Compiler;
use crate::lang::circleci::package::{Found, Kind};
use crate::lang::circleci::scope::Scope;
use crate::yaml::{Map, Node};

use super::entry::Entry;
use super::requires::Requirement;

/// Names of the jobs around a group, after the group's own.
pub(super) const START: &str = "group-start";
pub(super) const END: &str = "group-end";

impl Compiler<'_, '_> {
    pub(super) fn group(
        &self,
        group: &str,
        element: &Node,
        (key, map): (&Node, Option<&Map>),
        scope: &Rc<Scope>,
        (origin, out): (usize, &mut Vec<Entry>),
    ) {
        let what = format!("job group `{group}`");
        let Some(body) = self.map(element, &what) else { return };
        self.only(body, &what, &["jobs", "description"]);
        if matches!(scope.package.find(Kind::Job, group), Found::Element(..)) {
            let message = format!("`{group}` is both a job and a job group");
            self.error(&code::CIRCLECI_NAME, key.span, message);
        }
        if let Some(map) = map {
            self.only(
                map,
                format_args!("an entry of {what}"),
                &["requires", "filters", "name", "serial-group"],
            );
            if let Some((key, _)) = map.entry("serial-group") {
                let problem = Problem::new(&code::UNSUPPORTED, key.span, "a job group cannot have a `serial-group`");
                self.report(problem.hint("give it to the jobs of the group"));
            }
        }
        let given = |word: &str| {
            map.and_then(|map| map.get(word))
                .map(|node| self.interpolate(node, scope))
        };
        let name = given("name").and_then(|node| self.text(&node, "`name`"));
        let name = name.unwrap_or_else(|| group.to_owned());
        let mut start = Entry::nothing(&format!("{name}/{START}"), key.span, origin, scope);
        start.requires = given("requires")
            .map(|node| self.requirements(&node, group))
            .unwrap_or_default();
        start.kept = self.keeps(map.and_then(|map| map.get("filters")), scope, &what);
        let Some(list) = self.required(body, "jobs", &what, element.span) else {
            return;
        };
        let Some(items) = self.seq(list, format_args!("`jobs` of {what}")) else {
            return;
        };
        let inner = Rc::new(Scope::of(&scope.package, what.clone()));
        for item in items.iter() {
            if let Some((key, _)) = self.head(item, &inner)
                && let Some(nested) = key.text()
                && matches!(scope.package.find(Kind::Group, nested), Found::Element(..))
            {
                let message = format!("{what} has another group in it, `{nested}`: groups cannot be nested");
                self.error(&code::CIRCLECI_VALUE, key.span, message);
                return;
            }
        }
        let mut members = self.entries(items, &inner);
        self.name(&mut members);
        let mut end = Entry::nothing(&format!("{name}/{END}"), key.span, origin, scope);
        end.family.clone_from(&name);
        for member in &mut members {
            member.group = Some(origin);
            member.named = true;
            let begins = member.requires.is_empty();
            for requirement in &mut member.requires {
                requirement.name = format!("{name}/{}", requirement.name);
            }
            member.name = format!("{name}/{}", member.name);
            member.family = format!("{name}/{}", member.family);
            let after = |name: &str| Requirement {
                name: name.to_owned(),
                statuses: Vec::new(),
                span: key.span,
            };
            if begins {
                member.requires.push(after(&start.name));
            }
            end.requires.push(after(&member.name));
        }
        start.group = Some(origin);
        out.push(start);
        out.append(&mut members);
        out.push(end);
    }
}
