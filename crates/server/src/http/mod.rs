//! Everything that is reached over HTTP.
//!
//! | Room | What may go there |
//! |---|---|
//! | `runner_api` | GitLab's runner protocol, `/api/v4` |
//! | `trigger_api` | GitLab's trigger endpoint, `/api/v4/projects/{id}/trigger/pipeline` |
//! | `release_api` | GitLab's releases as jobs use them, `/api/v4/projects/{id}/releases` |
//! | `continue_api` | CircleCI's `/api/v2/pipeline/continue` |
//! | `rest` | our own API, `/api/v1` |
//! | `hooks` | webhooks of forges, `/hooks/{forge}` |
//! | `git` | repositories for runners, read-only |
//! | `health` | `/healthz`, `/readyz`, `/metrics` |
//! | the others | what all answers share |

mod continue_api;
mod download;
pub mod error;
pub mod extract;
mod git;
mod headers;
mod health;
mod hooks;
mod limit;
mod listener;
mod panic;
mod release_api;
mod request_id;
pub mod rest;
mod router;
pub mod runner_api;
pub(crate) mod sse;
mod trigger_api;
mod upgrade;

pub use limit::{RateLimiter, Refused};
pub use listener::serve;
pub use request_id::RequestId;
pub use router::{peer, router};
