//! Files and orbs: what they define.

mod load;
mod name;
mod orb;
mod package;
mod source;

pub(super) use load::load;
pub(super) use name::{check_lower, check_title};
pub(super) use package::{Found, Kind, Package};
pub(super) use source::read;
