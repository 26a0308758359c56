//! Values that are encrypted at rest.
//!
//! The [`Keyring`] is a file next to the database and never in it: whoever gets only the database (or a backup of
//! it) cannot read a value. Values carry the id of their key, so keys can be changed while the server runs.

mod keyring;
mod variables;

pub use keyring::{Error, Keyring, Sealed};
pub use variables::{NewVariable, OpenVariable, of_scope, put, rotate};
