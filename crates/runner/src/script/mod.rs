//! Shell text of the user's scripts.
//!
//! Only what the user wrote is made into shell text; checkout, caches and artifacts are the guest's work.

mod bash;
mod quote;

pub use bash::{Options, script, strict};
pub use quote::quote;
