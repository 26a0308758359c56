//! Files and orbs: what they define.

mod contents;
mod load;
mod name;
mod orb;
mod source;

pub(super) use contents::{Found, Kind, Package};
pub(super) use load::{is_setup, load};
pub(super) use name::{check_parameter, check_title};
pub(super) use source::read;
