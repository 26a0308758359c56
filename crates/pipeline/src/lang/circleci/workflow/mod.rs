//! Workflows: entries, matrix, filters, groups, the graph.

mod entry;
mod filter;
mod graph;
mod group;
mod matrix;
mod requires;
mod schedule;
mod workflows;
