//! A person's second thoughts: retry, and the jobs that were decided upon by what is now played again.

use std::collections::BTreeMap;

use super::class::Class;
use super::core::Graph;
use super::node::NodeIndex;
use crate::state::{BadTransition, Outcome, job};
use crate::time::Timestamp;

/// What a predecessor's new turn takes back.
const REOPENED: [Class; 2] = [Class::Skipped, Class::Scheduled];

impl Graph {
    /// Runs an ended job again, past its gate, and lets what was skipped or scheduled after it be decided again.
    ///
    /// # Errors
    /// It has not ended.
    pub fn retry(&mut self, node: NodeIndex, now: Timestamp) -> Result<(), BadTransition> {
        self.apply(node, job::Event::Retry, now)?;
        self.start(node, now)?;
        self.reset_after(&[node], now)
    }

    /// Sets every failed or cancelled job back to its beginning, so that the next settling runs them in order.
    /// Returns how many there were.
    ///
    /// # Errors
    /// Never in a graph whose jobs are only changed through [`Graph::apply`].
    pub fn retry_failed(&mut self, now: Timestamp) -> Result<usize, BadTransition> {
        let failed: Vec<NodeIndex> = self
            .indices()
            .filter(|node| {
                matches!(
                    self.state(*node).outcome(),
                    Some(Outcome::Failed(_) | Outcome::Canceled)
                )
            })
            .collect();
        for node in &failed {
            self.apply(*node, job::Event::Retry, now)?;
        }
        self.reset_after(&failed, now)?;
        Ok(failed.len())
    }

    /// Sets jobs of later stages, and those that need one of `nodes` directly or over others, back to undecided if
    /// they were skipped or wait for their time: a delay begins when what comes before is done (GitLab's `start_in`).
    pub(super) fn reset_after(&mut self, nodes: &[NodeIndex], now: Timestamp) -> Result<(), BadTransition> {
        let mut from: BTreeMap<u32, u32> = BTreeMap::new();
        for node in nodes {
            let spec = self.spec(*node);
            let stage = from.entry(spec.workflow).or_insert(spec.stage);
            *stage = (*stage).min(spec.stage);
        }
        let mut open: Vec<u32> = nodes.iter().map(|node| node.0).collect();
        for (workflow, stage) in from {
            let workflow = &self.workflows[workflow as usize];
            let later = workflow.first + stage as usize + 1..workflow.first + workflow.stages;
            let decided: Vec<u32> = self.stages[later]
                .iter()
                .filter(|stage| REOPENED.iter().any(|class| stage.counts.of(*class) > 0))
                .flat_map(|stage| stage.nodes.iter().copied())
                .filter(|i| REOPENED.contains(&self.nodes[*i as usize].class))
                .collect();
            for i in decided {
                self.apply(NodeIndex(i), job::Event::Reset, now)?;
                open.push(i);
            }
        }
        while let Some(i) = open.pop() {
            for d in self.nodes[i as usize].dependents.clone() {
                if REOPENED.contains(&self.nodes[d as usize].class) {
                    self.apply(NodeIndex(d), job::Event::Reset, now)?;
                    open.push(d);
                }
            }
        }
        Ok(())
    }
}
