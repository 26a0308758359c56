//! Stage `get_sources` against real repositories.

use std::fs;
use std::path::{Path, PathBuf};

use crate::setting::{Answer, Server, ask, done, git, write};
use base64::Engine as _;
use tasuki_model::reason::FailureReason;
use tasuki_runner::guest::{Checkout, Request, Strategy, SubmoduleStrategy};

/// A repository with five commits on `main`, a tag, and an empty place for a checkout.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(init: &[&str]) -> Self {
        let place = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        let origin = place.origin();
        fs::create_dir_all(&origin).expect("a folder");
        git(&origin, &[&["init", "-q"], init].concat());
        for n in 1..=5 {
            place.commit("file", &format!("version {n}\n"));
        }
        git(&origin, &["tag", "-a", "v1", "-m", "one"]);
        place
    }

    fn origin(&self) -> PathBuf {
        self.folder.path().join("origin")
    }

    fn project(&self) -> PathBuf {
        self.folder.path().join("builds/group/project")
    }

    fn commit(&self, name: &str, text: &str) -> String {
        write(self.origin().join(name), text);
        git(&self.origin(), &["add", "-A"]);
        git(&self.origin(), &["commit", "-q", "-m", text.trim()]);
        git(&self.origin(), &["rev-parse", "HEAD"])
    }

    fn head(&self) -> String {
        git(&self.origin(), &["rev-parse", "HEAD"])
    }

    fn request(&self, change: impl FnOnce(&mut Checkout)) -> Request {
        let mut request: Checkout = serde_json::from_value(serde_json::json!({
            "project": self.project(),
            "temp": self.folder.path().join("temp"),
            "url": format!("file://{}", self.origin().display()),
            "sha": self.head(),
            "git_ref": "main",
            "refspecs": ["+refs/heads/main:refs/remotes/origin/main"],
            "depth": 2,
            "strategy": "fetch",
            "clean_flags": ["-ffdx"],
            "fetch_flags": ["--prune", "--quiet"],
        }))
        .expect("is a request");
        change(&mut request);
        Request::Checkout(Box::new(request))
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.project().join(name)).unwrap_or_else(|error| format!("{name}: {error}"))
    }

    fn depth(&self) -> usize {
        git(&self.project(), &["rev-list", "--count", "HEAD"])
            .parse()
            .expect("is a number")
    }
}

#[test]
fn a_commit_is_checked_out_from_nothing() {
    let place = Place::new(&[]);
    let (_, log) = done(place.request(|_| {}), &[]);
    assert_eq!(place.text("file"), "version 5\n");
    assert_eq!(git(&place.project(), &["rev-parse", "HEAD"]), place.head());
    assert_eq!(place.depth(), 2);
    assert_eq!(git(&place.project(), &["status", "--porcelain"]), "");
    assert_eq!(
        git(
            &place.project(),
            &["for-each-ref", "--format=%(refname)", "refs/remotes"]
        ),
        "refs/remotes/origin/main"
    );
    git(&place.project(), &["fsck", "--strict"]);
    for line in [
        "Fetching changes with git depth set to 2...",
        "Created fresh repository.",
        "as detached HEAD (ref is main)...",
    ] {
        assert!(log.contains(line), "{log}");
    }
}

#[test]
fn history_is_as_deep_as_asked() {
    let place = Place::new(&[]);
    done(place.request(|request| request.depth = 1), &[]);
    assert_eq!(place.depth(), 1);
    done(place.request(|request| request.depth = 0), &[]);
    assert_eq!(place.depth(), 5, "a shallow repository is deepened");
    done(
        place.request(|request| (request.depth, request.strategy) = (3, Strategy::Clone)),
        &[],
    );
    assert_eq!(place.depth(), 3);
    done(
        place.request(|request| (request.depth, request.refspecs) = (0, vec!["+refs/tags/v1:refs/tags/v1".to_owned()])),
        &[],
    );
    assert_eq!(git(&place.project(), &["describe"]), "v1");
    // Without refspecs, the commit itself is asked for.
    git(&place.origin(), &["config", "uploadpack.allowAnySHA1InWant", "true"]);
    done(
        place.request(|request| (request.refspecs, request.strategy) = (Vec::new(), Strategy::Clone)),
        &[],
    );
    assert_eq!(place.text("file"), "version 5\n");
}

