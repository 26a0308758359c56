//! What starts pipelines: webhooks of forges, new commits of local repositories, requests of people.
//!
//! | Room | What may go there |
//! |---|---|
//! | `answer` | what the compiler asks for, from a commit, a folder or the network |
//! | `forge/<name>` | one forge: signature, delivery id, events |

pub mod answer;
pub mod forge;
