//! Which files of the project folder go into an archive.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

use super::error::{Error, Result};
use super::git::repository::Repository;
use super::{Context, Selection};

/// Chosen files and folders, relative to the project, in order; links are not followed.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) project: PathBuf,
    pub(super) entries: BTreeMap<PathBuf, Metadata>,
}

impl Chosen {
    /// Size of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.entries
            .values()
            .filter(|found| found.is_file())
            .map(Metadata::len)
            .sum()
    }

    /// Files, not folders.
    pub(super) fn files(&self) -> u64 {
        self.entries.values().filter(|found| !found.is_dir()).count() as u64
    }
}

/// Chooses. `what` names the purpose in the log: `artifact`, `cache`.
pub(super) fn choose(selection: &Selection, project: &Path, what: &str, context: &Context) -> Result<Chosen> {
    let exclude = excludes(&selection.exclude, project, context)?;
    let mut finder = Finder {
        project,
        exclude,
        entries: BTreeMap::new(),
        context,
    };
    for pattern in &selection.paths {
        let before = finder.entries.len();
        let Some(relative) = inside_project(pattern, project) else {
            context.say(&format!("WARNING: {pattern}: outside the project folder, skipped"));
            continue;
        };
        finder.pattern(&relative)?;
        match finder.entries.len() - before {
            0 if !finder.has_any(&relative) => context.say(&format!(
                "WARNING: {pattern}: no matching files. Ensure that the {what} path is relative to the working directory ({})",
                project.display()
            )),
            found => context.say(&format!("{pattern}: found {found} matching {what} files and directories")),
        }
    }
    if selection.untracked {
        let before = finder.entries.len();
        finder.untracked()?;
        context.say(&format!("untracked: found {} files", finder.entries.len() - before));
    }
    Ok(Chosen {
        project: project.to_owned(),
        entries: finder.entries,
    })
}

/// The pattern relative to the project, cleaned. `None` when it lies outside.
fn inside_project(pattern: &str, project: &Path) -> Option<String> {
    let path = Path::new(pattern);
    let path = if path.is_absolute() {
        path.strip_prefix(project).ok()?
    } else {
        path
    };
    let mut clean: Vec<&str> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => drop(clean.pop()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean.join("/"))
}

fn matcher(pattern: &str) -> Result<GlobMatcher> {
    glob(pattern).map(|glob| glob.compile_matcher())
}

fn glob(pattern: &str) -> Result<globset::Glob> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .backslash_escape(true)
        .empty_alternates(true)
        .build()
        .map_err(|error| Error::job(format!("the pattern {pattern:?} is wrong: {}", error.kind())))
}

fn excludes(patterns: &[String], project: &Path, context: &Context) -> Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        match inside_project(pattern, project) {
            Some(relative) => drop(set.add(glob(&relative)?)),
            None => context.say(&format!(
                "WARNING: exclude {pattern}: outside the project folder, ignored"
            )),
        }
    }
    set.build()
        .map_err(|error| Error::job(format!("the exclude patterns are wrong: {error}")))
}

struct Finder<'a> {
    project: &'a Path,
    exclude: GlobSet,
    entries: BTreeMap<PathBuf, Metadata>,
    context: &'a Context,
}

impl Finder<'_> {
    fn pattern(&mut self, pattern: &str) -> Result<()> {
        let literal: PathBuf = Path::new(pattern)
            .iter()
            .take_while(|part| !is_glob(part.to_str()))
            .collect();
        if literal == Path::new(pattern) {
            return self.take(&literal);
        }
        let matcher = matcher(pattern)?;
        // `dir/**` names the folder itself, too.
        let whole = pattern
            .strip_suffix("/**")
            .is_some_and(|folder| Path::new(folder) == literal);
        if whole {
            return self.take(&literal);
        }
        let mut folders = vec![literal];
        while let Some(folder) = folders.pop() {
            for (path, found) in self.children(&folder)? {
                if matcher.is_match(&path) {
                    self.take(&path)?;
                } else if found.is_dir() {
                    folders.push(path);
                }
            }
        }
        Ok(())
    }

    /// Whether something below this literal path is chosen already, by an earlier pattern.
    fn has_any(&self, pattern: &str) -> bool {
        let matcher = matcher(pattern).ok();
        self.entries
            .keys()
            .any(|path| path.starts_with(pattern) || matcher.as_ref().is_some_and(|one| one.is_match(path)))
    }

    /// Takes a path and all below it. One that does not exist is nothing.
    fn take(&mut self, path: &Path) -> Result<()> {
        let Ok(found) = fs::symlink_metadata(self.project.join(path)) else {
            return Ok(());
        };
        let mut queue = vec![(path.to_owned(), found)];
        while let Some((path, found)) = queue.pop() {
            let is_folder = found.is_dir();
            let storable = is_folder || found.is_file() || found.is_symlink();
            if storable && !path.as_os_str().is_empty() && !self.exclude.is_match(&path) {
                self.entries.insert(path.clone(), found);
            }
            if is_folder {
                queue.extend(self.children(&path)?);
            }
        }
        Ok(())
    }

    /// What a folder holds. One that is unreadable is an error: half an archive would be a lie.
    fn children(&self, folder: &Path) -> Result<Vec<(PathBuf, Metadata)>> {
        if self.context.stop().is_pulled() {
            return Err(Error::Stopped);
        }
        let full = self.project.join(folder);
        let failed = |error| Error::job(format!("cannot read the folder {}: {error}", full.display()));
        let entries = match fs::read_dir(&full) {
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(Vec::new());
            }
            other => other.map_err(failed)?,
        };
        let mut children = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            // A file that vanished meanwhile is not there.
            if let Ok(found) = entry.metadata() {
                children.push((folder.join(entry.file_name()), found));
            }
        }
        Ok(children)
    }

    /// What `git ls-files --others` names: ignored files too, but nothing of other repositories inside.
    fn untracked(&mut self) -> Result<()> {
        let Some(repository) = Repository::of(self.project) else {
            self.context
                .say("WARNING: untracked files were asked for, but the project folder is no git repository");
            return Ok(());
        };
        let Some(tracked) = repository.tracked() else {
            return Err(Error::job("the git index cannot be read"));
        };
        let tracked: std::collections::HashSet<PathBuf> = tracked.into_iter().map(|entry| entry.path).collect();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for (path, found) in self.children(&folder)? {
                if tracked.contains(&path) || path.file_name().is_some_and(|name| name == ".git") {
                    continue;
                }
                if found.is_dir() {
                    if !self.project.join(&path).join(".git").exists() {
                        folders.push(path);
                    }
                } else if (found.is_file() || found.is_symlink()) && !self.exclude.is_match(&path) {
                    self.entries.insert(path, found);
                }
            }
        }
        Ok(())
    }
}

