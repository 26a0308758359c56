//! Names, edges, what filters take out, circles.

use foldhash::{HashMap, HashMapExt as _};

use crate::diag::{Problem, code};
use crate::lang::circleci::compiler::Compiler;
use crate::yaml::Span;

use super::entry::{Edge, Entry};

impl Compiler<'_, '_> {
    /// Makes names unique: where there are several, they get numbers.
    pub(super) fn name(&self, entries: &mut [Entry]) {
        let mut counts: HashMap<String, (usize, usize)> = HashMap::with_capacity(entries.len());
        for entry in entries.iter() {
            counts.entry(entry.name.clone()).or_default().0 += 1;
        }
        for entry in entries.iter_mut() {
            if let Some((several, number)) = counts.get_mut(&entry.name).filter(|(count, _)| *count > 1) {
                *number += 1;
                debug_assert!(number <= several);
                entry.name = format!("{}-{number}", entry.name);
            }
        }
        let mut known: HashMap<&str, Span> = HashMap::with_capacity(entries.len());
        for entry in entries.iter() {
            if let Some(first) = known.insert(&entry.name, entry.span) {
                let message = format!("there are two jobs named `{}` in the workflow", entry.name);
                let problem = Problem::new(&code::CIRCLECI_NAME, entry.span, message);
                let place = self.session.place(first);
                self.report(problem.hint(format!("the other is at {place}; give one of them another `name`")));
            }
        }
    }

    /// Resolves requirements, drops what filters take out, and looks for circles.
    pub(super) fn connect(&self, entries: &mut [Entry], what: &str, span: Span) {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::with_capacity(entries.len());
        let mut by_family: HashMap<&str, Vec<usize>> = HashMap::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            by_name.entry(&entry.name).or_default().push(index);
            by_family.entry(&entry.family).or_default().push(index);
        }
        let mut all = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let mut edges: Vec<Edge> = Vec::with_capacity(entry.requires.len());
            for requirement in &entry.requires {
                let others = |map: &HashMap<&str, Vec<usize>>| {
                    let found = map.get(requirement.name.as_str()).map_or(&[][..], Vec::as_slice);
                    let found = found.iter().copied();
                    found
                        .filter(|&other| other != index && entries[other].origin_differs(entry))
                        .collect::<Vec<_>>()
                };
                let mut found = others(&by_name);
                if found.is_empty() {
                    found = others(&by_family);
                    let is_renamed = |entry: &Entry| entry.named && entry.member.is_none();
                    // One that has a name of its own is meant only where nothing else is.
                    if found.iter().any(|&other| !is_renamed(&entries[other])) {
                        found.retain(|&other| !is_renamed(&entries[other]));
                    }
                }
                let matrix = found
                    .windows(2)
                    .all(|pair| entries[pair[0]].origin == entries[pair[1]].origin);
                if found.is_empty() || !matrix {
                    let count = found.len();
                    let name = &requirement.name;
                    let message = format!(
                        "job `{}` requires `{name}`, which is the name of {count} other jobs in {what}",
                        entry.name
                    );
                    let problem = Problem::new(&code::CIRCLECI_REQUIRES, requirement.span, message);
                    let problem = if self.session.may_suggest() {
                        problem.suggest(name, entries.iter().map(|entry| entry.name.as_str()))
                    } else {
                        problem
                    };
                    let names = entries.iter().map(|entry| format!("`{}`", entry.name));
                    self.report(problem.or_list(&format!("the jobs of {what} are"), names));
                    continue;
                }
                let new = found.into_iter().filter(|to| !edges.iter().any(|edge| edge.to == *to));
                let new: Vec<usize> = new.collect();
                edges.extend(new.into_iter().map(|to| Edge {
                    to,
                    statuses: requirement.statuses.clone(),
                }));
            }
            all.push(edges);
        }
        for (entry, edges) in entries.iter_mut().zip(all) {
            entry.edges = edges;
        }
        filter(entries);
        self.refuse_circles(entries, what, span);
    }

    fn refuse_circles(&self, entries: &[Entry], what: &str, span: Span) {
        let mut left: Vec<usize> = entries.iter().map(|entry| entry.edges.len()).collect();
        let after = followers(entries);
        let mut open: Vec<usize> = (0..entries.len()).filter(|&index| left[index] == 0).collect();
        while let Some(index) = open.pop() {
            for &follower in &after[index] {
                left[follower] -= 1;
                if left[follower] == 0 {
                    open.push(follower);
                }
            }
        }
        let stuck: Vec<&Entry> = entries
            .iter()
            .zip(&left)
            .filter(|(_, left)| **left > 0)
            .map(|(e, _)| e)
            .collect();
        let Some(first) = stuck.first() else { return };
        let names: Vec<String> = stuck.iter().take(20).map(|entry| format!("`{}`", entry.name)).collect();
        let all = if stuck.len() == entries.len() {
            ": at least one job must require nothing"
        } else {
            ""
        };
        let message = format!(
            "jobs of {what} can never start, since they require one another: {}{all}",
            names.join(", ")
        );
        let at = first.requires.first().map_or(span, |requirement| requirement.span);
        self.error(&code::CIRCLECI_CIRCLE, at, message);
    }
}

impl Entry {
    /// Members of one matrix do not require one another; jobs of a group may.
    fn origin_differs(&self, other: &Self) -> bool {
        self.origin != other.origin || (self.group.is_some() || other.group.is_some()) && self.name != other.name
    }
}

/// For each entry those that require it.
fn followers(entries: &[Entry]) -> Vec<Vec<usize>> {
    let mut after = vec![Vec::new(); entries.len()];
    for (index, entry) in entries.iter().enumerate() {
        for edge in &entry.edges {
            after[edge.to].push(index);
        }
    }
    after
}

/// A requirement that filters took out is as if it were not written; a job all of whose requirements are gone goes, too.
fn filter(entries: &mut [Entry]) {
    let after = followers(entries);
    let mut left: Vec<usize> = entries.iter().map(|entry| entry.edges.len()).collect();
    let mut open: Vec<usize> = (0..entries.len()).filter(|&index| !entries[index].kept).collect();
    while let Some(gone) = open.pop() {
        for &follower in &after[gone] {
            left[follower] -= 1;
            if left[follower] == 0 && entries[follower].kept {
                entries[follower].kept = false;
                open.push(follower);
            }
        }
    }
    let kept: Vec<bool> = entries.iter().map(|entry| entry.kept).collect();
    for entry in entries.iter_mut().filter(|entry| entry.kept) {
        entry.edges.retain(|edge| kept[edge.to]);
    }
}
