//! Paths of steps.

use std::path::PathBuf;

use crate::executor::Paths;

/// The absolute path that a step means: `~` is the task's home, anything relative lies in the project folder.
pub(super) fn absolute(path: &str, paths: &Paths) -> PathBuf {
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => clean(paths.home.join(rest.trim_start_matches('/'))),
        _ => clean(paths.project.join(path)),
    }
}

/// Without `.` and doubled slashes.
fn clean(path: PathBuf) -> PathBuf {
    path.components().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_where_it_says() {
        let paths = Paths {
            builds: "/b".into(),
            project: "/b/p".into(),
            temp: "/b/p.tmp".into(),
            cache: "/c".into(),
            home: "/b/p.tmp/home".into(),
        };
        let check = |path: &str, expected: &str| assert_eq!(absolute(path, &paths), PathBuf::from(expected));
        check("", "/b/p");
        check(".", "/b/p");
        check("./a//b/", "/b/p/a/b");
        check("~", "/b/p.tmp/home");
        check("~/x", "/b/p.tmp/home/x");
        check("~x", "/b/p/~x");
        check("/tmp/x", "/tmp/x");
    }
}
