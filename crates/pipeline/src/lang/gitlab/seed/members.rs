//! Jobs after `parallel` is expanded.

use crate::Session;
use crate::diag::code;
use crate::lang::gitlab::entry::{Cell, Definition, JobEntry, Parallel, cell_name, cells};
use crate::yaml::Text;
use foldhash::{HashMap, HashMapExt as _};

/// A job of the pipeline: one of the siblings of a parallel job, or a job as written.
#[derive(Debug)]
pub(super) struct Member<'d> {
    pub(super) entry: &'d JobEntry,
    pub(super) name: Text,
    /// Index (from 1) and number of siblings.
    pub(super) parallel: Option<(u32, u32)>,
    /// Variables of the matrix.
    pub(super) cell: Cell,
}

/// All members, found by name and by the name of the job that they come from.
#[derive(Debug)]
pub(super) struct Members<'d> {
    pub(super) list: Vec<Member<'d>>,
    by_name: HashMap<Text, usize>,
    by_base: HashMap<&'d str, Vec<usize>>,
}

impl<'d> Members<'d> {
    /// Expands parallel jobs. More than the pipeline may have are reported, and not made.
    pub(super) fn of(session: &Session<'_>, definition: &'d Definition) -> Self {
        let mut members = Self {
            list: Vec::with_capacity(definition.jobs.len()),
            by_name: HashMap::with_capacity(definition.jobs.len()),
            by_base: HashMap::with_capacity(definition.jobs.len()),
        };
        let limit = session.input.context.limits.jobs;
        for entry in &definition.jobs {
            members.expand(entry);
            if members.list.len() > limit {
                let text = format!("the number of jobs has exceeded the limit of {limit} (parallel jobs count each)");
                session.error(&code::GITLAB_TOO_MANY, entry.span, text);
                break;
            }
        }
        for (at, member) in members.list.iter().enumerate() {
            members.by_base.entry(&member.entry.name).or_default().push(at);
        }
        members
    }

    fn expand(&mut self, entry: &'d JobEntry) {
        let plain = |name, parallel, cell| Member {
            entry,
            name,
            parallel,
            cell,
        };
        match &entry.parallel {
            None => self.put(plain(entry.name.clone(), None, Vec::new())),
            Some(Parallel::Count(total)) => {
                for index in 1..=*total {
                    let name = Text::from(format!("{} {index}/{total}", entry.name));
                    self.put(plain(name, Some((index, *total)), Vec::new()));
                }
            }
            Some(Parallel::Matrix(matrix)) => {
                let cells = cells(matrix);
                let total = u32::try_from(cells.len()).unwrap_or(u32::MAX);
                for (index, cell) in (1..=total).zip(cells) {
                    let name = Text::from(cell_name(&entry.name, &cell));
                    self.put(plain(name, Some((index, total)), cell));
                }
            }
        }
    }

    /// A later member of the same name takes the place of an earlier one.
    fn put(&mut self, member: Member<'d>) {
        match self.by_name.get(&member.name) {
            Some(at) => self.list[*at] = member,
            None => {
                self.by_name.insert(member.name.clone(), self.list.len());
                self.list.push(member);
            }
        }
    }

    /// What `needs` and `dependencies` mean by a name: all siblings of a job, or the one member of that name.
    pub(super) fn named(&self, name: &str) -> Vec<usize> {
        match self.by_base.get(name) {
            Some(all) => all.clone(),
            None => self.by_name.get(name).map(|at| vec![*at]).unwrap_or_default(),
        }
    }

    /// Every name that may be meant, for suggestions.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_base.keys().copied()
    }
}
