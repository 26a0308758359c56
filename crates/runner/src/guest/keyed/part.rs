//! Which part of a cache a path belongs to.

use std::path::{Path, PathBuf};

use crate::guest::{KeyedPlace, confined};

/// What the paths of a part are relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Root,
    Home,
    Project,
}

impl Part {
    /// In the order in which they are written; the project's is what marks a whole cache.
    pub(super) const ALL: [Self; 3] = [Self::Root, Self::Home, Self::Project];

    /// The word in the store's address.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Home => "home",
            Self::Project => "project",
        }
    }

    pub(super) fn folder(self, place: &KeyedPlace) -> &Path {
        match self {
            Self::Root => Path::new("/"),
            Self::Home => &place.home,
            Self::Project => &place.project,
        }
    }

    /// The part of a path, and the path in it. `None`: it leads out of where it begins.
    pub(super) fn of(path: &str, place: &KeyedPlace) -> Option<(Self, PathBuf)> {
        let path = match path.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => place.home.join(rest.trim_start_matches('/')),
            _ => place.project.join(path),
        };
        let parts = [Self::Project, Self::Home, Self::Root];
        parts.into_iter().find_map(|part| {
            let relative = path.strip_prefix(part.folder(place)).ok()?;
            Some((part, confined::inside(relative)?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_their_part() {
        let place = KeyedPlace {
            project: "/b/p".into(),
            home: "/b/p.tmp/home".into(),
        };
        let check = |path: &str, expected: Option<(Part, &str)>| {
            let expected = expected.map(|(part, path)| (part, PathBuf::from(path)));
            assert_eq!(Part::of(path, &place), expected, "{path}");
        };
        check("node_modules", Some((Part::Project, "node_modules")));
        check("./a/b", Some((Part::Project, "a/b")));
        check("/b/p/x", Some((Part::Project, "x")));
        check("~/.m2", Some((Part::Home, ".m2")));
        check("~", Some((Part::Home, "")));
        check("/usr/local/lib", Some((Part::Root, "usr/local/lib")));
        check("~x", Some((Part::Project, "~x")));
        check("/../etc", None);
    }
}
