//! A package: the main file, or an orb.

use std::rc::Rc;

use foldhash::HashMap;

use crate::lang::circleci::scope::Sight;
use crate::yaml::{Map, Node, Text};

/// What can be defined once and used often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lang::circleci) enum Kind {
    Command,
    Executor,
    Job,
    Group,
}

impl Kind {
    /// The key below which they are defined.
    pub(in crate::lang::circleci) fn key(self) -> &'static str {
        match self {
            Self::Command => "commands",
            Self::Executor => "executors",
            Self::Job => "jobs",
            Self::Group => "job-groups",
        }
    }

    pub(in crate::lang::circleci) fn word(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Executor => "executor",
            Self::Job => "job",
            Self::Group => "job group",
        }
    }
}

/// Where a package comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lang::circleci) enum Origin {
    Main,
    /// Written in the file below `orbs`.
    Inline,
    Registry,
}

#[derive(Debug)]
pub(in crate::lang::circleci) struct Package {
    pub(super) origin: Origin,
    pub(super) commands: Option<Map>,
    pub(super) executors: Option<Map>,
    pub(super) jobs: Option<Map>,
    pub(super) groups: Option<Map>,
    /// By alias.
    pub(super) orbs: HashMap<Text, Rc<Package>>,
    /// Orbs that could not be had: what uses them is not blamed as well.
    pub(super) missing: Vec<Text>,
}

/// What a name leads to.
pub(in crate::lang::circleci) enum Found<'p> {
    Element(&'p Rc<Package>, &'p Node),
    /// Belongs to an orb that could not be had.
    Lost,
    Nothing,
}

impl Package {
    pub(in crate::lang::circleci) fn empty() -> Self {
        Self {
            origin: Origin::Main,
            commands: None,
            executors: None,
            jobs: None,
            groups: None,
            orbs: HashMap::default(),
            missing: Vec::new(),
        }
    }

    fn map(&self, kind: Kind) -> Option<&Map> {
        match kind {
            Kind::Command => self.commands.as_ref(),
            Kind::Executor => self.executors.as_ref(),
            Kind::Job => self.jobs.as_ref(),
            Kind::Group => self.groups.as_ref(),
        }
    }

    /// Elements of a kind with their names.
    pub(in crate::lang::circleci) fn elements(&self, kind: Kind) -> impl Iterator<Item = (&Text, &Node)> {
        let entries = self.map(kind).into_iter().flat_map(|map| map.iter());
        entries.filter_map(|(key, node)| Some((key.text()?, node)))
    }

    /// Finds `name` here, or `orb/name` in an orb.
    pub(in crate::lang::circleci) fn find<'p>(self: &'p Rc<Self>, kind: Kind, name: &str) -> Found<'p> {
        let (package, name) = match name.split_once('/') {
            None => (self, name),
            Some((alias, inner)) => match self.orbs.get(alias) {
                Some(orb) => (orb, inner),
                None if self.missing.iter().any(|missing| &**missing == alias) => return Found::Lost,
                None => return Found::Nothing,
            },
        };
        match package.map(kind).and_then(|map| map.get(name)) {
            Some(node) => Found::Element(package, node),
            None => Found::Nothing,
        }
    }

    /// Names of a kind, those of orbs with their alias.
    pub(in crate::lang::circleci) fn names(&self, kind: Kind) -> Vec<String> {
        let mut names: Vec<String> = self.elements(kind).map(|(name, _)| name.to_string()).collect();
        for (alias, orb) in &self.orbs {
            names.extend(orb.elements(kind).map(|(name, _)| format!("{alias}/{name}")));
        }
        names.sort_unstable();
        names
    }

    pub(in crate::lang::circleci) fn inline_orbs(&self) -> impl Iterator<Item = &Rc<Self>> {
        self.orbs.values().filter(|orb| orb.origin == Origin::Inline)
    }

    pub(in crate::lang::circleci) fn sight(&self) -> Sight {
        match self.origin {
            Origin::Main => Sight::Pipeline,
            Origin::Inline | Origin::Registry => Sight::None,
        }
    }
}
