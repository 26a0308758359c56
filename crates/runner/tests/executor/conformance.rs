//! What every executor has to do, as one function: [`conforms`]. The test of a new executor calls it.
//!
//! Scripts keep to what a plain `sh` with the usual small tools can do.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tasuki_model::id::TaskId;
use tasuki_runner::executor::{
    Collected, Command, Discard, Ended, Error, Executor, Exit, PushedFile, Sandbox, Shell, ShellKind, Stop, Stream,
    Task,
};
use tasuki_runner::guest::{CacheEntry, Compression, Format, Request, RestoreCache, SaveCache, Selection};

/// What a test may look at besides the two traits.
pub(crate) struct Options {
    /// A sandbox is a part of this machine: its process ids are checked to be gone, its folders to be apart.
    pub(crate) host_processes: bool,
    /// A script that a signal ended is told apart from one that exits with 128 and the signal's number.
    pub(crate) signals: bool,
}

impl Options {
    /// Processes of this machine that the executor itself starts.
    pub(crate) const HOST: Self = Self {
        host_processes: true,
        signals: true,
    };
}

/// Runs every case on `executor`, several of them at once, as a runner would.
pub(crate) async fn conforms(executor: &dyn Executor, options: &Options) {
    scripts(executor, options).await;
    environments(executor).await;
    large_things(executor).await;
    stops(executor, options).await;
    background(executor, options).await;
    files(executor).await;
    caches(executor).await;
    isolation(executor, options).await;
    refusals(executor).await;
}

static TASKS: AtomicI64 = AtomicI64::new(1);

/// A task of its own slot, as the poll loop gives them out.
pub(crate) fn task() -> Task {
    let id = TASKS.fetch_add(1, Ordering::Relaxed);
    Task {
        id: TaskId(id),
        runner_short_token: "conform12".to_owned(),
        concurrent_id: u32::try_from(id).expect("few tasks"),
        concurrent_project_id: u32::try_from(id).expect("few tasks"),
        project_slug: "group/project".to_owned(),
        project_id: 7,
        folder_suffix: None,
        clone_path: None,
        variables: Vec::new(),
        public_variables: Vec::new(),
        file_variables: Vec::new(),
        payload: None,
        image: None,
        services: Vec::new(),
        meeting: tasuki_model::plan::Meeting::Names,
        registry_logins: Vec::new(),
        timeout: std::time::Duration::from_secs(3600),
        origin: tasuki_runner::executor::Origin::default(),
    }
}

async fn sandbox(executor: &dyn Executor) -> Box<dyn Sandbox> {
    executor
        .prepare(task(), Stop::new(), Arc::new(Discard))
        .await
        .expect("a sandbox")
}

fn sh(text: impl Into<String>) -> Command {
    Command::script(
        Shell {
            kind: ShellKind::Sh,
            login: false,
        },
        text,
    )
}

async fn run(sandbox: &dyn Sandbox, command: Command) -> (Ended, Collected) {
    let output = Collected::default();
    let ended = sandbox.run(command, &output).await.expect("runs");
    (ended, output)
}

async fn check(sandbox: &dyn Sandbox, command: Command, exit: Exit, stdout: &[u8], stderr: &[u8]) {
    let shown = format!("{:?}", command.program);
    let shown = &shown[..shown.len().min(300)];
    let (ended, output) = run(sandbox, command).await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned();
    assert_eq!(ended.exit, exit, "{shown}: {}", text(&output.all()));
    assert_eq!(
        text(&output.of(Stream::Stdout)),
        text(stdout),
        "{shown}: standard output"
    );
    assert!(output.of(Stream::Stdout) == stdout, "{shown}: standard output");
    assert_eq!(
        text(&output.of(Stream::Stderr)),
        text(stderr),
        "{shown}: standard error"
    );
}

