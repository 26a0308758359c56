//! Starting and ending programs: exit codes, signals, stops, and that nothing outlives them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tasuki_rt::Tasks;
use tasuki_runner::process::{
    Binary, Cgroup, Collected, Error, Exit, Finished, Limits, MARKER, Nets, Running, Spec, Stdin, Stop, Stream, User,
    sweep_marked,
};

fn binary() -> Binary {
    Binary::at(env!("CARGO_BIN_EXE_tasuki-guest"))
}

fn spec(script: &str) -> Spec {
    Spec {
        argv: ["bash", "-c", script].map(str::to_owned).to_vec(),
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        cwd: PathBuf::from("/"),
        stdin: Stdin::Null,
        user: None,
    }
}

fn limits() -> Limits {
    Limits {
        timeout: None,
        grace: Duration::from_secs(10),
        patience: Limits::PATIENCE,
        stop: Stop::new(),
    }
}

async fn finish(spec: Spec, limits: Limits) -> (Finished, Collected) {
    let output = Collected::default();
    let running = Running::start(&binary(), &Nets::default(), spec).await.expect("starts");
    let finished = running
        .finish(&limits, &output, &Tasks::new())
        .await
        .expect("has an end");
    (finished, output)
}

/// Whether a process with this id is there and not a zombie.
fn alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit_once(')')
            .is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
    })
}

async fn check(script: &str, exit: Exit, output: &str) {
    let (finished, collected) = finish(spec(script), limits()).await;
    assert_eq!((finished.exit, collected.text().as_str()), (exit, output), "{script}");
    assert!(finished.lingering.is_none(), "{script} left somebody behind");
}

#[tokio::test]
async fn a_program_ends_as_it_ends() {
    check("echo out", Exit::Code(0), "out\n").await;
    check("printf 'no newline'", Exit::Code(0), "no newline").await;
    check("exit 137", Exit::Code(137), "").await;
    check("kill -SEGV $$", Exit::Signal(11), "").await;
    check("kill -KILL $$", Exit::Signal(9), "").await;
    check("cat; echo end of input", Exit::Code(0), "end of input\n").await;
    check("true & wait; (exit 3) & wait $!", Exit::Code(3), "").await;
    check(
        "env | grep -v -e ^_= -e ^SHLVL= -e ^PWD=",
        Exit::Code(0),
        "PATH=/usr/bin:/bin\n",
    )
    .await;
    check(
        "test -t 0 -o -t 1; echo $?; (tty < /dev/tty) 2>/dev/null || echo no terminal",
        Exit::Code(0),
        "1\nno terminal\n",
    )
    .await;
}

#[tokio::test]
async fn standard_input_may_be_large_or_unread() {
    let text = "x".repeat(3 << 20);
    let (finished, output) = finish(
        Spec {
            stdin: Stdin::Text(text.clone()),
            ..spec("wc -c")
        },
        limits(),
    )
    .await;
    assert_eq!((finished.exit, output.text().trim()), (Exit::Code(0), "3145728"));
    let (finished, _) = finish(
        Spec {
            stdin: Stdin::Text(text),
            ..spec("exit 4")
        },
        limits(),
    )
    .await;
    assert_eq!(finished.exit, Exit::Code(4));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let mut missing = spec("");
    missing.argv = vec!["no-such-program".to_owned()];
    let error = Running::start(&binary(), &Nets::default(), missing)
        .await
        .expect_err("cannot start");
    assert!(
        matches!(&error, Error::Start { program, source }
        if program == "no-such-program" && source.kind() == std::io::ErrorKind::NotFound),
        "{error:?}"
    );
    let mut nowhere = spec("true");
    nowhere.cwd = PathBuf::from("/no/such/folder");
    assert!(matches!(
        Running::start(&binary(), &Nets::default(), nowhere).await,
        Err(Error::Start { .. })
    ));
}

#[tokio::test]
async fn a_large_output_arrives_whole() {
    let (finished, output) = finish(spec("head -c 20000000 /dev/zero; head -c 1000 /dev/zero >&2"), limits()).await;
    assert_eq!((finished.exit, output.all().len()), (Exit::Code(0), 20_001_000));
}

