//! The sequence of a checkout.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::git::Git;
use super::submodules;
use super::url::Remote;
use crate::guest::error::{Error, Result};
use crate::guest::git::repository::{self, Repository};
use crate::guest::{Checkout, Context, Report, Strategy};

/// Puts the commit into the project folder.
pub(in crate::guest) fn checkout(request: &Checkout, context: &Context) -> Result<Report> {
    match request.strategy {
        Strategy::None => {
            make(&request.project)?;
            context.say("Skipping Git repository setup");
            return Ok(Report {
                skipped: true,
                ..Report::default()
            });
        }
        Strategy::Empty => {
            clear(&request.project)?;
            context.say("Skipping Git repository setup and creating an empty build directory");
            return Ok(Report {
                skipped: true,
                ..Report::default()
            });
        }
        Strategy::Clone => drop(clear(&request.project)?),
        Strategy::Fetch => make(&request.project)?,
    }
    let remote = Remote::of(request);
    let git = Git::new(request, &remote, context);
    let depth = request.depth;
    match depth {
        0 => context.say("Fetching changes..."),
        depth => context.say(&format!("Fetching changes with git depth set to {depth}...")),
    }
    let reused = set_up(request, &remote, context)?;
    if reused && !request.clean_config {
        git.must(
            "setting the remote's address",
            &["config", "remote.origin.url", &remote.url],
        )?;
    }
    fetch(request, &git)?;
    if !request.checkout {
        context.say("Skipping Git checkout");
        return Ok(Report::default());
    }
    let name = if request.git_ref.is_empty() {
        String::new()
    } else {
        format!(" (ref is {})", request.git_ref)
    };
    context.say(&format!(
        "Checking out {} as detached HEAD{name}...",
        short(&request.sha)
    ));
    if !git.can(&["cat-file", "-e", &format!("{}^{{commit}}", request.sha)]) {
        let message = format!(
            "the commit {} is not in what was fetched: it was removed from the repository, or lies deeper than GIT_DEPTH ({depth})",
            request.sha
        );
        return Err(Error::job(message));
    }
    git.must(
        "the checkout",
        &["-c", "submodule.recurse=false", "checkout", "-f", "-q", &request.sha],
    )?;
    if let (true, Some(flags)) = (reused, &request.clean_flags) {
        let args: Vec<&str> = std::iter::once("clean")
            .chain(flags.iter().map(String::as_str))
            .collect();
        git.must("cleaning", &args)?;
    }
    if request.lfs {
        pull_lfs(request, &git, context)?;
    }
    submodules::update(request, &git, context)?;
    Ok(Report::default())
}

/// Empties the project folder.
pub(in crate::guest) fn clear(project: &Path) -> Result<Report> {
    make(project)?;
    let failed = || Error::io(format!("empty the folder {}", project.display()));
    for entry in fs::read_dir(project).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let is_folder = entry.file_type().map_err(failed())?.is_dir();
        let removed = if is_folder {
            fs::remove_dir_all(entry.path())
        } else {
            fs::remove_file(entry.path())
        };
        removed.map_err(failed())?;
    }
    Ok(Report::default())
}

fn make(project: &Path) -> Result<()> {
    fs::create_dir_all(project).map_err(Error::io(format!("make the folder {}", project.display())))
}

fn short(sha: &str) -> &str {
    sha.get(..8).unwrap_or(sha)
}

/// Makes or cleans the repository. Returns whether there was one.
fn set_up(request: &Checkout, remote: &Remote, context: &Context) -> Result<bool> {
    let git = request.project.join(".git");
    let failed = || Error::io(format!("set up the repository {}", git.display()));
    let sha256 = request.object_format == "sha256";
    let settings = settings(remote, context);
    let usable = git.join("HEAD").is_file() && git.join("objects").is_dir();
    if !usable || Repository::of(&request.project).is_none_or(|old| old.is_sha256() != sha256) {
        match fs::symlink_metadata(&git) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&git).map_err(failed())?,
            Ok(_) => fs::remove_file(&git).map_err(failed())?,
            Err(_) => {}
        }
        repository::init(&git, sha256, &settings).map_err(failed())?;
        context.say("Created fresh repository.");
        return Ok(false);
    }
    context.say(&format!("Reinitialized existing Git repository in {}/", git.display()));
    remove_leftovers(&git, request.clean_config).map_err(failed())?;
    if request.clean_config || !git.join("config").exists() {
        repository::write_config(&git, sha256, &settings).map_err(failed())?;
    }
    Ok(true)
}

