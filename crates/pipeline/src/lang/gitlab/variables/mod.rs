//! Variables: where they come from, which wins, how references in them are expanded.
//!
//! Everything here works on [`Variable`]s as the Plan and the runner protocol know them, so that rules (when the
//! pipeline is made) and the payload of a task (when it is claimed) follow one set of rules.

mod expand;
mod fault;
mod scope;
mod settings;
mod sources;

pub use expand::{Circular, expand, expand_existing, expand_values, references};
pub use fault::Fault;
pub use scope::{Layer, Scope, VariableSource};
pub use settings::{scope_matches, settings};
pub use sources::Sources;
