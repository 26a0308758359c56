//! Who signs for a bucket of Amazon's where the configuration has no keys, or wants a role: AWS's own ways to log in, as far
//! as `[runners.cache.s3]` needs them. All keys stay in this process.
//!
//! | File | Does |
//! |---|---|
//! | [`around`] | what the environment says |
//! | [`keyring`] | which keys count, for how long they are kept |
//! | [`metadata`] | keys of the machine or the container (public descriptions of IMDSv2 and of the container credential provider) |
//! | [`sts`] | keys of a role (`AssumeRole`, `AssumeRoleWithWebIdentity` of the STS API, version 2011-06-15) |
//! | [`sign`] | signature version 4 in the headers |

mod around;
mod keyring;
mod metadata;
mod sign;
mod sts;

pub use around::AwsSurroundings;
pub use keyring::Keyring;
pub(super) use keyring::Keys;