fn settings(remote: &Remote, context: &Context) -> Vec<(&'static str, &'static str, String)> {
    let mut settings = vec![
        ("remote \"origin\"", "url", remote.url.clone()),
        (
            "remote \"origin\"",
            "fetch",
            "+refs/heads/*:refs/remotes/origin/*".to_owned(),
        ),
        ("fetch", "recurseSubmodules", "false".to_owned()),
    ];
    let token = context
        .env()
        .iter()
        .rev()
        .find(|(key, _)| key == "CI_JOB_TOKEN")
        .map(|(_, value)| value.as_str());
    if let (Some(credentials), Some(_)) = (&remote.credentials, &remote.origin)
        && token == Some(credentials.password.expose())
    {
        let helper =
            "!f() { test \"$1\" = get && echo username=gitlab-ci-token && echo \"password=$CI_JOB_TOKEN\"; }; f";
        settings.push(("credential", "helper", helper.to_owned()));
    }
    settings
}

/// Locks of a git that was killed, and what an earlier job may have planted.
fn remove_leftovers(git: &Path, clean_config: bool) -> io::Result<()> {
    let mut folders = vec![git.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let name = entry.file_name();
            let planted = clean_config && (name == "hooks" || name == "config.worktree" || name == "attributes");
            if kind.is_dir() && planted {
                fs::remove_dir_all(&path)?;
            } else if kind.is_dir() && name != "objects" {
                folders.push(path);
            } else if !kind.is_dir() && (planted || is_lock(&path)) {
                fs::remove_file(&path)?;
            }
        }
    }
    Ok(())
}

fn is_lock(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "lock")
}

fn fetch(request: &Checkout, git: &Git<'_>) -> Result<()> {
    let depth = format!("--depth={}", request.depth);
    let mut args = vec!["fetch", "origin", "--no-recurse-submodules"];
    if request.refspecs.is_empty() {
        args.push(&request.sha);
    }
    args.extend(request.refspecs.iter().map(String::as_str));
    if request.depth > 0 {
        args.push(&depth);
    } else if request.project.join(".git/shallow").exists() {
        args.push("--unshallow");
    }
    args.extend(request.fetch_flags.iter().map(String::as_str));
    git.must("fetching from the repository", &args)
}

/// Settings without which git does not know what an LFS pointer is.
const LFS_FILTER: [(&str, &str); 4] = [
    ("filter.lfs.clean", "git-lfs clean -- %f"),
    ("filter.lfs.smudge", "git-lfs smudge -- %f"),
    ("filter.lfs.process", "git-lfs filter-process"),
    ("filter.lfs.required", "true"),
];

fn pull_lfs(request: &Checkout, git: &Git<'_>, context: &Context) -> Result<()> {
    if !uses_lfs(&request.project) {
        return Ok(());
    }
    if !git.can(&["lfs", "version"]) {
        context.say("WARNING: the repository uses Git LFS, but git-lfs is not installed: pointers are left in place");
        return Ok(());
    }
    for (key, value) in LFS_FILTER {
        git.must("setting up Git LFS", &["config", key, value])?;
    }
    git.must("fetching LFS objects", &["lfs", "pull"])
}

/// Whether a tracked `.gitattributes` names the LFS filter.
fn uses_lfs(project: &Path) -> bool {
    let tracked = Repository::of(project)
        .and_then(|repository| repository.tracked())
        .unwrap_or_default();
    tracked
        .iter()
        .filter(|entry| entry.path.file_name().is_some_and(|name| name == ".gitattributes"))
        .map(|entry| project.join(&entry.path))
        .chain([PathBuf::from(project).join(".git/info/attributes")])
        .any(|path| fs::read_to_string(path).is_ok_and(|text| text.contains("filter=lfs")))
}
