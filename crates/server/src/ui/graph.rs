//! Where the jobs of a pipeline stand in its picture, and the lines between them.
//!
//! Jobs are HTML (so they can be read, tabbed to and searched), in columns by stage; only the lines are SVG.
//! Both follow from the measures here, which `app.css` repeats.

use std::fmt::Write as _;

use tasuki_proto::rest::Status;

use super::show;

const COLUMN: usize = 216;
const COLUMN_GAP: usize = 64;
const HEAD: usize = 28;
const NODE: usize = 38;
const NODE_GAP: usize = 10;
/// More lines than this are a carpet, not a picture.
const MOST_EDGES: usize = 600;

/// A job in the picture.
pub(super) struct Node {
    pub url: String,
    pub name: String,
    pub status: Status,
    /// Failed, but that is allowed.
    pub warning: bool,
    pub took: Option<String>,
    /// Jobs that it needs, by (column, row).
    pub needs: Vec<(usize, usize)>,
    /// The pipeline that it started.
    pub down: Option<Down>,
}

/// A pipeline that a job started, beside the job.
pub(super) struct Down {
    pub url: String,
    pub id: i64,
    pub project: String,
    pub status: Status,
}

impl Down {
    /// Class in the style sheet.
    #[must_use]
    pub(super) fn class(&self) -> &'static str {
        self.status.as_str()
    }

    /// State for people.
    #[must_use]
    pub(super) fn word(&self) -> &'static str {
        show::word(self.status)
    }
}

impl Node {
    /// Class in the style sheet.
    #[must_use]
    pub(super) fn class(&self) -> &'static str {
        if self.warning { "warning" } else { self.status.as_str() }
    }

    /// State for people.
    #[must_use]
    pub(super) fn word(&self) -> &'static str {
        if self.warning {
            "failed, which is allowed"
        } else {
            show::word(self.status)
        }
    }
}

/// A column of the picture.
pub(super) struct Column {
    pub title: String,
    pub nodes: Vec<Node>,
}

/// A line from a job to one that needs it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub path: String,
    /// What it waits for has succeeded.
    pub done: bool,
}

/// The picture of one workflow.
pub(super) struct Graph {
    pub columns: Vec<Column>,
    pub edges: Vec<Edge>,
    /// Lines were left out because there are too many of them.
    pub crowded: bool,
    pub width: usize,
    pub height: usize,
}

impl Graph {
    /// Lays the columns out.
    #[must_use]
    pub(super) fn new(columns: Vec<Column>) -> Self {
        let all: usize = columns.iter().flat_map(|c| &c.nodes).map(|n| n.needs.len()).sum();
        let crowded = all > MOST_EDGES;
        let edges = if crowded { Vec::new() } else { edges(&columns) };
        let rows = columns.iter().map(|c| c.nodes.len()).max().unwrap_or(0);
        let width = (columns.len() * (COLUMN + COLUMN_GAP)).saturating_sub(COLUMN_GAP);
        Self {
            columns,
            edges,
            crowded,
            width,
            height: HEAD + rows * (NODE + NODE_GAP),
        }
    }
}

fn edges(columns: &[Column]) -> Vec<Edge> {
    let mut all = Vec::new();
    for (column, from) in columns.iter().enumerate() {
        for (row, node) in from.nodes.iter().enumerate() {
            for &(c, r) in &node.needs {
                let Some(needed) = columns.get(c).and_then(|column| column.nodes.get(r)) else {
                    continue;
                };
                all.push(Edge {
                    path: path((c, r), (column, row)),
                    done: needed.status == Status::Success,
                });
            }
        }
    }
    all
}

/// From the right edge of the needed job to the left edge of the other one. Within one column it goes around the
/// right side; over several columns it runs in the gap below the needed job's row, so that it passes no job in
/// between as if it were its.
fn path(from: (usize, usize), to: (usize, usize)) -> String {
    let left = |column: usize| column * (COLUMN + COLUMN_GAP);
    let middle = |row: usize| HEAD + row * (NODE + NODE_GAP) + NODE / 2;
    let (x1, y1) = (left(from.0) + COLUMN, middle(from.1));
    let y2 = middle(to.1);
    if to.0 <= from.0 {
        let around = x1 + COLUMN_GAP / 2;
        return format!("M{x1} {y1}C{around} {y1} {around} {y2} {x1} {y2}");
    }
    let x2 = left(to.0);
    let bend = x2 - COLUMN_GAP;
    let half = COLUMN_GAP / 2;
    let mut out = format!("M{x1} {y1}");
    let lane = if to.0 == from.0 + 1 {
        y1
    } else {
        let lane = y1 + (NODE + NODE_GAP) / 2;
        let settled = x1 + COLUMN_GAP;
        let _ = write!(
            out,
            "C{} {y1} {} {lane} {settled} {lane}H{bend}",
            x1 + half,
            settled - half
        );
        lane
    };
    let _ = write!(out, "C{} {lane} {} {y2} {x2} {y2}", bend + half, x2 - half);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(needs: &[(usize, usize)]) -> Node {
        Node {
            url: "/jobs/1".into(),
            name: "n".into(),
            status: Status::Success,
            warning: false,
            took: None,
            needs: needs.to_vec(),
            down: None,
        }
    }

    #[test]
    fn lines_go_from_the_needed_job_to_the_other() {
        let graph = Graph::new(vec![
            Column {
                title: "build".into(),
                nodes: vec![node(&[]), node(&[(0, 0)])],
            },
            Column {
                title: "test".into(),
                nodes: vec![node(&[(0, 1), (7, 7)])],
            },
        ]);
        let paths: Vec<_> = graph.edges.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths, ["M216 47C248 47 248 95 216 95", "M216 95C248 95 248 47 280 47"]);
        assert_eq!((graph.width, graph.height), (496, 28 + 2 * 48));
    }

    #[test]
    fn a_long_line_passes_below_the_jobs_between() {
        assert_eq!(
            path((0, 0), (2, 1)),
            "M216 47C248 47 248 71 280 71H496C528 71 528 95 560 95"
        );
    }

    #[test]
    fn a_carpet_of_lines_is_left_out() {
        let first = Column {
            title: "a".into(),
            nodes: (0..40).map(|_| node(&[])).collect(),
        };
        let all: Vec<_> = (0..40).map(|row| (0, row)).collect();
        let second = Column {
            title: "b".into(),
            nodes: (0..40).map(|_| node(&all)).collect(),
        };
        let graph = Graph::new(vec![first, second]);
        assert!(graph.crowded && graph.edges.is_empty());
    }
}
