//! Executors: one suite for all of them, and what each promises beyond it.

mod conformance;
mod custom;
mod shell;
mod terminals;
