//! Needs: whom they name, and in which order jobs can be made.

use super::super::entry::Job;
use crate::Session;
use crate::diag::{Problem, code};

/// Indices of the jobs, each behind those that it needs; `None` where that cannot be, which has been told.
pub(super) fn order(session: &Session<'_>, jobs: &[Job]) -> Option<Vec<usize>> {
    let places: foldhash::HashMap<String, usize> = jobs
        .iter()
        .enumerate()
        .map(|(at, job)| (job.id.to_ascii_lowercase(), at))
        .collect();
    let mut good = true;
    let mut edges: Vec<Vec<usize>> = Vec::with_capacity(jobs.len());
    for job in jobs {
        let mut needs = Vec::with_capacity(job.needs.len());
        for (id, span) in &job.needs {
            match places.get(&id.to_ascii_lowercase()) {
                Some(at) => needs.push(*at),
                None => {
                    good = false;
                    let message = format!("job `{}` needs `{id}`, which is not there", job.id);
                    let mut problem = Problem::new(&code::GITHUB_NEEDS, *span, message);
                    if session.may_suggest() {
                        problem = problem.suggest(id, jobs.iter().map(|job| job.id.as_str()));
                    }
                    session.report(problem.or_list("the jobs are", jobs.iter().map(|job| &job.id)));
                }
            }
        }
        edges.push(needs);
    }
    if !good {
        return None;
    }
    let mut waiting: Vec<usize> = edges.iter().map(Vec::len).collect();
    let mut dependants: Vec<Vec<usize>> = vec![Vec::new(); jobs.len()];
    for (at, needs) in edges.iter().enumerate() {
        for need in needs {
            dependants[*need].push(at);
        }
    }
    let mut order: Vec<usize> = (0..jobs.len()).filter(|at| waiting[*at] == 0).collect();
    let mut next = 0;
    while let Some(at) = order.get(next).copied() {
        next += 1;
        for dependant in &dependants[at] {
            waiting[*dependant] -= 1;
            if waiting[*dependant] == 0 {
                order.push(*dependant);
            }
        }
    }
    if order.len() == jobs.len() {
        return Some(order);
    }
    circle(session, jobs, &edges, &waiting);
    None
}

fn circle(session: &Session<'_>, jobs: &[Job], edges: &[Vec<usize>], waiting: &[usize]) {
    // Every job that still waits needs one that still waits: following these leads into the circle.
    let Some(mut at) = waiting.iter().position(|count| *count > 0) else {
        return;
    };
    let mut way: Vec<usize> = Vec::new();
    while !way.contains(&at) {
        way.push(at);
        match edges[at].iter().find(|need| waiting[**need] > 0) {
            Some(need) => at = *need,
            None => return,
        }
    }
    let start = way.iter().position(|seen| *seen == at).unwrap_or(0);
    let mut names: Vec<&str> = way[start..].iter().map(|at| jobs[*at].id.as_str()).collect();
    names.push(&jobs[at].id);
    let message = format!("jobs need one another in a circle: {}", names.join(" → "));
    session.error(&code::GITHUB_NEEDS, jobs[at].span, message);
}
