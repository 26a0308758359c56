//! The source of `tasuki exec`.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::setting::{done, git, write};
use tasuki_runner::guest::{Request, Snapshot};

fn snapshot(from: &Path, project: &Path) -> u64 {
    let request = Snapshot {
        from: from.to_owned(),
        project: project.to_owned(),
        sha: String::new(),
    };
    done(Request::Snapshot(request), &[]).0.report.files
}

/// A repository with every kind of difference between commit and folder.
fn dirty(folder: &Path) {
    git(folder, &["init", "-q"]);
    for file in [
        "same",
        "changed",
        "deleted",
        "staged",
        "dir/tracked",
        "ignored/tracked",
        "becomes-link/x",
        "run.sh",
    ] {
        write(folder.join(file), format!("{file}\n"));
    }
    write(folder.join(".gitignore"), "*.log\nignored/\n/target\n");
    fs::set_permissions(folder.join("run.sh"), fs::Permissions::from_mode(0o755)).expect("is ours");
    git(folder, &["add", "-A", "-f"]);
    git(folder, &["commit", "-q", "-m", "first"]);
    git(folder, &["tag", "v1"]);
    write(folder.join("changed"), "changed again\n");
    fs::remove_file(folder.join("deleted")).expect("is there");
    write(folder.join("staged"), "staged again\n");
    git(folder, &["add", "staged"]);
    write(folder.join("untracked/deep/file"), "new\n");
    write(folder.join("noise.log"), "ignored\n");
    write(folder.join("ignored/untracked"), "ignored\n");
    write(folder.join("target/huge"), "ignored\n");
    write(folder.join("nested/.git/HEAD"), "ref: refs/heads/main\n");
    write(folder.join("nested/file"), "of another repository\n");
    fs::remove_dir_all(folder.join("becomes-link")).expect("is there");
    std::os::unix::fs::symlink("dir", folder.join("becomes-link")).expect("a link");
    std::os::unix::fs::symlink("/nowhere", folder.join("dangling")).expect("a link");
}

#[test]
fn a_dirty_folder_is_copied_as_it_is() {
    let place = tempfile::tempdir().expect("a folder");
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    fs::create_dir(&from).expect("a folder");
    dirty(&from);
    let before = git(&from, &["status", "--porcelain"]);
    snapshot(&from, &to);
    let text = |name: &str| fs::read_to_string(to.join(name)).ok();
    assert_eq!(text("changed").as_deref(), Some("changed again\n"));
    assert_eq!(text("untracked/deep/file").as_deref(), Some("new\n"));
    assert_eq!(
        text("ignored/tracked").as_deref(),
        Some("ignored/tracked\n"),
        "tracked, although ignored"
    );
    assert_eq!(text("nested/file").as_deref(), Some("of another repository\n"));
    for gone in [
        "deleted",
        "noise.log",
        "ignored/untracked",
        "target/huge",
        "nested/.git/HEAD",
    ] {
        assert_eq!(text(gone), None, "{gone}");
    }
    assert_eq!(
        fs::read_link(to.join("becomes-link")).expect("a link"),
        PathBuf::from("dir")
    );
    assert_eq!(
        fs::read_link(to.join("dangling")).expect("a link"),
        PathBuf::from("/nowhere")
    );
    assert_eq!(
        fs::metadata(to.join("run.sh")).expect("is there").permissions().mode() & 0o777,
        0o755
    );
    let (original, copy) = (
        fs::metadata(from.join("same")).expect("there"),
        fs::metadata(to.join("same")).expect("there"),
    );
    assert_eq!(original.modified().expect("known"), copy.modified().expect("known"));
    assert_ne!(original.ino(), copy.ino(), "never a hard link");
    // Git sees the same in both, but for the other repository, of which only the files came along.
    let without_nested = |text: &str| {
        text.lines()
            .filter(|line| !line.contains("nested"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        without_nested(&git(&to, &["status", "--porcelain"])),
        without_nested(&before)
    );
    assert_eq!(git(&to, &["describe", "--tags"]), "v1");
    assert_eq!(git(&to, &["log", "--format=%s"]), "first");
    assert_eq!(
        git(&to, &["rev-parse", "origin/main"]),
        git(&from, &["rev-parse", "main"])
    );
}

#[test]
fn what_a_job_does_to_the_copy_does_not_reach_the_original() {
    let place = tempfile::tempdir().expect("a folder");
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    fs::create_dir(&from).expect("a folder");
    dirty(&from);
    let (status, head) = (
        git(&from, &["status", "--porcelain"]),
        git(&from, &["rev-parse", "HEAD"]),
    );
    snapshot(&from, &to);
    write(to.join("same"), "overwritten in place\n");
    git(&to, &["add", "-A"]);
    git(&to, &["commit", "-q", "-m", "of the job"]);
    git(&to, &["tag", "-f", "v1"]);
    git(&to, &["gc", "-q", "--prune=now"]);
    fs::remove_dir_all(&to).expect("is removed");
    assert_eq!(git(&from, &["status", "--porcelain"]), status);
    assert_eq!(
        (
            git(&from, &["rev-parse", "HEAD"]),
            git(&from, &["rev-parse", "v1^{commit}"])
        ),
        (head.clone(), head)
    );
    assert_eq!(fs::read_to_string(from.join("same")).expect("is there"), "same\n");
    git(&from, &["fsck"]);
}

#[test]
fn work_trees_shallow_and_empty_repositories_and_plain_folders_work() {
    let place = tempfile::tempdir().expect("a folder");
    let path = |name: &str| place.path().join(name);
    fs::create_dir(path("main")).expect("a folder");
    dirty(&path("main"));
    git(
        &path("main"),
        &[
            "worktree",
            "add",
            "-q",
            "-b",
            "side",
            &path("tree").display().to_string(),
        ],
    );
    write(path("tree/only-here"), "x");
    snapshot(&path("tree"), &path("tree-copy"));
    assert_eq!(git(&path("tree-copy"), &["status", "--porcelain"]), "?? only-here");
    assert_eq!(
        git(&path("tree-copy"), &["rev-parse", "origin/side"]),
        git(&path("main"), &["rev-parse", "side"])
    );

    let url = format!("file://{}", path("main").display());
    git(place.path(), &["clone", "-q", "--depth=1", &url, "shallow"]);
    snapshot(&path("shallow"), &path("shallow-copy"));
    assert_eq!(git(&path("shallow-copy"), &["log", "--format=%s"]), "first");

    fs::create_dir(path("empty")).expect("a folder");
    git(&path("empty"), &["init", "-q"]);
    write(path("empty/file"), "x");
    assert_eq!(snapshot(&path("empty"), &path("empty-copy")), 1);

    write(path("plain/a/b"), "x");
    assert_eq!(snapshot(&path("plain"), &path("plain-copy")), 1);
    assert!(path("plain-copy/a/b").exists() && !path("plain-copy/.git").exists());

    fs::create_dir(path("many")).expect("a folder");
    git(&path("many"), &["init", "-q"]);
    for n in 0..1500 {
        write(path(&format!("many/{}/{n}", n % 7)), n.to_string());
    }
    git(&path("many"), &["add", "-A"]);
    assert_eq!(snapshot(&path("many"), &path("many-copy")), 1500);
    assert_eq!(git(&path("many-copy"), &["diff", "--stat"]), "");
}