#[test]
fn a_repository_is_used_again_but_nothing_planted_in_it() {
    let place = Place::new(&[]);
    done(place.request(|_| {}), &[]);
    let dot_git = place.project().join(".git");
    let marker = place.folder.path().join("hook-ran");
    for hook in ["post-checkout", "reference-transaction", "post-index-change"] {
        let path = dot_git.join("hooks").join(hook);
        write(&path, format!("#!/bin/sh\necho {hook} >> {}\n", marker.display()));
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("is ours");
    }
    git(
        &place.project(),
        &["config", "core.fsmonitor", &format!("touch {}", marker.display())],
    );
    git(&place.project(), &["config", "core.pager", "planted"]);
    for lock in [
        "index.lock",
        "shallow.lock",
        "refs/remotes/origin/main.lock",
        "config.lock",
    ] {
        write(dot_git.join(lock), "");
    }
    write(place.project().join("untracked"), "left");
    write(place.project().join("file"), "changed");
    place.commit("file", "version 6\n");
    let (_, log) = done(place.request(|_| {}), &[]);
    assert!(log.contains("Reinitialized existing Git repository"), "{log}");
    assert_eq!(place.text("file"), "version 6\n");
    assert!(!place.project().join("untracked").exists() && !dot_git.join("index.lock").exists());
    assert!(
        !marker.exists(),
        "a planted program ran: {:?}",
        fs::read_to_string(marker)
    );
    assert!(
        !fs::read_to_string(dot_git.join("config"))
            .expect("is there")
            .contains("planted")
    );
}

#[test]
fn a_repository_that_keeps_its_configuration_gets_the_address() {
    let place = Place::new(&[]);
    done(place.request(|_| {}), &[]);
    git(&place.project(), &["config", "user.name", "kept"]);
    let moved = place.folder.path().join("moved");
    fs::rename(place.origin(), &moved).expect("is moved");
    let head = git(&moved, &["rev-parse", "HEAD"]);
    fs::create_dir(place.origin()).expect("a folder");
    git(&place.origin(), &["init", "-q"]);
    place.commit("other", "not this one");
    done(
        place.request(|request| {
            (request.url, request.sha, request.clean_config) = (format!("file://{}", moved.display()), head, false);
        }),
        &[],
    );
    assert_eq!(place.text("file"), "version 5\n");
    assert_eq!(git(&place.project(), &["config", "user.name"]), "kept");
}

#[test]
fn cleaning_and_checking_out_can_be_left() {
    let place = Place::new(&[]);
    done(place.request(|_| {}), &[]);
    write(place.project().join("kept"), "kept");
    write(place.project().join("cache/x"), "x");
    done(place.request(|request| request.clean_flags = None), &[]);
    assert_eq!(place.text("kept"), "kept");
    done(
        place.request(|request| {
            request.clean_flags = Some(vec!["-ffdx".to_owned(), "-e".to_owned(), "cache/".to_owned()]);
        }),
        &[],
    );
    assert!(!place.project().join("kept").exists() && place.project().join("cache/x").exists());
    place.commit("file", "version 6\n");
    done(place.request(|request| request.checkout = false), &[]);
    assert_eq!(place.text("file"), "version 5\n");
}

#[test]
fn other_strategies_touch_no_repository() {
    let place = Place::new(&[]);
    write(place.project().join("mine"), "mine");
    done(
        place.request(|request| {
            (request.strategy, request.url) = (Strategy::None, "http://nowhere.invalid/".to_owned());
        }),
        &[],
    );
    assert_eq!(place.text("mine"), "mine");
    done(
        place.request(|request| {
            (request.strategy, request.url) = (Strategy::Empty, "http://nowhere.invalid/".to_owned());
        }),
        &[],
    );
    assert_eq!(fs::read_dir(place.project()).expect("is there").count(), 0);
}

