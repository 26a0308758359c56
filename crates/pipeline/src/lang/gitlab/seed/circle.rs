//! Circles among needs.

use super::graph::Edge;
use crate::yaml::Span;

/// A circle, with its first member repeated at the end, and where its last need is written.
///
/// Kahn's order: what it leaves over holds a circle, which is walked to be shown.
pub(super) fn find(needs: &[&[Edge]]) -> Option<(Vec<usize>, Span)> {
    let mut waiting: Vec<usize> = needs.iter().map(|edges| edges.len()).collect();
    let mut dependants: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    for (from, edges) in needs.iter().enumerate() {
        for edge in *edges {
            dependants[edge.to].push(from);
        }
    }
    let mut ready: Vec<usize> = (0..needs.len()).filter(|at| waiting[*at] == 0).collect();
    while let Some(at) = ready.pop() {
        for from in &dependants[at] {
            waiting[*from] -= 1;
            if waiting[*from] == 0 {
                ready.push(*from);
            }
        }
    }
    walk(needs, &waiting)
}

fn walk(needs: &[&[Edge]], waiting: &[usize]) -> Option<(Vec<usize>, Span)> {
    let mut at = waiting.iter().position(|left| *left > 0)?;
    let mut path = Vec::new();
    let mut seen = vec![false; needs.len()];
    let mut span = Span::default();
    while !seen[at] {
        seen[at] = true;
        path.push(at);
        let edge = needs[at].iter().find(|edge| waiting[edge.to] > 0)?;
        span = edge.span;
        at = edge.to;
    }
    let start = path.iter().position(|step| *step == at)?;
    let mut circle = path.split_off(start);
    circle.push(at);
    Some((circle, span))
}