/// Programs that try to outlive what stops them. Each prints the ids of the processes that it leaves.
const ESCAPES: [(&str, &str); 5] = [
    ("child", "sleep 1000 & echo $!; wait"),
    (
        "ignores TERM",
        "trap '' TERM; (trap '' TERM; echo $BASHPID; while :; do sleep 0.1; done) & wait; while :; do sleep 0.1; done",
    ),
    ("double fork", "(sleep 1000 & echo $!) ; sleep 1000"),
    ("setsid", "setsid sh -c 'echo $$; exec sleep 1000' & sleep 1000"),
    (
        "setsid, double fork, own environment, output closed",
        "setsid env -i sh -c '(sleep 1000 >/dev/null 2>&1 & echo $!)' ; sleep 1000",
    ),
];

#[tokio::test]
async fn nothing_outlives_a_stop() {
    for (name, script) in ESCAPES {
        for force in [false, true] {
            let limits = Limits {
                grace: Duration::from_millis(300),
                ..limits()
            };
            let (stop, output) = (limits.stop.clone(), Collected::default());
            let running = Running::start(&binary(), &Nets::default(), spec(script))
                .await
                .expect("starts");
            let tasks = Tasks::new();
            let pull = async {
                while output.all().is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                if force { stop.force() } else { stop.graceful() }
            };
            let (finished, ()) = tokio::join!(running.finish(&limits, &output, &tasks), pull);
            let finished = finished.expect("has an end");
            assert_eq!(finished.exit, Exit::Stopped, "{name}");
            assert!(finished.lingering.is_none(), "{name}");
            assert_gone(name, &output);
        }
    }
}

fn assert_gone(name: &str, output: &Collected) {
    for pid in output.text().lines() {
        assert!(!alive(pid), "{name}: process {pid} lives");
    }
}

#[tokio::test]
async fn nothing_outlives_a_timeout() {
    let limits = Limits {
        timeout: Some(Duration::from_millis(200)),
        grace: Duration::from_millis(100),
        ..limits()
    };
    let (finished, output) = finish(spec(ESCAPES[4].1), limits).await;
    assert_eq!(finished.exit, Exit::TimedOut);
    assert_gone("timeout", &output);
}

#[tokio::test]
async fn the_time_to_end_gracefully_is_given() {
    let limits = limits();
    let stop = limits.stop.clone();
    let output = Collected::default();
    let running = Running::start(
        &binary(),
        &Nets::default(),
        spec("trap 'sleep 0.2; echo cleaned up; exit 5' TERM; echo ready; while :; do sleep 0.01; done"),
    )
    .await
    .expect("starts");
    let pull = async {
        while output.all().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.graceful();
    };
    let tasks = Tasks::new();
    let (finished, ()) = tokio::join!(running.finish(&limits, &output, &tasks), pull);
    assert_eq!(finished.expect("has an end").exit, Exit::Stopped);
    assert_eq!(output.of(Stream::Stdout), b"ready\ncleaned up\n");
}

#[tokio::test]
async fn a_background_process_that_holds_the_output_does_not_hang_the_job() {
    let started = Instant::now();
    let (finished, output) = finish(
        spec("(while sleep 0.05; do echo noise; done) & echo $!; exit 7"),
        limits(),
    )
    .await;
    assert_eq!(finished.exit, Exit::Code(7));
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "took {:?}",
        started.elapsed()
    );
    let text = output.text();
    let pid = text.lines().find(|line| *line != "noise").expect("printed its id");
    let mut lingering = finished.lingering.expect("somebody is left");
    assert!(alive(pid) && lingering.is_alive());
    lingering.end().await.expect("ends");
    assert!(!alive(pid));
}

