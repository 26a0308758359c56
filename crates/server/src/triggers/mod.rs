//! What starts pipelines: webhooks of forges, new commits of local repositories, requests of people.
//!
//! | Room | What may go there |
//! |---|---|
//! | `forge/<name>` | one forge: signature, delivery id, events |

pub mod forge;