#[test]
fn a_second_attempt_starts_clean() {
    let place = Place::new(&[]);
    write(place.project().join(".git/HEAD"), "garbage");
    write(place.project().join("half/file"), "half");
    let request = serde_json::json!({"do": "clear_worktree", "project": place.project()});
    done(serde_json::from_value(request).expect("is a request"), &[]);
    assert_eq!(fs::read_dir(place.project()).expect("is there").count(), 0);
    // A repository that is none is replaced, too.
    write(place.project().join(".git/HEAD"), "garbage");
    done(place.request(|_| {}), &[]);
    assert_eq!(place.text("file"), "version 5\n");
}

#[test]
fn what_cannot_be_fetched_says_whose_fault_it_is() {
    let place = Place::new(&[]);
    let check = |change: &dyn Fn(&mut Checkout), env: &[(&str, &str)], reason: FailureReason, text: &str| {
        let (response, log) = ask(place.request(|request| change(request)), env);
        let failure = response.failure.expect("fails");
        assert_eq!(failure.reason, reason, "{log}");
        assert!(failure.message.contains(text), "{} in {log}", failure.message);
    };
    let gone = "0123456789012345678901234567890123456789";
    check(
        &|request| request.sha = gone.to_owned(),
        &[],
        FailureReason::ScriptFailure,
        "not in what was fetched",
    );
    let nowhere = "file:///no/such/repository".to_owned();
    let external = FailureReason::RunnerExternalDependencyFailure;
    check(&|request| request.url = nowhere.clone(), &[], external, "fetching");
    check(
        &|request| request.refspecs = vec!["+refs/heads/none:refs/x".to_owned()],
        &[],
        external,
        "fetching",
    );
    check(
        &|_| {},
        &[("PATH", "/nowhere")],
        FailureReason::ScriptFailure,
        "git was not found",
    );
}

#[test]
fn sha256_repositories_work() {
    let place = Place::new(&["--object-format=sha256"]);
    done(
        place.request(|request| request.object_format = "sha256".to_owned()),
        &[],
    );
    assert_eq!(place.text("file"), "version 5\n");
    assert_eq!(git(&place.project(), &["rev-parse", "HEAD"]).len(), 64);
}

/// A repository as static files behind a log-in.
fn protected(repository: PathBuf, user: &str, password: &str) -> Server {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let wanted = format!("Basic {pair}");
    Server::start(move |request| {
        if request.headers.get("authorization") != Some(&wanted) {
            return Answer::new(401, "").with("WWW-Authenticate", "Basic realm=\"git\"");
        }
        let path = request
            .target
            .split('?')
            .next()
            .unwrap_or_default()
            .trim_start_matches("/g/p.git/");
        match fs::read(repository.join(path)) {
            Ok(bytes) => Answer::new(200, bytes),
            Err(_) => Answer::new(404, ""),
        }
    })
}

