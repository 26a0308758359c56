//! Typed ids. All are positive 64-bit integers given out by the store: the runner protocol puts
//! the task's id on the wire as a JSON integer.

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

ids! {
    /// A repository that tasuki builds.
    ProjectId,
    /// What one trigger made of one project at one commit.
    PipelineId,
    /// A named graph of jobs in a pipeline.
    WorkflowId,
    /// A node of the graph.
    JobId,
    /// One attempt at one parallel part of a job: what a runner claims. The runner protocol calls it "job id".
    TaskId,
    /// A runner's registration (one token, any number of processes).
    RunnerId,
    /// A pool of runners, `namespace/name`.
    ResourceClassId,
    /// A person or a machine account.
    UserId,
}
