//! `tasuki job shell` in a job that runs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::exec::signal;
use crate::server::Up;
use crate::world::{Ended, World, wait_for};

const CONFIG: &str = "sleeper:\n  variables: {GREETING: 'good day'}\n  script: [echo hello, sleep 600]\n";

/// A job that sleeps until it is cancelled; its number.
fn sleeping(world: &World, up: &Up<'_>) -> String {
    let repository = world.repository("app", &[(".gitlab-ci.yml", CONFIG)]);
    up.run(&["project", "add", repository.to_str().unwrap()]).expect(0);
    wait_for("a running job", || {
        let pipeline = up.pipelines().first()?["id"].as_i64()?;
        let running = up.jobs(pipeline).iter().any(|job| job["status"] == "running");
        running.then(|| up.job(pipeline, "sleeper"))
    })
}

/// Types `input` into a shell of the job.
fn typed(world: &World, job: &str, input: &str) -> Ended {
    let mut command = world.tasuki(world.folder.path(), &["job", "shell", job]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn is_alive(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

/// Starts something in a terminal of the job that ends for nothing but a kill; its process on the runner.
fn stubborn(world: &World, job: &str) -> (Child, String) {
    let script = "trap '' HUP INT TERM; echo \"self $$\"; while :; do sleep 600; done";
    let mut command = world.tasuki(world.folder.path(), &["job", "shell", job, "--", "sh", "-c", script]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let pid = line.trim().strip_prefix("self ").unwrap_or_else(|| panic!("{line:?}"));
    assert!(is_alive(pid));
    (child, pid.to_owned())
}

#[test]
fn a_shell_in_a_running_job() {
    let world = World::new();
    let up = Up::start(&world);
    let job = sleeping(&world, &up);

    let input = "echo \"$CI_JOB_NAME says $GREETING\"; pwd; tty; exit 7\n";
    let Ended { out, .. } = typed(&world, &job, input).expect(7);
    assert!(out.contains("sleeper says good day\r\n"), "{out}");
    assert!(out.contains("/local/app\r\n") && out.contains("\r\n/dev/pts/"), "{out}");
    // The end of the input ends the shell.
    let Ended { out, .. } = typed(&world, &job, "echo \"sum $((6*7))\"\n").expect(0);
    assert!(out.contains("sum 42\r\n"), "{out}");
    up.run(&["job", "shell", &job, "--", "sh", "-c", "exit 3"]).expect(3);
    let missing = up.run(&["job", "shell", &job, "--", "no-such-program"]).expect(127);
    assert!(missing.out.contains("cannot start no-such-program"), "{}", missing.out);

    let long = "x".repeat(10_001);
    up.run(&["job", "shell", &job, "--", "echo", &long]).expect(2);

    // A person who goes takes along what runs in the terminal.
    let (mut child, pid) = stubborn(&world, &job);
    let second = up.run(&["job", "shell", &job]).expect(2);
    assert!(second.err.contains("open there already"), "{}", second.err);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("the program to go", || (!is_alive(&pid)).then_some(()));

    // So does the job.
    let (child, pid) = wait_for("the terminal to be free", || {
        let free = up.run(&["job", "shell", &job, "--", "true"]).code == 0;
        free.then(|| stubborn(&world, &job))
    });
    up.run(&["job", "cancel", &job]).expect(0);
    let ended = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(3), "{told}");
    assert!(told.contains("the job has ended"), "{told}");
    wait_for("the program to go", || (!is_alive(&pid)).then_some(()));
    wait_for("the job to end", || {
        let late = up.run(&["job", "shell", &job]).expect(2);
        let wanted = "is canceled: a terminal needs a running job";
        late.err.contains(wanted).then_some(())
    });

    let log = std::fs::read_to_string(world.path("up.log")).unwrap();
    let opened = log
        .lines()
        .find(|line| line.contains("a terminal was opened caller="))
        .unwrap();
    assert!(
        opened.contains("admin.token") && opened.contains(&format!("job.id={job}")),
        "{opened}"
    );
    let log = up.run(&["job", "log", &job]).expect(0).out;
    assert!(
        log.contains("hello") && !log.contains("says"),
        "a terminal is not logged: {log}"
    );
    assert_eq!(up.stop(), 0);
}

/// A terminal of the user's own: its two ends.
fn terminal() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags).unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).unwrap();
    (master, slave)
}

#[test]
fn a_persons_terminal_is_passed_through_and_set_back() {
    let world = World::new();
    let up = Up::start(&world);
    let job = sleeping(&world, &up);
    let (master, slave) = terminal();
    let size = Winsize {
        ws_row: 33,
        ws_col: 101,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&master, size).unwrap();
    let before = tcgetattr(&slave).unwrap();
    let mut command = world.tasuki(world.folder.path(), &["job", "shell", &job, "--", "sh"]);
    command
        .stdin(slave.try_clone().unwrap())
        .stdout(slave.try_clone().unwrap());
    let mut child = command.env("TERM", "vt220").spawn().unwrap();
    wait_for("the terminal to be raw", || {
        let now = tcgetattr(&slave).unwrap();
        (!now.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO)).then_some(())
    });
    let (mut keys, mut screen) = (
        std::fs::File::from(master.try_clone().unwrap()),
        std::fs::File::from(master),
    );
    keys.write_all(b"stty size; echo \"term $TERM\"\r").unwrap();
    let mut shown = String::new();
    while !(shown.contains("33 101\r\n") && shown.contains("term vt220\r\n")) {
        let mut piece = [0; 1024];
        let length = screen.read(&mut piece).unwrap();
        shown.push_str(&String::from_utf8_lossy(&piece[..length]));
    }
    // Ctrl-C is a key like any other: it goes to the job, not to the client.
    keys.write_all(b"\x03").unwrap();
    signal(child.id(), "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let after = tcgetattr(&slave).unwrap();
    assert_eq!(
        (before.local_modes, before.input_modes, before.output_modes),
        (after.local_modes, after.input_modes, after.output_modes)
    );
    up.run(&["job", "cancel", &job]).expect(0);
    assert_eq!(up.stop(), 0);
}
