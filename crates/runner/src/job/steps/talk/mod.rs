//! Steps that speak to those after them: outputs, environment and path through files, masks and notes through
//! commands in their output, conditions and expressions that see all of it.
//!
//! A job does so where its payload brings contexts. [`run`] goes through the steps, [`program`] runs what they name, [`scope`] is
//! what expressions see, [`files`], [`lines`] and [`matcher`] read what steps say.

mod contained;
mod environment;
mod files;
mod hashes;
mod lines;
mod matcher;
mod output;
mod program;
mod run;
mod scope;