#[test]
fn the_log_in_is_nowhere_but_in_the_request() {
    let place = Place::new(&[]);
    git(&place.origin(), &["update-server-info"]);
    let server = protected(place.origin().join(".git"), "gitlab-ci-token", "s3cr3t/+@");
    let with_login = server.url.replace("http://", "http://gitlab-ci-token:s3cr3t%2F%2B%40@") + "/g/p.git";
    let plain = format!("{}/g/p.git", server.url);
    let request = |url: &str| {
        let url = url.to_owned();
        place.request(move |request| (request.url, request.depth) = (url, 0))
    };
    let (_, log) = done(request(&with_login), &[("CI_JOB_TOKEN", "s3cr3t/+@")]);
    assert_eq!(place.text("file"), "version 5\n");
    assert_eq!(git(&place.project(), &["remote", "get-url", "origin"]), plain);
    assert!(!log.contains("s3cr3t"), "{log}");
    assert_no_secret(&place.project().join(".git"));
    // A script of the job that talks to the remote is answered by the job's own token.
    let fetch = [
        "-c",
        "credential.interactive=false",
        "fetch",
        "-q",
        "origin",
        "+refs/tags/*:refs/tags/*",
    ];
    #[expect(clippy::disallowed_methods, reason = "a script of the job")]
    let script = std::process::Command::new("git")
        .args(fetch)
        .current_dir(place.project())
        .envs([
            ("CI_JOB_TOKEN", "s3cr3t/+@"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
        ])
        .output()
        .expect("git runs");
    assert!(script.status.success(), "{}", String::from_utf8_lossy(&script.stderr));
    // Without a log-in nothing is asked, and nothing hangs.
    let (response, _) = ask(request(&plain), &[]);
    assert!(response.failure.is_some_and(|failure| failure.transient));
}

fn assert_no_secret(folder: &Path) {
    for entry in fs::read_dir(folder).expect("is a folder").flatten() {
        if entry.file_type().expect("is known").is_dir() {
            assert_no_secret(&entry.path());
        } else {
            let bytes = fs::read(entry.path()).expect("is readable");
            assert!(
                !bytes.windows(6).any(|six| six == b"s3cr3t"),
                "{}",
                entry.path().display()
            );
        }
    }
}

/// Settings of the job itself, which ours have to stand beside.
const ALLOW_FILE: [(&str, &str); 3] = [
    ("GIT_CONFIG_COUNT", "1"),
    ("GIT_CONFIG_KEY_0", "protocol.file.allow"),
    ("GIT_CONFIG_VALUE_0", "always"),
];

#[test]
fn submodules_come_as_asked() {
    let place = Place::new(&[]);
    let library = |name: &str, inner: Option<&Path>| {
        let folder = place.folder.path().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        git(&folder, &["init", "-q"]);
        write(folder.join("lib"), name);
        if let Some(inner) = inner {
            git(
                &folder,
                &["submodule", "--quiet", "add", &inner.display().to_string(), "inner"],
            );
        }
        git(&folder, &["add", "-A"]);
        git(&folder, &["commit", "-q", "-m", name]);
        folder
    };
    let inner = library("inner", None);
    library("outer", Some(&inner));
    git(
        &place.origin(),
        &["submodule", "--quiet", "add", "../outer", "deps/outer"],
    );
    git(
        &place.origin(),
        &["submodule", "--quiet", "add", "../inner", "deps/other"],
    );
    place.commit("file", "with submodules\n");
    let run = |strategy: SubmoduleStrategy, paths: &[&str]| {
        let paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
        let request = place.request(move |request| {
            request.strategy = Strategy::Clone;
            request.submodules.strategy = strategy;
            request.submodules.paths = paths;
            request.submodules.depth = 1;
        });
        done(request, &ALLOW_FILE);
        ["deps/outer/lib", "deps/outer/inner/lib", "deps/other/lib"].map(|file| place.project().join(file).exists())
    };
    assert_eq!(run(SubmoduleStrategy::None, &[]), [false, false, false]);
    assert_eq!(run(SubmoduleStrategy::Normal, &[]), [true, false, true]);
    assert_eq!(run(SubmoduleStrategy::Recursive, &[]), [true, true, true]);
    assert_eq!(run(SubmoduleStrategy::Recursive, &["deps/other"]), [false, false, true]);
    assert_eq!(
        run(SubmoduleStrategy::Normal, &[":(exclude)deps/other"]),
        [true, false, false]
    );
}

#[test]
fn lfs_objects_come_where_git_lfs_is() {
    #[expect(clippy::disallowed_methods, reason = "looks for git-lfs")]
    let found = std::process::Command::new("git")
        .args(["lfs", "version"])
        .output()
        .is_ok_and(|ended| ended.status.success());
    if !found {
        eprintln!("skipped: git-lfs is not installed");
        return;
    }
    let place = Place::new(&[]);
    git(&place.origin(), &["lfs", "install", "--local"]);
    write(
        place.origin().join("data/.gitattributes"),
        "*.bin filter=lfs diff=lfs merge=lfs -text\n",
    );
    place.commit("data/large.bin", "the real contents\n");
    done(place.request(|request| request.lfs = false), &[]);
    assert!(
        place.text("data/large.bin").starts_with("version https://git-lfs"),
        "{}",
        place.text("data/large.bin")
    );
    done(place.request(|_| {}), &[]);
    assert_eq!(place.text("data/large.bin"), "the real contents\n");
    assert_eq!(git(&place.project(), &["status", "--porcelain"]), "");
}