async fn scripts(executor: &dyn Executor, options: &Options) {
    let place = sandbox(executor).await;
    let signal = |number| {
        if options.signals {
            Exit::Signal(number)
        } else {
            Exit::Code(128 + number)
        }
    };
    let cases: [(&str, Exit, &[u8], &[u8]); 12] = [
        ("true", Exit::Code(0), b"", b""),
        ("exit 1", Exit::Code(1), b"", b""),
        ("exit 255", Exit::Code(255), b"", b""),
        ("echo out; echo err >&2", Exit::Code(0), b"out\n", b"err\n"),
        ("printf 'no newline at end'", Exit::Code(0), b"no newline at end", b""),
        ("printf '\\000\\377\\200'", Exit::Code(0), b"\0\xff\x80", b""),
        ("printf 'a\\rb\\r\\n'", Exit::Code(0), b"a\rb\r\n", b""),
        ("kill -9 $$", signal(9), b"", b""),
        ("kill -11 $$", signal(11), b"", b""),
        ("(exit 3); echo $?", Exit::Code(0), b"3\n", b""),
        ("cat", Exit::Code(0), b"", b""),
        (
            "if [ -t 0 ] || [ -t 1 ]; then echo terminal; fi",
            Exit::Code(0),
            b"",
            b"",
        ),
    ];
    for (text, exit, stdout, stderr) in cases {
        check(&*place, sh(text), exit, stdout, stderr).await;
    }
    let project = place.paths().project.to_string_lossy().into_owned();
    check(
        &*place,
        sh("pwd"),
        Exit::Code(0),
        format!("{project}\n").as_bytes(),
        b"",
    )
    .await;
    check(&*place, sh("ls -A"), Exit::Code(0), b"", b"").await;
    check(
        &*place,
        sh("mkdir sub; cd sub; rm -rf \"$OLDPWD\" 2>/dev/null; true"),
        Exit::Code(0),
        b"",
        b"",
    )
    .await;
    check(
        &*place,
        sh("pwd; mkdir sub"),
        Exit::Code(0),
        format!("{project}\n").as_bytes(),
        b"",
    )
    .await;
    let elsewhere = Command {
        cwd: Some(format!("{project}/sub")),
        ..sh("pwd")
    };
    check(
        &*place,
        elsewhere,
        Exit::Code(0),
        format!("{project}/sub\n").as_bytes(),
        b"",
    )
    .await;
    place.teardown().await.expect("is torn down");
}

async fn environments(executor: &dyn Executor) {
    let place = sandbox(executor).await;
    let with = |env: &[(&str, &str)], text: &str| Command {
        env: env
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        ..sh(text)
    };
    for value in [
        "",
        " ",
        "a\nb\n\nc",
        "'\"`$(false)\\${HOME}",
        "é漢\u{1f980}",
        "\u{1}\u{7f}\t\r",
        "=",
        "-n",
        "$",
    ] {
        let command = with(&[("ODD", value)], "printf %s \"$ODD\"");
        check(&*place, command, Exit::Code(0), value.as_bytes(), b"").await;
    }
    check(
        &*place,
        with(&[("K", "first"), ("K", "last")], "echo $K"),
        Exit::Code(0),
        b"last\n",
        b"",
    )
    .await;
    check(
        &*place,
        with(&[("HOME", "/mine")], "echo $HOME"),
        Exit::Code(0),
        b"/mine\n",
        b"",
    )
    .await;
    let basics = "for name in PATH HOME TMPDIR USER; do eval \"test -n \\\"\\$$name\\\"\" || echo no $name; done; \
                  test -w \"$HOME\" -a -w \"$TMPDIR\" || echo not writable; ls -A \"$HOME\" \"$TMPDIR\" | grep -v : | grep . ";
    check(&*place, sh(basics), Exit::Code(1), b"", b"").await;
    // Nothing of the runner's own environment, of which cargo's is a part here.
    check(&*place, sh("env | grep -c ^CARGO"), Exit::Code(1), b"0\n", b"").await;
    place.teardown().await.expect("is torn down");
}

async fn large_things(executor: &dyn Executor) {
    let place = sandbox(executor).await;
    let (ended, output) = run(&*place, sh("head -c 50000000 /dev/zero; echo end")).await;
    assert_eq!((ended.exit, output.all().len()), (Exit::Code(0), 50_000_004));

    let long = format!(": '{}'\necho done", "x".repeat(5 << 20));
    check(&*place, sh(long), Exit::Code(0), b"done\n", b"").await;

    let many = (0..2000).map(|n| (format!("VARIABLE_{n}"), "v".repeat(400))).collect();
    let command = Command {
        env: many,
        ..sh("echo ${#VARIABLE_0} ${#VARIABLE_1999}")
    };
    check(&*place, command, Exit::Code(0), b"400 400\n", b"").await;

    // More than the kernel passes on: the shell has it nevertheless.
    let huge = vec![
        ("HUGE".to_owned(), "it's\n".repeat(600_000)),
        ("SMALL".to_owned(), "s".to_owned()),
    ];
    let command = Command {
        env: huge,
        ..sh("echo ${#HUGE} $SMALL")
    };
    check(&*place, command, Exit::Code(0), b"3000000 s\n", b"").await;

    // A slow reader slows the job down; nothing is lost.
    let slow = Slow(Collected::default());
    let ended = place
        .run(sh("head -c 3000000 /dev/zero | tr '\\0' x; echo end >&2"), &slow)
        .await
        .expect("runs");
    assert_eq!((ended.exit, slow.0.all().len()), (Exit::Code(0), 3_000_004));
    place.teardown().await.expect("is torn down");
}