fn is_glob(part: Option<&str>) -> bool {
    part.is_none_or(|part| part.contains(['*', '?', '[', '{', '\\']))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::process::Stop;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for file in [
            "a.txt",
            "b.log",
            "out/x.o",
            "out/deep/y.o",
            "out/deep/z.txt",
            ".hidden/h",
            "[odd]/f",
            "sub/inner/g",
        ] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("has one")).expect("folders");
            fs::write(path, file).expect("a file");
        }
        fs::create_dir(folder.path().join("empty")).expect("a folder");
        std::os::unix::fs::symlink("out", folder.path().join("link")).expect("a link");
        folder
    }

    fn check(paths: &[&str], exclude: &[&str], wanted: &[&str]) {
        let folder = folder();
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        let selection = Selection {
            paths: owned(paths),
            exclude: owned(exclude),
            untracked: false,
        };
        let context = Context::new(Vec::new(), Stop::new(), |_| {});
        let chosen = choose(&selection, folder.path(), "artifact", &context).expect("chooses");
        let found: Vec<&str> = chosen.entries.keys().filter_map(|path| path.to_str()).collect();
        assert_eq!(found, wanted, "{paths:?} without {exclude:?}");
    }

    #[test]
    fn patterns_choose_files() {
        check(&["a.txt"], &[], &["a.txt"]);
        check(&["./a.txt", "nothing"], &[], &["a.txt"]);
        check(
            &["*"],
            &["out/**", ".hidden/**", "sub"],
            &[
                ".hidden",
                "[odd]",
                "[odd]/f",
                "a.txt",
                "b.log",
                "empty",
                "link",
                "out",
                "sub/inner",
                "sub/inner/g",
            ],
        );
        check(
            &["out"],
            &[],
            &["out", "out/deep", "out/deep/y.o", "out/deep/z.txt", "out/x.o"],
        );
        check(&["out/"], &["**/*.o"], &["out", "out/deep", "out/deep/z.txt"]);
        check(
            &["out/*"],
            &[],
            &["out/deep", "out/deep/y.o", "out/deep/z.txt", "out/x.o"],
        );
        check(&["out/*.o"], &[], &["out/x.o"]);
        check(&["**/*.o"], &["out/deep/*"], &["out/x.o"]);
        check(
            &["out/**"],
            &[],
            &["out", "out/deep", "out/deep/y.o", "out/deep/z.txt", "out/x.o"],
        );
        check(&["out/**/*.o"], &[], &["out/deep/y.o", "out/x.o"]);
        check(&["{a,b}.{txt,log}"], &[], &["a.txt", "b.log"]);
        check(&["[ab].txt"], &[], &["a.txt"]);
        check(&["\\[odd\\]/f"], &[], &["[odd]/f"]);
        check(&["link"], &[], &["link"]);
        check(&["empty"], &[], &["empty"]);
        check(&["../x", "/etc/passwd", "out/../../x"], &[], &[]);
        check(&["out/../a.txt"], &[], &["a.txt"]);
    }

    #[test]
    fn untracked_is_what_git_does_not_know() {
        let folder = folder();
        let git = |args: &[&str]| {
            #[expect(clippy::disallowed_methods, reason = "git makes the test's repository")]
            let ended = Command::new("git")
                .args(args)
                .current_dir(folder.path())
                .output()
                .expect("git");
            assert!(
                ended.status.success(),
                "{args:?}: {}",
                String::from_utf8_lossy(&ended.stderr)
            );
            String::from_utf8_lossy(&ended.stdout).into_owned()
        };
        git(&["init", "-q"]);
        fs::write(folder.path().join(".gitignore"), "*.o\n").expect("a file");
        git(&["add", "a.txt", "sub", ".gitignore"]);
        for version in ["2", "3", "4"] {
            git(&["update-index", "--index-version", version]);
            let selection = Selection {
                untracked: true,
                exclude: vec!["*.log".to_owned()],
                ..Selection::default()
            };
            let context = Context::new(Vec::new(), Stop::new(), |_| {});
            let chosen = choose(&selection, folder.path(), "cache", &context).expect("chooses");
            let found: Vec<&str> = chosen.entries.keys().filter_map(|path| path.to_str()).collect();
            let listed = git(&["-c", "core.quotePath=false", "ls-files", "--others"]);
            let mut wanted: Vec<&str> = listed.lines().filter(|name| !name.ends_with(".log")).collect();
            wanted.sort_by(|a, b| Path::new(a).cmp(Path::new(b)));
            assert_eq!(found, wanted, "index version {version}");
            assert!(found.contains(&"out/x.o"), "ignored files are untracked, too");
        }
    }
}
