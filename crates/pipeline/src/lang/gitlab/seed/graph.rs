//! The graph of jobs: stages, needs, dependencies, circles. Rules play no part here.

use super::circle;
use super::matrix::interpolate;
use super::members::{Member, Members};
use crate::Session;
use crate::diag::{Problem, code};
use crate::lang::gitlab::entry::{Definition, Located, Matrix, NeedEntry, NeedForm, Selection, cell_name, cells};
use crate::yaml::{Span, Text};
use foldhash::{HashMap, HashSet, HashSetExt as _};
use tasuki_model::plan::EnvironmentAction;

/// A need of a job in the same pipeline.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    /// Index of the needed member.
    pub(super) to: usize,
    pub(super) artifacts: bool,
    pub(super) optional: bool,
    pub(super) span: Span,
}

/// The checked graph.
#[derive(Debug)]
pub(super) struct Graph<'d> {
    pub(super) members: Members<'d>,
    /// Of each member: index of its stage.
    pub(super) stages: Vec<usize>,
    /// Of each member: its needs in the same pipeline.
    pub(super) needs: Vec<Option<Vec<Edge>>>,
}

impl<'d> Graph<'d> {
    /// Expands parallel jobs and checks the graph.
    pub(super) fn of(session: &Session<'_>, definition: &'d Definition) -> Self {
        let members = Members::of(session, definition);
        let order: HashMap<&str, usize> = definition
            .stages
            .iter()
            .enumerate()
            .map(|(at, name)| (&**name, at))
            .collect();
        let stages = members
            .list
            .iter()
            .map(|member| stage(session, &order, &definition.stages, member))
            .collect();
        let mut graph = Self {
            members,
            stages,
            needs: Vec::new(),
        };
        graph.needs = (0..graph.members.list.len())
            .map(|at| {
                graph.members.list[at]
                    .entry
                    .needs
                    .as_ref()
                    .map(|needs| graph.edges(session, at, needs))
            })
            .collect();
        graph.check_rest(session);
        graph
    }

    /// What the entries mean for a member. Names that lead nowhere are reported, optional ones left out.
    pub(super) fn edges(&self, session: &Session<'_>, at: usize, needs: &[NeedEntry]) -> Vec<Edge> {
        let member = &self.members.list[at];
        let mut edges: Vec<Edge> = Vec::with_capacity(needs.len());
        let mut seen = HashSet::with_capacity(needs.len());
        for need in needs {
            let NeedForm::Job {
                name,
                artifacts,
                optional,
                matrix,
            } = &need.form
            else {
                continue;
            };
            let names = match need_names(member, name, matrix.as_ref()) {
                Ok(names) => names,
                Err(missing) => {
                    let text = format!(
                        "{} job: '{missing}' does not exist in matrix configuration",
                        member.name
                    );
                    session.error(&code::GITLAB_NEED, need.span, text);
                    continue;
                }
            };
            for name in names {
                let targets = self.members.named(&name);
                if targets.is_empty() && !optional {
                    self.undefined(
                        session,
                        member,
                        "need",
                        &Located {
                            text: name,
                            span: need.span,
                        },
                    );
                    continue;
                }
                for to in targets {
                    if !seen.insert(to) {
                        let text = format!(
                            "'{}' has the following needs duplicated: {}",
                            member.name, self.members.list[to].name
                        );
                        session.error(&code::GITLAB_NEED, need.span, text);
                        continue;
                    }
                    self.check_stage(session, at, to, "need", need.span);
                    edges.push(Edge {
                        to,
                        artifacts: *artifacts,
                        optional: *optional,
                        span: need.span,
                    });
                }
            }
        }
        self.check_count(session, member, needs, edges.len());
        edges
    }

    fn check_count(&self, session: &Session<'_>, member: &Member<'_>, needs: &[NeedEntry], count: usize) {
        let limit = session.input.context.limits.needs;
        if count > limit {
            let span = needs.first().map_or(member.entry.span, |need| need.span);
            let text = format!(
                "{}: one job can only need {limit} others, but you have listed {count} (parallel jobs count each)",
                member.name
            );
            let problem = Problem::new(&code::GITLAB_TOO_MANY, span, text);
            session.report(problem.hint("let the jobs go into an earlier stage and leave `needs` out"));
        }
    }

    fn undefined(&self, session: &Session<'_>, member: &Member<'_>, kind: &str, name: &Located) {
        let text = format!("{} job: undefined {kind}: {}", member.entry.name, name.text);
        let problem = Problem::new(&code::GITLAB_NEED, name.span, text);
        session.report(if session.may_suggest() {
            problem.suggest(&name.text, self.members.names())
        } else {
            problem
        });
    }

