//! Decides which task runs when and where, and moves jobs and pipelines on.
