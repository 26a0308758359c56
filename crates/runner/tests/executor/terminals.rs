//! What every executor with terminals has to do, as one function: [`terminals`].

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tasuki_runner::executor::{
    Discard, Executor, Exit, Interactive, Keyboard, Output, Sandbox, Shell, ShellKind, Stop, Stream, Typed, Typist,
    Window,
};
use tokio::sync::{Notify, mpsc};

use crate::conformance::{Options, gone, task};

/// What was printed so far.
#[derive(Default)]
struct Screen {
    text: Mutex<Vec<u8>>,
    grown: Notify,
    /// How long each of the first pieces is looked at.
    slow: Option<Duration>,
}

impl Screen {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().expect("no panic")).into_owned()
    }

    /// Waits until `text` is there; gives what stands before the end of its line.
    async fn shows(&self, text: &str) -> String {
        let shown = async {
            loop {
                let grown = self.grown.notified();
                let all = self.text();
                if let Some((_, rest)) = all.split_once(text)
                    && let Some((line, _)) = rest.split_once('\n')
                {
                    return line.trim_end().to_owned();
                }
                grown.await;
            }
        };
        let limited = tokio::time::timeout(Duration::from_secs(60), shown).await;
        limited.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.text()))
    }
}

#[async_trait]
impl Output for Screen {
    async fn write(&self, stream: Stream, bytes: &[u8]) {
        assert_eq!(stream, Stream::Stdout);
        let seen = {
            let mut text = self.text.lock().expect("no panic");
            text.extend_from_slice(bytes);
            text.len()
        };
        self.grown.notify_waiters();
        if let Some(pause) = self.slow.filter(|_| seen < 100_000) {
            tokio::time::sleep(pause).await;
        }
    }
}

pub(crate) fn program(argv: &[&str]) -> Interactive {
    Interactive {
        argv: argv.iter().map(|&part| part.to_owned()).collect(),
        shell: Shell {
            kind: ShellKind::Sh,
            login: false,
        },
        typist: Typist::Pipe,
        env: vec![
            ("K".to_owned(), "a value".to_owned()),
            ("TERM".to_owned(), "vt100".to_owned()),
        ],
        cwd: None,
        window: Window { columns: 97, rows: 31 },
        stop: Stop::new(),
    }
}

/// Runs `what` while `person` types; gives how it ended and what the screen shows.
async fn run<F>(
    place: &dyn Sandbox,
    what: Interactive,
    screen: Screen,
    person: impl FnOnce(mpsc::Sender<Typed>, Arc<Screen>) -> F,
) -> (Exit, String)
where
    F: Future<Output = ()>,
{
    let (keys, typed) = mpsc::channel(4);
    let screen = Arc::new(screen);
    let person = person(keys, Arc::clone(&screen));
    let program = place.interact(what, Keyboard { typed }, &*screen);
    let (exit, ()) = tokio::join!(program, person);
    (exit.expect("runs"), screen.text())
}

async fn keys(keys: &mpsc::Sender<Typed>, text: &'static str) {
    let typed = Typed::Bytes(Bytes::from_static(text.as_bytes()));
    keys.send(typed).await.expect("is taken");
}

/// Runs every case on `executor`.
pub(crate) async fn terminals(executor: &dyn Executor, options: &Options) {
    let place = executor.prepare(task(), Stop::new(), Arc::new(Discard)).await;
    let place = place.expect("a sandbox");
    let nobody = async |_: mpsc::Sender<Typed>, _: Arc<Screen>| {};

    let script = "test -t 0 && test -t 1 && test -t 2 && tty; stty size; echo \"$K,$TERM\"; pwd; : >/dev/tty; exit 7";
    let (exit, text) = run(&*place, program(&["sh", "-c", script]), Screen::default(), nobody).await;
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(exit, Exit::Code(7), "{text:?}");
    assert!(lines[0].starts_with("/dev/pts/"), "{text:?}");
    let project = place.paths().project.to_string_lossy().into_owned();
    assert_eq!(lines[1..], ["31 97", "a value,vt100", &project, ""], "{text:?}");

    let (exit, text) = run(&*place, program(&["no-such-program"]), Screen::default(), nobody).await;
    assert_eq!(exit, Exit::Code(127), "{text:?}");
    assert!(text.contains("cannot start no-such-program"), "{text:?}");

    typed_into(&*place).await;
    printed_to_the_end(&*place).await;
    nobody_is_left(&*place, options).await;
    place.teardown().await.expect("is torn down");
}

