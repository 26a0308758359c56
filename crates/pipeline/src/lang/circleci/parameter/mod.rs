//! Parameters: what is declared, what is given, and where it is put in.

mod arguments;
mod declaration;
mod interpolate;

pub(super) use arguments::Given;
pub(super) use declaration::{Declaration, Owner, Type, declarations, fits};
pub(super) use interpolate::{Resolved, whole};
