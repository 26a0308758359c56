//! Puts the parts of the server together, starts them and stops them in order.

mod error;
mod events;
mod projects;
mod start;
mod state;
mod vault;

pub use error::Error;
pub use events::{Change, Events};
pub use projects::Added;
pub use start::Running;
pub use state::App;
pub use vault::{Vault, project_scope, variables_of};