    fn check_stage(&self, session: &Session<'_>, from: usize, to: usize, kind: &str, span: Span) {
        if self.stages[to] > self.stages[from] {
            let (member, target) = (&self.members.list[from], &self.members.list[to]);
            let text = format!(
                "{} job: {kind} {} is not defined in current or prior stages",
                member.entry.name, target.name
            );
            let hint = format!(
                "`{}` is in stage `{}`, which comes after `{}`",
                target.name, target.entry.stage.text, member.entry.stage.text
            );
            session.report(Problem::new(&code::GITLAB_NEED, span, text).hint(hint));
        }
    }

    fn check_rest(&self, session: &Session<'_>) {
        for at in 0..self.members.list.len() {
            let entry = self.members.list[at].entry;
            // Siblings share everything but their matrix.
            let first = self.members.list[at].parallel.is_none_or(|(index, _)| index == 1);
            if !first {
                continue;
            }
            for dependency in entry.dependencies.iter().flatten() {
                let targets = self.members.named(&dependency.text);
                if targets.is_empty() {
                    self.undefined(session, &self.members.list[at], "dependency", dependency);
                }
                for to in targets {
                    self.check_stage(session, at, to, "dependency", dependency.span);
                }
            }
            if let Selection::Rules(rules) = &entry.selection {
                for needs in rules.iter().filter_map(|rule| rule.needs.as_ref()) {
                    self.edges(session, at, needs);
                }
            }
            self.check_on_stop(session, &self.members.list[at]);
        }
        let needs: Vec<&[Edge]> = self
            .needs
            .iter()
            .map(|needs| needs.as_deref().unwrap_or_default())
            .collect();
        self.check_circles(session, &needs);
    }

    fn check_on_stop(&self, session: &Session<'_>, member: &Member<'_>) {
        let Some(environment) = &member.entry.environment else {
            return;
        };
        let Some(on_stop) = &environment.on_stop else { return };
        let fail = |why: &str| {
            let text = format!("{} job: on_stop job {} {why}", member.entry.name, on_stop.text);
            let problem = Problem::new(&code::GITLAB_NEED, on_stop.span, text);
            let problem = if why.starts_with("is not") && session.may_suggest() {
                problem.suggest(&on_stop.text, self.members.names())
            } else {
                problem
            };
            session.report(problem);
        };
        let Some(target) = self
            .members
            .named(&on_stop.text)
            .first()
            .map(|to| &self.members.list[*to])
        else {
            return fail("is not defined");
        };
        match &target.entry.environment {
            None => fail("does not have environment defined"),
            Some(other) if other.name.text != environment.name.text => fail("have different environment name"),
            Some(other) if other.action != EnvironmentAction::Stop => fail("needs to have action stop defined"),
            Some(_) => {}
        }
    }

    /// Reports a circle among these needs, of each member.
    pub(super) fn check_circles(&self, session: &Session<'_>, needs: &[&[Edge]]) {
        let Some((circle, span)) = circle::find(needs) else {
            return;
        };
        let names: Vec<&str> = circle.iter().map(|at| &*self.members.list[*at].name).collect();
        let text = match names.as_slice() {
            [one, _] => format!("The pipeline has circular dependencies: self-dependency: {one}"),
            _ => format!("The pipeline has circular dependencies: {}", names.join(" needs ")),
        };
        session.error(&code::GITLAB_CIRCULAR_NEEDS, span, text);
    }
}

/// The names that an entry means: the job's, or those of the members that its matrix picks.
fn need_names(member: &Member<'_>, name: &str, matrix: Option<&Matrix>) -> Result<Vec<String>, String> {
    let name = interpolate(name, &member.cell)?;
    let Some(matrix) = matrix else { return Ok(vec![name]) };
    cells(matrix)
        .into_iter()
        .map(|cell| {
            let cell: Result<Vec<_>, String> = cell
                .into_iter()
                .map(|(key, value)| Ok((key, interpolate(&value, &member.cell)?)))
                .collect();
            Ok(cell_name(&name, &cell?))
        })
        .collect()
}

fn stage(session: &Session<'_>, order: &HashMap<&str, usize>, stages: &[Text], member: &Member<'_>) -> usize {
    let stage = &member.entry.stage;
    if let Some(at) = order.get(stage.text.as_str()) {
        return *at;
    }
    if member.parallel.is_none_or(|(index, _)| index == 1) {
        let known: Vec<&str> = stages.iter().map(|stage| &**stage).collect();
        let text = format!(
            "{} job: chosen stage {} does not exist; available stages are {}",
            member.entry.name,
            stage.text,
            known.join(", ")
        );
        let problem = Problem::new(&code::GITLAB_STAGE, stage.span, text).suggest(&stage.text, known);
        session.report(problem);
    }
    // Anything that lets the rest be checked without further complaints: the last one.
    stages.len()
}
