//! Connections to the cluster that break off while a job prints.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use tasuki_model::plan::Image;
use tasuki_rt::Tasks;
use tasuki_runner::executor::{Collected, Command, Error, Executor as _, Exit, Interactive, Keyboard, Stop};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::account::{Own, RIGHTS, keys};
use crate::cluster::{busybox, chain, place, run_in, script};
use crate::conformance::task;
use crate::terminals::program;

/// Passes connections on, until it is told to cut all of them, or to hold all of them open without a word.
struct Proxy {
    address: String,
    cut: Arc<Mutex<CancellationToken>>,
    held: watch::Sender<bool>,
}

impl Proxy {
    /// Before the API server that KUBECONFIG names.
    async fn new(tasks: &Tasks) -> Self {
        let config = kube::Config::infer().await.expect("KUBECONFIG names a cluster");
        let port = config.cluster_url.port_u16().unwrap_or(443);
        let upstream = format!("{}:{port}", config.cluster_url.host().expect("has one"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let address = format!("https://{}", listener.local_addr().expect("has one"));
        let cut = Arc::new(Mutex::new(CancellationToken::new()));
        let (held, _) = watch::channel(false);
        let (token, inner, hold) = (Arc::clone(&cut), tasks.clone(), held.clone());
        tasks.spawn("proxy of a test", async move {
            while let Ok((near, _)) = listener.accept().await {
                let (upstream, end) = (upstream.clone(), token.lock().expect("no panic").clone());
                let hold = hold.subscribe();
                inner.spawn("connection of a proxy", async move {
                    tokio::select! {
                        () = pass(near, upstream, hold) => {}
                        () = end.cancelled() => {}
                    }
                });
            }
        });
        Self { address, cut, held }
    }

    fn cut(&self) {
        let mut token = self.cut.lock().expect("no panic");
        std::mem::replace(&mut *token, CancellationToken::new()).cancel();
    }

    /// Nothing passes any more, and nobody is told.
    fn hold(&self) {
        self.held.send_replace(true);
    }

    fn let_go(&self) {
        self.held.send_replace(false);
        self.cut();
    }
}

async fn pass(mut near: TcpStream, upstream: String, mut hold: watch::Receiver<bool>) {
    let passed = async {
        if let Ok(mut far) = TcpStream::connect(upstream).await {
            drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
        }
    };
    let held = async { drop(hold.wait_for(|held| *held).await) };
    tokio::select! {
        biased;
        () = held => {}
        () = passed => return,
    }
    // It stays open until it is cut.
    std::future::pending::<()>().await;
    drop(near);
}

/// What a job at the proxy needs.
struct Far {
    own: Own,
    tasks: Tasks,
    proxy: Proxy,
    keys: String,
    _folder: tempfile::TempDir,
}

impl Far {
    async fn new() -> Self {
        let (own, folder, tasks) = (Own::new().await, tempfile::tempdir().expect("a folder"), Tasks::new());
        let proxy = Proxy::new(&tasks).await;
        let token = own.token(RIGHTS).await;
        let keys = keys(folder.path(), &token, Some(&proxy.address)).await;
        let keys = format!("{keys}namespace = {:?}\n", own.name);
        Self {
            own,
            tasks,
            proxy,
            keys,
            _folder: folder,
        }
    }

    async fn end(self) {
        self.own.end().await;
        self.tasks.close_and_wait(Duration::from_secs(1)).await;
    }
}

/// Covers: GK-EXEC-01
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_log_survives_broken_connections_byte_for_byte() {
    const LINES: usize = 20_000;
    const CUTS: usize = 6;
    let far = Far::new().await;
    let place = place(&far.keys);
    let sandbox = place.sandbox(task()).await;
    let text = format!(
        "i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo line $i; [ $((i%100)) = 0 ] && sleep 0.03; done; exit 7"
    );
    let cuts = async {
        for _ in 0..CUTS {
            tokio::time::sleep(Duration::from_millis(700)).await;
            far.proxy.cut();
        }
        Instant::now()
    };
    let job = async { (run_in(&*sandbox, script(&text)).await, Instant::now()) };
    let (((ended, printed), job_end), last_cut) = tokio::join!(job, cuts);
    assert!(last_cut < job_end, "the job is longer than the cuts");
    let wanted: String = (1..=LINES).map(|number| format!("line {number}\n")).collect();
    assert_eq!(ended.exit.code(), Some(7));
    assert!(printed == wanted, "{} bytes instead of {}", printed.len(), wanted.len());
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
    far.end().await;
}

/// Work that begins, then has a dead connection.
async fn begun(output: &Collected) {
    while output.all().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whoever waits for a job, it ends: stopped or at its time, with a session, by exec alone, and on a terminal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_connection_that_nobody_answers_at_holds_up_no_end() {
    const MOST: Duration = Duration::from_secs(60);
    let far = Far::new().await;
    let place = place(&format!("{}cleanup_resources_timeout = \"20s\"\n", far.keys));
    let mut by_exec = task();
    by_exec.variables = vec![(
        "FF_USE_LEGACY_KUBERNETES_EXECUTION_STRATEGY".to_owned(),
        "true".to_owned(),
    )];
    let (with_session, by_exec) = (place.sandbox(task()).await, place.sandbox(by_exec).await);
    let stop = Stop::new();
    let work = |timeout: Option<Duration>| Command {
        timeout,
        grace: Duration::from_secs(1),
        stop: if timeout.is_some() { Stop::new() } else { stop.clone() },
        ..script("echo begun; exec sleep 3600")
    };
    let outputs: [Collected; 5] = Default::default();
    let timed = Some(Duration::from_secs(5));
    let shell = Interactive {
        stop: stop.clone(),
        ..program(&["sh", "-c", "echo begun; exec sleep 3600"])
    };
    let (_keys, typed) = tokio::sync::mpsc::channel(1);
    let all = async {
        tokio::join!(
            with_session.run(work(None), &outputs[0]),
            with_session.run(work(timed), &outputs[1]),
            by_exec.run(work(None), &outputs[2]),
            by_exec.run(work(timed), &outputs[3]),
            by_exec.interact(shell, Keyboard { typed }, &outputs[4]),
        )
    };
    let hold = async {
        for output in &outputs {
            begun(output).await;
        }
        far.proxy.hold();
        stop.force();
        Instant::now()
    };
    let (ended, held) = tokio::join!(all, hold);
    assert!(held.elapsed() < MOST, "{:?}", held.elapsed());
    let exits =
        [ended.0, ended.1, ended.2, ended.3].map(|ended| ended.map(|ended| ended.exit).map_err(|error| chain(&error)));
    assert_eq!(
        exits,
        [Exit::Stopped, Exit::TimedOut, Exit::Stopped, Exit::TimedOut].map(Ok)
    );
    assert_eq!(ended.4.map_err(|error| chain(&error)), Ok(Exit::Stopped));
    // Neither has the clean-up an end of its own: it says what is left, and the sweep finds it.
    let torn = with_session.teardown().await.expect_err("nobody answers");
    assert!(chain(&torn).contains("cleanup_resources_timeout"), "{}", chain(&torn));
    far.proxy.let_go();
    by_exec.teardown().await.expect("is torn down");
    place.ends().await;
    far.end().await;
}

/// A preparation that is stopped while nobody answers ends, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_preparation_at_a_dead_connection_can_be_stopped() {
    let far = Far::new().await;
    let place = place(&format!(
        "{}retry_limit = 1\ncleanup_resources_timeout = \"5s\"\n",
        far.keys
    ));
    let (stop, output) = (Stop::new(), Arc::new(Collected::default()));
    let mut task = task();
    // The container is not ready, so that the guest is waited for.
    task.variables = vec![("FF_KUBERNETES_HONOR_ENTRYPOINT".to_owned(), "true".to_owned())];
    task.image = Some(Image {
        name: busybox(),
        entrypoint: Some(["sh", "-c", "exec sleep 3600"].map(str::to_owned).to_vec()),
        ..Image::default()
    });
    let made = place.kubernetes.prepare(task, stop.clone(), output);
    let pods: Api<Pod> = Api::namespaced(far.own.client.clone(), &far.own.name);
    let hold = async {
        loop {
            let all = pods.list(&ListParams::default()).await.expect("are listed");
            if all.items.iter().any(|pod| {
                pod.status
                    .as_ref()
                    .is_some_and(|status| status.phase.as_deref() == Some("Running"))
            }) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        far.proxy.hold();
        stop.graceful();
        Instant::now()
    };
    let (made, held) = tokio::join!(made, hold);
    assert!(matches!(made.err(), Some(Error::Stopped)));
    assert!(held.elapsed() < Duration::from_secs(60), "{:?}", held.elapsed());
    far.proxy.let_go();
    place.ends().await;
    far.end().await;
}
