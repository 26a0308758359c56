//! GitLab's runner protocol, the coordinator's side: `/api/v4`.
//!
//! Stock clients are strict in what they read and lenient in what they send, so it is the other way round here: bodies
//! are read as JSON whatever they say they are, tokens are taken from header or body, answers are exactly the
//! protocol's. Errors are `{"message": …}`, never problem+json.

mod artifacts;
mod caches;
mod contacts;
pub(crate) mod dotenv;
mod job_token;
mod refusal;
mod register;
mod request;
mod routes;
mod terminals;
mod trace;
mod update;

pub use contacts::Contacts;
pub use request::offer;
pub use routes::router;