async fn typed_into(place: &dyn Sandbox) {
    // A shell, until the end of the input; the last line has no end of its own.
    let (exit, text) = run(place, program(&[]), Screen::default(), async |to, _| {
        keys(&to, "echo \"sum $((6*7))\"\necho \"last $((1+1))\"").await;
        to.send(Typed::End).await.expect("is taken");
    })
    .await;
    assert_eq!(exit, Exit::Code(0), "{text:?}");
    assert!(text.contains("sum 42\r\n") && text.contains("last 2\r\n"), "{text:?}");

    let script = "trap 'echo caught; exit 3' INT; echo ready; sleep 600 & wait";
    let (exit, text) = run(
        place,
        program(&["sh", "-c", script]),
        Screen::default(),
        async |to, screen| {
            screen.shows("ready").await;
            keys(&to, "\x03").await;
        },
    )
    .await;
    assert_eq!(exit, Exit::Code(3), "{text:?}");
    assert!(text.contains("caught"), "{text:?}");

    let script = "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done";
    let (exit, text) = run(
        place,
        program(&["sh", "-c", script]),
        Screen::default(),
        async |to, screen| {
            screen.shows("ready").await;
            let window = Window { columns: 40, rows: 12 };
            to.send(Typed::Resize(window)).await.expect("is taken");
        },
    )
    .await;
    assert_eq!(exit, Exit::Code(0), "{text:?}");
    assert!(text.contains("12 40"), "{text:?}");
}

/// Who looks slowly sees everything, also what was printed just before the end.
async fn printed_to_the_end(place: &dyn Sandbox) {
    let slow = Screen {
        slow: Some(Duration::from_millis(100)),
        ..Screen::default()
    };
    let script = "i=0; while [ $i -lt 3000 ]; do echo \"line $i of many more of them\"; i=$((i+1)); done";
    let (exit, text) = run(place, program(&["sh", "-c", script]), slow, async |_, _| {}).await;
    assert_eq!(exit, Exit::Code(0));
    let expected: String = (0..3000)
        .map(|i| format!("line {i} of many more of them\r\n"))
        .collect();
    assert!(text == expected, "{} bytes of {}", text.len(), expected.len());
}

async fn nobody_is_left(place: &dyn Sandbox, options: &Options) {
    // What it leaves in the background ends with it, also what ignores that its terminal goes.
    let script = "(trap '' HUP; exec sleep 600 >/dev/null 2>&1) & echo \"left $!\"";
    let (exit, text) = run(
        place,
        program(&["sh", "-c", script]),
        Screen::default(),
        async |_, _| {},
    )
    .await;
    assert_eq!(exit, Exit::Code(0), "{text:?}");
    let left = text.trim().strip_prefix("left ").expect("a process").to_owned();

    let what = program(&[
        "sh",
        "-c",
        "trap '' HUP TERM; echo \"self $$\"; while :; do sleep 600; done",
    ]);
    let stop = what.stop.clone();
    let (exit, text) = run(place, what, Screen::default(), async |_, screen| {
        screen.shows("self").await;
        stop.force();
    })
    .await;
    assert_eq!(exit, Exit::Stopped, "{text:?}");
    let stopped = text.trim().strip_prefix("self ").expect("a process").to_owned();

    // Dropped in the middle.
    let (_keys, typed) = mpsc::channel(1);
    let screen = Screen::default();
    let what = program(&[
        "sh",
        "-c",
        "trap '' HUP TERM; echo \"self $$\"; while :; do sleep 600; done",
    ]);
    let dropped = tokio::select! {
        _ = place.interact(what, Keyboard { typed }, &screen) => panic!("it has no end"),
        pid = screen.shows("self ") => pid,
    };
    if options.host_processes {
        gone(&format!("{left} {stopped}"), Duration::ZERO).await;
        gone(&dropped, Duration::from_secs(30)).await;
    }
}