struct Slow(Collected);

#[async_trait::async_trait]
impl tasuki_runner::executor::Output for Slow {
    async fn write(&self, stream: Stream, bytes: &[u8]) {
        tokio::time::sleep(Duration::from_millis(2)).await;
        self.0.write(stream, bytes).await;
    }
}

/// Scripts that try to outlive what ends them. Each prints the ids of its processes.
const ESCAPES: [&str; 4] = [
    "sleep 1000 & echo $!; wait",
    "trap '' TERM; echo $$; while :; do sleep 0.1; done",
    "(sleep 1000 & echo $!); sleep 1000",
    "setsid sh -c 'echo $$; (sleep 1000 & echo $!); exec sleep 1000' & sleep 1000",
];

async fn stops(executor: &dyn Executor, options: &Options) {
    let place = sandbox(executor).await;
    for script in ESCAPES {
        for how in ["graceful", "force", "timeout", "drop"] {
            let mut command = Command {
                grace: Duration::from_millis(200),
                ..sh(script)
            };
            if how == "timeout" {
                command.timeout = Some(Duration::from_secs(1));
            }
            let (stop, output) = (command.stop.clone(), Collected::default());
            let pull = async {
                while output.all().is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                match how {
                    "graceful" => stop.graceful(),
                    "force" => stop.force(),
                    _ => {}
                }
            };
            let started = Instant::now();
            if how == "drop" {
                tokio::select! { _ = place.run(command, &output) => panic!("{script} ended"), () = pull => {} }
            } else {
                let run = place.run(command, &output);
                let (ended, wanted) = if how == "timeout" {
                    (run.await, Exit::TimedOut)
                } else {
                    (tokio::join!(run, pull).0, Exit::Stopped)
                };
                assert_eq!(ended.expect("has an end").exit, wanted, "{script}: {how}");
                assert!(!output.all().is_empty(), "{script}: {how}: it was not started in time");
            }
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "{script}: {how} took {:?}",
                started.elapsed()
            );
            if options.host_processes {
                gone(
                    &output.text(),
                    if how == "drop" {
                        Duration::from_secs(5)
                    } else {
                        Duration::ZERO
                    },
                )
                .await;
            }
        }
    }
    // The sandbox is as good as before.
    check(&*place, sh("echo still here"), Exit::Code(0), b"still here\n", b"").await;
    // A script that cleans up when it is asked to end gets the time for it.
    let command = sh("trap 'echo cleaned up; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
    let (stop, output) = (command.stop.clone(), Collected::default());
    let pull = async {
        while output.all().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.graceful();
    };
    let (ended, ()) = tokio::join!(place.run(command, &output), pull);
    assert_eq!(ended.expect("has an end").exit, Exit::Stopped);
    assert_eq!(output.of(Stream::Stdout), b"ready\ncleaned up\n");
    place.teardown().await.expect("is torn down");
}

/// Waits until none of the printed processes is alive.
pub(crate) async fn gone(pids: &str, patience: Duration) {
    let started = Instant::now();
    for pid in pids.split_whitespace() {
        let alive = || {
            std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
                !stat
                    .rsplit_once(')')
                    .is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
            })
        };
        while alive() {
            assert!(started.elapsed() < patience, "process {pid} lives");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn background(executor: &dyn Executor, options: &Options) {
    let place = sandbox(executor).await;
    let started = Instant::now();
    // It keeps the output open, prints on, and lives until teardown.
    let (ended, output) = run(
        &*place,
        sh("(n=0; while sleep 0.05; do n=$((n+1)); echo $n > beat; echo noise; done) & echo $!; exit 4"),
    )
    .await;
    assert_eq!(ended.exit, Exit::Code(4));
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "took {:?}",
        started.elapsed()
    );
    let pid = output
        .text()
        .lines()
        .find(|line| *line != "noise")
        .expect("printed")
        .to_owned();
    check(
        &*place,
        sh("a=$(cat beat); sleep 0.5; b=$(cat beat); test \"$a\" != \"$b\""),
        Exit::Code(0),
        b"",
        b"",
    )
    .await;
    // Two commands at once.
    let (left, right) = tokio::join!(
        run(
            &*place,
            sh("while ! test -e from-right; do sleep 0.02; done; echo left")
        ),
        run(&*place, sh("touch from-right; echo right")),
    );
    assert_eq!((left.1.text().as_str(), right.1.text().as_str()), ("left\n", "right\n"));
    // One that cut itself loose altogether.
    let (_, loose) = run(
        &*place,
        sh("setsid env -i sh -c '(sleep 1000 >/dev/null 2>&1 & echo $!)'"),
    )
    .await;
    place.teardown().await.expect("is torn down");
    if options.host_processes {
        gone(&format!("{pid} {}", loose.text()), Duration::ZERO).await;
    }
}