#[tokio::test]
async fn a_background_process_with_its_own_output_costs_no_time() {
    let started = Instant::now();
    let (finished, _) = finish(spec("sleep 1000 >/dev/null 2>&1 & exit 0"), limits()).await;
    assert_eq!(finished.exit, Exit::Code(0));
    assert!(
        started.elapsed() < Duration::from_millis(900),
        "took {:?}",
        started.elapsed()
    );
    finished.lingering.expect("somebody is left").end().await.expect("ends");
}

#[tokio::test]
async fn dropping_a_running_program_kills_it() {
    let output = Collected::default();
    let running = Running::start(&binary(), &Nets::default(), spec(ESCAPES[3].1))
        .await
        .expect("starts");
    let (limits, tasks) = (limits(), Tasks::new());
    let finish = running.finish(&limits, &output, &tasks);
    let printed = async {
        while output.all().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! { _ = finish => panic!("ended by itself"), () = printed => {} }
    let pid = output.text().trim().to_owned();
    eventually_gone(&pid).await;
}

async fn eventually_gone(pid: &str) {
    let started = Instant::now();
    while alive(pid) {
        assert!(started.elapsed() < Duration::from_secs(10), "process {pid} lives");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_escapes_a_killed_supervisor_is_found_by_its_marker() {
    let marker = format!("test-{}", std::process::id());
    let mut spec = spec("setsid sh -c 'echo $$; exec sleep 1000' & sleep 0.1; kill -KILL $PPID; sleep 1000");
    spec.env.push((MARKER.to_owned(), marker.clone()));
    let output = Collected::default();
    let running = Running::start(&binary(), &Nets::default(), spec).await.expect("starts");
    let error = running
        .finish(&limits(), &output, &Tasks::new())
        .await
        .expect_err("its end is unknown");
    assert!(matches!(error, Error::SupervisorLost), "{error:?}");
    let pid = output.text().trim().to_owned();
    assert!(alive(&pid));
    assert!(sweep_marked(&marker).expect("sweeps") >= 2);
    assert!(!alive(&pid));
    assert_eq!(sweep_marked(&marker).expect("sweeps"), 0);
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn cgroup(of: &str) -> Option<Cgroup> {
    let made = Cgroup::create(&format!("test-{of}-{}", std::process::id()));
    if made.is_none() {
        eprintln!("SKIPPED: no cgroup can be made here");
    }
    made
}

#[tokio::test]
async fn a_program_is_in_its_cgroup_whoever_runs_it() {
    let Some(group) = cgroup("member") else { return };
    let nets = Nets {
        cgroup: Some(group.clone()),
        ..Nets::default()
    };
    let nobody = User::find("nobody").ok().filter(|_| User::switchable());
    for user in [None, nobody] {
        let spec = Spec {
            user,
            ..spec("exec 3</proc/self/cgroup; cat <&3")
        };
        let output = Collected::default();
        let running = Running::start(&binary(), &nets, spec).await.expect("starts");
        let finished = running.finish(&limits(), &output, &Tasks::new()).await.expect("ends");
        assert_eq!(finished.exit, Exit::Code(0));
        let name = group.dir().file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(output.text().contains(name), "{}", output.text());
    }
    assert_eq!(group.destroy().expect("destroys"), 0, "the supervisor stands outside");
}

#[tokio::test]
async fn a_cgroup_holds_even_those_without_a_marker() {
    let Some(group) = cgroup("unmarked") else { return };
    let spec = spec("setsid env -i sh -c 'echo $$; exec sleep 1000' & sleep 0.1; kill -KILL $PPID; sleep 1000");
    let nets = Nets {
        cgroup: Some(group.clone()),
        ..Nets::default()
    };
    let output = Collected::default();
    let running = Running::start(&binary(), &nets, spec).await.expect("starts");
    running
        .finish(&limits(), &output, &Tasks::new())
        .await
        .expect_err("its end is unknown");
    let pid = output.text().trim().to_owned();
    assert!(alive(&pid));
    assert!(group.destroy().expect("destroys") >= 2);
    eventually_gone(&pid).await;
    assert!(!Path::new(group.dir()).exists());
    assert_eq!(group.destroy().expect("is idempotent"), 0);
}
