//! Claim → sandbox → steps → trace. Meets the server only through `tasuki_proto`.

pub mod executor;
pub mod guest;
pub mod process;
pub mod script;
pub mod trace;