async fn files(executor: &dyn Executor) {
    let place = sandbox(executor).await;
    let push = |path: &str, bytes: &'static [u8]| PushedFile {
        path: path.into(),
        mode: 0o600,
        bytes: Bytes::from_static(bytes),
    };
    place.push(push("KEY", b"secret\0bytes")).await.expect("is pushed");
    place.push(push("deep/er/KEY", b"two")).await.expect("is pushed");
    place.push(push("KEY", b"replaced")).await.expect("is pushed");
    let temp = place.paths().temp.to_string_lossy().into_owned();
    let look = format!(
        "cat {temp}/KEY {temp}/deep/er/KEY; ls -l {temp}/KEY | cut -c1-10; test -O {temp}/KEY || echo not mine"
    );
    check(&*place, sh(look), Exit::Code(0), b"replacedtwo-rw-------\n", b"").await;
    check(
        &*place,
        sh(format!(
            "echo K=1 > {temp}/gitlab_runner_env; mkdir {temp}/dir; ln -s /etc/passwd {temp}/link; mkfifo {temp}/pipe"
        )),
        Exit::Code(0),
        b"",
        b"",
    )
    .await;
    assert_eq!(
        place.pull("gitlab_runner_env", 100).await.expect("is pulled"),
        Some(Bytes::from_static(b"K=1\n"))
    );
    assert_eq!(place.pull("nothing", 100).await.expect("is not there"), None);
    for (path, why) in [
        ("gitlab_runner_env", "too large for the limit"),
        ("dir", "a folder"),
        ("link", "a link out of the sandbox"),
        ("pipe", "a pipe: reading would wait"),
        ("../../../../../../etc/passwd", "leads out"),
        ("/etc/passwd", "outside"),
    ] {
        let error = place.pull(path, 3).await.expect_err(why);
        assert!(matches!(error, Error::Job { .. }), "{path}: {error:?}");
    }
    place.push(push("../../escape", b"")).await.expect_err("leads out");
    place.push(push("/etc/tasuki-escape", b"")).await.expect_err("outside");
    place
        .push(push("link", b"mine now"))
        .await
        .expect("replaces a link, does not follow it");
    place.teardown().await.expect("is torn down");
}

async fn caches(executor: &dyn Executor) {
    let mut key = 0;
    for format in [Format::Zip, Format::ZipZstd, Format::TarZstd] {
        key += 1;
        // Caches are found again by the next task in the same place.
        let slot = task();
        let again = || executor.prepare(slot.clone(), Stop::new(), Arc::new(Discard));
        let place = again().await.expect("a sandbox");
        let (project, file) = (
            place.paths().project.clone(),
            place.paths().cache.join(format!("group/project/{key}/cache.zip")),
        );
        let entry = CacheEntry {
            key: key.to_string(),
            file,
            url: None,
            headers: Vec::new(),
        };
        check(&*place, sh("mkdir -p deps/bin deps/empty; echo tool > deps/bin/tool; chmod 755 deps/bin/tool; ln -s bin/tool deps/link; touch -d @1000000001 deps/bin/tool; head -c 3000000 /dev/urandom > deps/large; md5sum < deps/large > sum"), Exit::Code(0), b"", b"").await;
        let selection = Selection {
            paths: vec!["deps".to_owned(), "sum".to_owned()],
            ..Selection::default()
        };
        let save = Request::SaveCache(SaveCache {
            project,
            entry: entry.clone(),
            selection,
            format,
            compression: Compression::Fastest,
            max_bytes: 0,
            timeout_s: 0,
        });
        let (ended, log) = run(&*place, Command::guest(save)).await;
        let response = ended.response.expect("answers");
        assert!(
            ended.exit.success() && response.failure.is_none() && !response.report.skipped,
            "{response:?} {}",
            log.text()
        );
        place.teardown().await.expect("is torn down");

        let place = again().await.expect("a sandbox");
        let missing = CacheEntry {
            key: "other".to_owned(),
            file: entry.file.with_file_name("other.zip"),
            ..entry.clone()
        };
        let restore = RestoreCache {
            project: place.paths().project.clone(),
            entries: vec![missing, entry],
            timeout_s: 0,
        };
        let (ended, log) = run(&*place, Command::guest(Request::RestoreCache(restore))).await;
        let response = ended.response.expect("answers");
        assert_eq!(
            response.report.cache_key,
            Some(key.to_string()),
            "{response:?} {}",
            log.text()
        );
        let look = "cat deps/bin/tool; test -x deps/bin/tool || echo not executable; test -d deps/empty || echo no folder; \
                    readlink deps/link; md5sum < deps/large | cmp - sum; test -O deps/large || echo not mine; \
                    stat -c '%Y %a' deps/bin/tool";
        check(
            &*place,
            sh(look),
            Exit::Code(0),
            b"tool\nbin/tool\n1000000001 755\n",
            b"",
        )
        .await;
        place.teardown().await.expect("is torn down");
    }
}

