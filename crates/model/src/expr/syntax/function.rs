//! What functions there are, and how many arguments each takes.

use super::{Names, Problem};

/// Name, least and most arguments, the numbers in words, whether it is available everywhere.
const FUNCTIONS: &[(&str, usize, usize, &str, bool)] = &[
    ("contains", 2, 2, "2", true),
    ("startsWith", 2, 2, "2", true),
    ("endsWith", 2, 2, "2", true),
    ("format", 1, 255, "1 to 255", true),
    ("join", 1, 2, "1 or 2", true),
    ("toJSON", 1, 1, "1", true),
    ("fromJSON", 1, 1, "1", true),
    ("case", 3, 255, "an odd number of at least 3", true),
    ("hashFiles", 1, 255, "1 to 255", false),
    ("success", 0, 255, "up to 255", false),
    ("failure", 0, 255, "up to 255", false),
    ("always", 0, 0, "no", false),
    ("cancelled", 0, 0, "no", false),
];

/// Names of all functions, as they are usually written.
pub fn functions() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, ..)| *name)
}

fn find(name: &str) -> Option<&'static (&'static str, usize, usize, &'static str, bool)> {
    FUNCTIONS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name))
}

pub(super) fn check_name(name: &str, names: &Names<'_>) -> Result<(), Problem> {
    match find(name) {
        None => Err(Problem::Function(name.to_owned())),
        Some((.., everywhere)) if *everywhere || names.has_function(name) => Ok(()),
        Some(_) => Err(Problem::FunctionHere(name.to_owned())),
    }
}

pub(super) fn check_arguments(name: &str, given: usize) -> Result<(), Problem> {
    let Some((known, least, most, wanted, _)) = find(name) else {
        return Ok(());
    };
    let even = *known == "case" && given.is_multiple_of(2);
    if given < *least || given > *most || even {
        return Err(Problem::Arguments {
            name: name.to_owned(),
            wanted,
            given,
        });
    }
    Ok(())
}
