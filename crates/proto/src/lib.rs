//! What goes over the wire: GitLab's runner protocol, our own REST API, and typed clients of both.
//!
//! Server, runner and fleet meet only here, over HTTP, even inside one process. The types carry no
//! behaviour beyond their own form; the clients know addresses, headers, retries and TLS files, and
//! leave every decision ("abort", "send again from offset 0") to their callers.

pub mod client;
pub mod gitlab;
pub mod rest;
pub mod terminal;
pub mod tls;
