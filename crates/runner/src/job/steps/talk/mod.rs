//! Steps that speak to those after them: outputs, environment and path through files, masks and notes through
//! commands in their output, conditions and expressions that see all of it.
//!
//! A job does so where its payload brings contexts. [`run`] goes through the steps, [`scope`] is what expressions see,
//! [`files`] and [`lines`] read what steps say.

mod environment;
mod files;
mod lines;
mod output;
mod run;
mod scope;
