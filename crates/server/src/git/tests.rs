//! The door against real repositories and a real git client.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use tasuki_model::id::{PipelineId, ProjectId};
use tasuki_model::trigger::GitRef;
use tasuki_rt::Tasks;

use super::read::named_commit;
use super::*;

/// A repository to fetch from, made by the real program.
struct Origin {
    folder: tempfile::TempDir,
}

/// Runs git as a user would; returns what it printed.
fn git(dir: &Path, args: &[&str]) -> String {
    #[expect(clippy::disallowed_methods, reason = "the test plays the user")]
    let mut command = std::process::Command::new("git");
    let out = command
        .args([
            "-c",
            "user.name=Ada",
            "-c",
            "user.email=ada@example.org",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

impl Origin {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "-q"]);
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn commit(&self, file: &str, text: &str) -> Oid {
        let path = self.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        git(self.path(), &["add", "-A"]);
        git(
            self.path(),
            &["commit", "-q", "-m", &format!("Write {file}\n\nWhy not")],
        );
        git(self.path(), &["rev-parse", "HEAD"]).parse().unwrap()
    }

    fn remote(&self) -> Remote {
        Remote::new(self.path().to_str().unwrap(), Credential::None).unwrap()
    }
}

struct Data {
    _folder: tempfile::TempDir,
    mirrors: Mirrors,
}

fn data() -> Data {
    let folder = tempfile::tempdir().unwrap();
    let git = Git::prepare(&folder.path().join("git")).unwrap();
    let mirrors = Mirrors::open(git, &folder.path().join("mirrors")).unwrap();
    Data {
        _folder: folder,
        mirrors,
    }
}

#[tokio::test]
async fn a_mirror_follows_its_origin() {
    let (origin, data) = (Origin::new(), data());
    let mirror = data.mirrors.of(ProjectId(1));
    let first = origin.commit("a.txt", "1");
    git(origin.path(), &["branch", "old"]);
    git(origin.path(), &["tag", "-a", "v1", "-m", "The first\n\nnotes"]);
    mirror.fetch(&origin.remote()).await.unwrap();
    let names = |refs: Vec<Ref>| refs.into_iter().map(|r| r.name).collect::<Vec<_>>();
    assert_eq!(
        names(mirror.refs().await.unwrap()),
        ["refs/heads/main", "refs/heads/old", "refs/tags/v1"]
    );
    assert_eq!(mirror.head().unwrap().as_deref(), Some("main"));
    assert!(
        mirror.refs().await.unwrap().iter().all(|r| r.commit == first),
        "an annotated tag leads to its commit"
    );

    mirror.keep(PipelineId(7), &first).await.unwrap();
    git(origin.path(), &["branch", "-D", "old"]);
    git(origin.path(), &["tag", "-d", "v1"]);
    git(origin.path(), &["commit", "-q", "--amend", "-m", "Rewritten"]);
    mirror.fetch(&origin.remote()).await.unwrap();
    assert_eq!(names(mirror.refs().await.unwrap()), ["refs/heads/main"]);
    assert!(
        mirror.has(&first).await.unwrap(),
        "the pipeline's ref keeps the old commit"
    );
    assert_ne!(mirror.resolve("main").await.unwrap(), Some(first));

    mirror.release(&[PipelineId(7), PipelineId(8)]).await.unwrap();
    mirror.tidy().await.unwrap();
    data.mirrors.remove(ProjectId(1)).await.unwrap();
    data.mirrors.remove(ProjectId(1)).await.unwrap();
    assert!(!mirror.dir().exists());
}

#[tokio::test]
async fn files_trees_and_changes_are_read_at_a_commit() {
    let (origin, data) = (Origin::new(), data());
    let mirror = data.mirrors.of(ProjectId(1));
    let first = origin.commit("dir/ü b.txt", "one\n");
    git(origin.path(), &["tag", "-a", "v1", "-m", "The first"]);
    git(origin.path(), &["checkout", "-q", "-b", "side"]);
    let side = origin.commit("side.txt", "s");
    git(origin.path(), &["checkout", "-q", "main"]);
    let second = origin.commit("empty", "");
    mirror.fetch(&origin.remote()).await.unwrap();

    let paths = ["empty", "dir/ü b.txt", "no", "dir", "../x", "./x", "a\nb", ""].map(str::to_owned);
    let files = mirror.files(&second, &paths).await.unwrap();
    let expected: [Option<&[u8]>; 8] = [Some(b""), Some(b"one\n"), None, None, None, None, None, None];
    assert_eq!(files.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);

    let tree = mirror.tree(&second).await.unwrap();
    assert_eq!(
        tree.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(),
        ["dir/ü b.txt", "empty"]
    );
    assert_eq!(tree[1].blob, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");

    assert_eq!(mirror.changed(&first, &second).await.unwrap(), ["empty"]);
    assert_eq!(mirror.merge_base(&side, &second).await.unwrap(), Some(first.clone()));
    let commit = mirror.commit(&first, &GitRef::Tag("v1".into())).await.unwrap();
    assert_eq!(
        (commit.author_name.as_str(), commit.message.as_str()),
        ("Ada", "Write dir/ü b.txt\n\nWhy not")
    );
    assert_eq!(commit.tag_message.as_deref(), Some("The first"));

    for (name, leads_to) in [("main", Some(&second)), ("side", Some(&side)), ("v1", Some(&first))] {
        assert_eq!(mirror.resolve(name).await.unwrap().as_ref(), leads_to, "{name}");
    }
    for name in ["", "--help", "main..side", "nope", "main\nside", "HEAD:dir"] {
        assert_eq!(mirror.resolve(name).await.unwrap(), None, "{name}");
    }
}

#[tokio::test]
async fn errors_say_what_is_wrong() {
    let data = data();
    let mirror = data.mirrors.of(ProjectId(1));
    let nowhere = Remote::new("/nowhere/at/all", Credential::None).unwrap();
    let error = mirror.fetch(&nowhere).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    assert!(matches!(top_level(Path::new("/")), Err(Error::NotARepository(_))));
    mirror.ensure(false).unwrap();
    let nothing: Oid = "1".repeat(40).parse().unwrap();
    assert!(mirror.keep(PipelineId(1), &nothing).await.is_err());
    assert!(matches!(
        mirror.commit(&nothing, &GitRef::Branch("x".into())).await,
        Err(Error::NoCommit(_))
    ));
}

/// A repository's own hooks and configured programs never run, whoever registered it.
#[tokio::test]
async fn hooks_and_configured_programs_of_the_origin_do_not_run() {
    let (origin, data) = (Origin::new(), data());
    origin.commit("a", "1");
    let trace = origin.path().join("ran");
    let script = format!("#!/bin/sh\ntouch '{}'\n", trace.display());
    for name in ["post-update", "reference-transaction", "pre-receive", "fsmonitor"] {
        let hook = origin.path().join(".git/hooks").join(name);
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        std::fs::write(&hook, &script).unwrap();
        std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let hook = origin.path().join(".git/hooks/fsmonitor");
    git(origin.path(), &["config", "core.fsmonitor", hook.to_str().unwrap()]);
    git(
        origin.path(),
        &["config", "uploadpack.packObjectsHook", hook.to_str().unwrap()],
    );
    let _ = std::fs::remove_file(&trace);
    let mirror = data.mirrors.of(ProjectId(1));
    mirror.fetch(&origin.remote()).await.unwrap();
    mirror
        .keep(PipelineId(1), &mirror.resolve("main").await.unwrap().unwrap())
        .await
        .unwrap();
    let seen = Worktree::read(data.mirrors.git(), origin.path()).await.unwrap();
    seen.blobs(data.mirrors.git()).await.unwrap();
    assert!(!trace.exists());
}

#[tokio::test]
async fn a_worktree_is_read_with_its_uncommitted_changes() {
    let (origin, data) = (Origin::new(), data());
    origin.commit("kept", "1");
    origin.commit("deleted", "1");
    std::fs::write(origin.path().join(".gitignore"), "ignored\n").unwrap();
    std::fs::write(origin.path().join("ignored"), "x").unwrap();
    std::fs::write(origin.path().join("new"), "x").unwrap();
    std::fs::remove_file(origin.path().join("deleted")).unwrap();
    std::fs::create_dir(origin.path().join("sub")).unwrap();
    let seen = Worktree::read(data.mirrors.git(), &origin.path().join("sub"))
        .await
        .unwrap();
    let files = seen.files(data.mirrors.git()).await.unwrap();
    assert_eq!(files, [".gitignore", "kept", "new"].map(PathBuf::from));
    assert_eq!(seen.branch.as_deref(), Some("main"));
    assert_eq!(seen.commit.unwrap().message, "Write deleted\n\nWhy not");
    assert_eq!(seen.root, origin.path().canonicalize().unwrap());
}

#[tokio::test]
async fn an_empty_repository_and_a_linked_worktree_are_read() {
    let (origin, data) = (Origin::new(), data());
    let seen = Worktree::read(data.mirrors.git(), origin.path()).await.unwrap();
    assert!(seen.commit.is_none());
    assert!(seen.files(data.mirrors.git()).await.unwrap().is_empty());
    origin.commit("a", "1");
    let linked = tempfile::tempdir().unwrap();
    let path = linked.path().join("tree");
    git(
        origin.path(),
        &["worktree", "add", "-q", "-b", "side", path.to_str().unwrap()],
    );
    let seen = Worktree::read(data.mirrors.git(), &path).await.unwrap();
    assert_eq!(seen.branch.as_deref(), Some("side"));
    assert_eq!(
        common_dir(&path).unwrap(),
        origin.path().canonicalize().unwrap().join(".git")
    );
}

/// Where the commit is in a file of its own no git is asked, and what is read is what git says. Else git is asked.
#[tokio::test]
async fn head_is_read_without_git_where_it_can_be() {
    let (origin, data) = (Origin::new(), data());
    assert!(loose::head(origin.path()).is_none(), "there is no commit");
    let before = origin.commit("a", "1");
    let commit = origin.commit("a", "2");
    let tree = tempfile::tempdir().unwrap();
    let linked = tree.path().join("tree");
    git(
        origin.path(),
        &["worktree", "add", "-q", "--detach", linked.to_str().unwrap(), "HEAD~1"],
    );
    let asked = async |dir: &Path| named_commit(data.mirrors.git(), dir, "HEAD").await.unwrap();
    for dir in [origin.path(), &linked] {
        let read = loose::head(dir);
        assert!(read.is_some() && read == asked(dir).await, "{}", dir.display());
    }
    git(origin.path(), &["checkout", "-q", "--detach"]);
    assert_eq!(loose::head(origin.path()).unwrap().sha, commit.as_str());
    git(origin.path(), &["checkout", "-q", "main"]);
    git(origin.path(), &["pack-refs", "--all"]);
    assert_eq!(loose::head(origin.path()).unwrap().sha, commit.as_str());

    let whole = async |dir: &Path| Worktree::read(data.mirrors.git(), dir).await.unwrap().commit.unwrap();
    git(origin.path(), &["replace", commit.as_str(), "HEAD~1"]);
    assert!(loose::head(origin.path()).is_none(), "another commit stands for it");
    assert_eq!(whole(origin.path()).await.sha, commit.as_str());
    git(origin.path(), &["replace", "-d", commit.as_str()]);
    std::fs::remove_dir(origin.path().join(".git/refs/replace")).unwrap();

    let (folder, file) = commit.as_str().split_at(2);
    let object = origin.path().join(".git/objects").join(folder).join(file);
    let good = std::fs::read(&object).unwrap();
    std::fs::remove_file(&object).unwrap();
    for bad in [&b"no zlib"[..], &good[..good.len() / 2]] {
        std::fs::write(&object, bad).unwrap();
        assert!(loose::head(origin.path()).is_none());
    }
    std::fs::remove_file(&object).unwrap();
    let (folder, file) = before.as_str().split_at(2);
    std::fs::copy(origin.path().join(".git/objects").join(folder).join(file), &object).unwrap();
    assert!(
        loose::head(origin.path()).is_none(),
        "the object is not what its id says"
    );
    std::fs::remove_file(&object).unwrap();
    std::fs::write(&object, good).unwrap();
    git(origin.path(), &["repack", "-q", "-a", "-d"]);
    git(origin.path(), &["prune-packed"]);
    assert!(loose::head(origin.path()).is_none(), "it is in a pack");
    assert_eq!(whole(origin.path()).await.sha, commit.as_str());
}

#[derive(Clone)]
struct Served {
    mirror: Mirror,
    tasks: Tasks,
}

async fn listen(mirror: Mirror) -> (String, Tasks) {
    let tasks = Tasks::new();
    let state = Served {
        mirror,
        tasks: tasks.clone(),
    };
    let app = Router::new()
        .route("/p.git/info/refs", get(advertised))
        .route("/p.git/git-upload-pack", post(packed))
        .with_state(state);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let token = tasks.token();
    tasks.spawn("http", async move {
        axum::serve(listener, app)
            .with_graceful_shutdown(token.cancelled_owned())
            .await
            .unwrap();
    });
    (format!("http://{address}/p.git"), tasks)
}

async fn advertised(
    State(served): State<Served>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> axum::response::Response {
    let service = query.as_deref().and_then(|query| query.strip_prefix("service="));
    info_refs(&served.mirror, &headers, service).await
}

async fn packed(State(served): State<Served>, headers: HeaderMap, body: Body) -> axum::response::Response {
    upload_pack(&served.mirror, &served.tasks, &headers, body).await
}

/// The way a runner gets the source.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_git_client_clones_fetches_and_cannot_push() {
    let (origin, data) = (Origin::new(), data());
    let mirror = data.mirrors.of(ProjectId(1));
    let big: String = (0..40_000).map(|n| format!("{}\n", n * 7919 % 100_003)).collect();
    let old = origin.commit("big", &big);
    mirror.fetch(&origin.remote()).await.unwrap();
    mirror.keep(PipelineId(3), &old).await.unwrap();
    git(origin.path(), &["commit", "-q", "--amend", "-m", "Rewritten"]);
    let new = origin.commit("small", "x");
    mirror.fetch(&origin.remote()).await.unwrap();
    let (url, tasks) = listen(mirror).await;

    for version in ["0", "1", "2"] {
        let folder = tempfile::tempdir().unwrap();
        let (url, old, new) = (url.clone(), old.clone(), new.clone());
        let protocol = format!("protocol.version={version}");
        let work = tokio::task::spawn_blocking(move || {
            let dir = folder.path();
            git(dir, &["init", "-q", "."]);
            let fetch = |what: &[&str]| {
                let mut args = vec![
                    "-c",
                    &protocol,
                    "-c",
                    "http.postBuffer=65600",
                    "fetch",
                    "-q",
                    "--depth",
                    "1",
                    &url,
                ];
                args.extend_from_slice(what);
                git(dir, &args)
            };
            fetch(&["+refs/pipelines/3:refs/pipelines/3"]);
            assert_eq!(git(dir, &["rev-parse", "refs/pipelines/3"]), old.as_str());
            fetch(&["+refs/heads/main:refs/remotes/origin/main"]);
            assert_eq!(git(dir, &["rev-parse", "origin/main"]), new.as_str());
            git(dir, &["-c", &protocol, "fetch", "-q", "--unshallow", &url, "main"]);
            fetch(&[old.as_str()]);
        });
        work.await.unwrap();
    }
    let answer = status_of(&format!("{url}/info/refs?service=git-receive-pack")).await;
    assert_eq!(answer, StatusCode::FORBIDDEN);
    assert_eq!(status_of(&format!("{url}/info/refs")).await, StatusCode::FORBIDDEN);
    assert!(
        tasks.close_and_wait(Duration::from_secs(5)).await,
        "no git process is left serving"
    );
}

async fn status_of(url: &str) -> StatusCode {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_request_that_is_not_gits_is_refused() {
    let (origin, data) = (Origin::new(), data());
    origin.commit("a", "1");
    let mirror = data.mirrors.of(ProjectId(1));
    mirror.fetch(&origin.remote()).await.unwrap();
    let tasks = Tasks::new();
    let with = |kind: &str, encoding: Option<&str>| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", kind.parse().unwrap());
        if let Some(encoding) = encoding {
            headers.insert("content-encoding", encoding.parse().unwrap());
        }
        headers
    };
    let right = "application/x-git-upload-pack-request";
    for (headers, status) in [
        (with("text/plain", None), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (with(right, Some("br")), StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        assert_eq!(
            upload_pack(&mirror, &tasks, &headers, Body::empty()).await.status(),
            status
        );
    }
    // Compressed rubbish and a bomb end the answer with an error instead of a silent cut.
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..66 {
        std::io::Write::write_all(&mut zip, &vec![b'0'; 1 << 20]).unwrap();
    }
    for bad in [b"not gzip at all".to_vec(), zip.finish().unwrap()] {
        let answer = upload_pack(&mirror, &tasks, &with(right, Some("gzip")), Body::from(bad)).await;
        let read = axum::body::to_bytes(answer.into_body(), 1 << 20).await;
        assert!(read.is_err(), "{read:?}");
    }
}