async fn isolation(executor: &dyn Executor, options: &Options) {
    let first = sandbox(executor).await;
    let second = sandbox(executor).await;
    check(
        &*first,
        sh("echo mine > secret; echo mine > \"$HOME/secret\"; echo mine > \"$TMPDIR/secret\""),
        Exit::Code(0),
        b"",
        b"",
    )
    .await;
    check(
        &*second,
        sh("ls -A . \"$HOME\" \"$TMPDIR\" | grep secret"),
        Exit::Code(1),
        b"",
        b"",
    )
    .await;
    if options.host_processes {
        assert_ne!(first.paths().project, second.paths().project);
    }
    let slot = first.paths().clone();
    first.teardown().await.expect("is torn down");

    // The same slot again: nothing of before is there, neither what was hidden nor what was made hard to remove.
    let again = task();
    let place = executor
        .prepare(again.clone(), Stop::new(), Arc::new(Discard))
        .await
        .expect("a sandbox");
    let hard = "mkdir -p a/b/c .hidden; touch a/b/c/f .hidden/f; chmod 000 a/b/c a/b; chmod 555 a; ln -s /etc link; chmod 500 .; mkdir \"$HOME/x\"; chmod 0 \"$HOME\"";
    check(&*place, sh(hard), Exit::Code(0), b"", b"").await;
    place.teardown().await.expect("is torn down");
    let place = executor
        .prepare(again, Stop::new(), Arc::new(Discard))
        .await
        .expect("a sandbox");
    check(
        &*place,
        sh("ls -A . \"$HOME\" \"$TMPDIR\" | grep -v : | grep ."),
        Exit::Code(1),
        b"",
        b"",
    )
    .await;
    assert_eq!(place.paths().cache, slot.cache, "caches are shared");
    place.teardown().await.expect("is torn down");
    second.teardown().await.expect("is torn down");
}

async fn refusals(executor: &dyn Executor) {
    let place = sandbox(executor).await;
    let pulled = Stop::new();
    pulled.graceful();
    let never = Command {
        stop: pulled.clone(),
        ..sh("echo ran")
    };
    assert!(matches!(place.run(never, &Discard).await, Err(Error::Stopped)));
    assert!(matches!(
        executor.prepare(task(), pulled, Arc::new(Discard)).await,
        Err(Error::Stopped)
    ));
    for (key, value) in [("NUL", "a\0b"), ("", "nameless"), ("A=B", "equals")] {
        let command = Command {
            env: vec![(key.to_owned(), value.to_owned())],
            ..sh("true")
        };
        let error = place.run(command, &Discard).await.expect_err("cannot be passed");
        assert!(matches!(error, Error::Job { .. }), "{key}: {error:?}");
    }
    let nowhere = Command {
        cwd: Some("/no/such/folder".to_owned()),
        ..sh("true")
    };
    assert!(matches!(place.run(nowhere, &Discard).await, Err(Error::Job { .. })));
    let unknown = Shell {
        kind: ShellKind::Custom(vec!["no-such-shell".to_owned()]),
        login: false,
    };
    let error = place
        .run(Command::script(unknown, "true"), &Discard)
        .await
        .expect_err("is not there");
    assert!(matches!(error, Error::Job { .. }), "{error:?}");
    place.teardown().await.expect("is torn down");
}
