//! Where paths of steps lead.
//!
//! CircleCI checks out into the working directory, `~/project` by default. Here that is the project folder of the task,
//! wherever the runner has it: paths below `~/project` become relative to it.

/// The working directory of a job as steps see it: `.` is the project folder.
pub(super) fn directory(given: &str) -> String {
    for project in ["~/project", "$HOME/project"] {
        match given.strip_prefix(project) {
            Some("") => return ".".to_owned(),
            Some(rest) if rest.starts_with('/') => return or_dot(rest.trim_matches('/')),
            _ => {}
        }
    }
    if is_anchored(given) {
        given.trim_end_matches('/').to_owned()
    } else {
        or_dot(clean(given))
    }
}

/// A path of a step, relative to the working directory.
pub(super) fn path(working: &str, given: &str) -> String {
    let absolute = directory(given);
    let project = given.starts_with("~/project") || given.starts_with("$HOME/project");
    if is_anchored(given) && given != "/" {
        let relative_now = project && !is_anchored(&absolute);
        return if relative_now { absolute } else { given.to_owned() };
    }
    if given == "/" {
        return given.to_owned();
    }
    match (working, clean(given)) {
        (".", inner) => or_dot(inner),
        (working, "" | ".") => working.to_owned(),
        (working, inner) => format!("{working}/{inner}"),
    }
}

fn is_anchored(path: &str) -> bool {
    path.starts_with('/') || path == "~" || path.starts_with("~/") || path.starts_with('$')
}

fn clean(path: &str) -> &str {
    path.trim_start_matches("./").trim_end_matches('/')
}

fn or_dot(path: &str) -> String {
    if path.is_empty() {
        ".".to_owned()
    } else {
        path.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{directory, path};

    #[test]
    fn the_project_folder_is_the_working_directory() {
        let check = |given: &str, expected: &str| assert_eq!(directory(given), expected, "{given}");
        check("~/project", ".");
        check("~/project/", ".");
        check("~/project/app", "app");
        check("~/other", "~/other");
        check("/srv/x/", "/srv/x");
        check("./", ".");
        check("sub/", "sub");
    }

    #[test]
    fn paths_are_relative_to_it() {
        let check = |working: &str, given: &str, expected: &str| {
            assert_eq!(path(working, given), expected, "{working} {given}");
        };
        check(".", "node_modules", "node_modules");
        check(".", "./a/", "a");
        check(".", ".", ".");
        check("app", "node_modules", "app/node_modules");
        check("~/app", ".", "~/app");
        check("app", "~/.m2", "~/.m2");
        check("app", "~/project/x", "x");
        check("~/app", "/tmp/x", "/tmp/x");
        check("app", "/", "/");
    }
}
