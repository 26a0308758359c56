//! What a job costs: beside `kubectl run`, and in requests to the API.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tasuki_rt::Tasks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::account::Own;
use crate::cluster::{busybox, place, run_in, script, unique};
use crate::conformance::task;

/// `kubectl`: where `KUBECTL` is, or on `PATH`.
#[expect(clippy::disallowed_methods, reason = "a test beside the executor")]
fn kubectl(words: &[&str]) -> Command {
    let given = std::env::vars().find_map(|(key, value)| (key == "KUBECTL").then_some(value));
    let given = given.unwrap_or_else(|| "kubectl".to_owned());
    let mut parts = given.split_whitespace();
    let mut command = Command::new(parts.next().expect("names a program"));
    command.args(parts).args(words);
    command
}

fn median(mut all: Vec<Duration>) -> u128 {
    all.sort_unstable();
    all[all.len() / 2].as_millis()
}

/// Time until the log of a pod that somebody made by hand has ended.
fn by_hand(namespace: &str) -> Duration {
    let name = unique("by-hand");
    let began = Instant::now();
    let image = format!("--image={}", busybox());
    let words = [
        "run",
        &name,
        "-n",
        namespace,
        "--restart=Never",
        "--image-pull-policy=IfNotPresent",
        &image,
        "--",
        "echo",
        "done",
    ];
    let made = kubectl(&words).output().expect("kubectl is there");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    loop {
        // Refused until the container has started.
        let log = kubectl(&["logs", "-f", "-n", namespace, &name])
            .output()
            .expect("is started");
        if log.status.success() {
            assert_eq!(log.stdout, b"done\n");
            return began.elapsed();
        }
    }
}

/// Rounds of a pod by hand and a whole job, one after the other: whatever else the machine does disturbs both alike.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn overhead_beside_kubectl_run() {
    const ROUNDS: usize = 10;
    let own = Own::new().await;
    let place = place(&format!("namespace = {:?}\n", own.name));
    let job = async || {
        let began = Instant::now();
        let sandbox = place.sandbox(task()).await;
        let prepared = began.elapsed();
        let (ended, said) = run_in(&*sandbox, script("echo done")).await;
        assert!(ended.exit.success() && said == "done\n", "{said}");
        let ran = began.elapsed();
        sandbox.teardown().await.expect("is torn down");
        [prepared, ran, began.elapsed()]
    };
    let hand = async || {
        let namespace = own.name.clone();
        tokio::task::spawn_blocking(move || by_hand(&namespace))
            .await
            .expect("ends")
    };
    job().await;
    hand().await;
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(hand().await);
        ours.push(job().await);
    }
    let column = |at: usize| median(ours.iter().map(|round| round[at]).collect());
    println!(
        "median of {ROUNDS} rounds, in ms: kubectl run and logs -f {}; a job: prepared {}, script ended {}, torn down {}",
        median(theirs),
        column(0),
        column(1),
        column(2)
    );
    place.ends().await;
    own.end().await;
}

/// Passes bytes on to `kubectl proxy`, and writes the requests in them down.
struct Counter {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Counter {
    async fn before(upstream: String, tasks: &Tasks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let address = format!("http://{}", listener.local_addr().expect("has one"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (written, inner) = (Arc::clone(&requests), tasks.clone());
        tasks.spawn("counter of requests", async move {
            while let Ok((near, _)) = listener.accept().await {
                let (upstream, written) = (upstream.clone(), Arc::clone(&written));
                inner.spawn("connection of a counter", async move {
                    let Ok(far) = TcpStream::connect(upstream).await else {
                        return;
                    };
                    let (mut from_near, mut to_near) = near.into_split();
                    let (mut from_far, mut to_far) = far.into_split();
                    let up = async {
                        let mut buffer = vec![0; 64 << 10];
                        while let Ok(read @ 1..) = from_near.read(&mut buffer).await {
                            // A head comes in one piece; what a web socket carries is masked, and never looks like one.
                            let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
                            if let Some(line) = text.lines().next().filter(|line| line.ends_with(" HTTP/1.1")) {
                                let line = line.trim_end_matches(" HTTP/1.1").to_owned();
                                written.lock().expect("no panic").push(line);
                            }
                            if to_far.write_all(&buffer[..read]).await.is_err() {
                                break;
                            }
                        }
                    };
                    tokio::select! {
                        () = up => {}
                        _ = tokio::io::copy(&mut from_far, &mut to_near) => {}
                    }
                });
            }
        });
        Self { address, requests }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().expect("no panic"))
    }
}

struct Ends(std::process::Child);

impl Drop for Ends {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// `kubectl proxy`, which knows the credentials; its address.
fn proxy() -> (Ends, String) {
    use std::io::BufRead as _;
    let mut command = kubectl(&["proxy", "--port=0", "--disable-filter=true"]);
    let child = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("kubectl is there");
    let mut child = Ends(child);
    let mut line = String::new();
    let out = child.0.stdout.take().expect("is piped");
    std::io::BufReader::new(out).read_line(&mut line).expect("says where");
    let address = line.rsplit(' ').next().expect("names it").trim().to_owned();
    (child, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn requests_of_a_job() {
    const JOBS: usize = 5;
    let (own, tasks) = (Own::new().await, Tasks::new());
    let (_proxy, upstream) = proxy();
    let counter = Counter::before(upstream, &tasks).await;
    let place = place(&format!("host = {:?}\nnamespace = {:?}\n", counter.address, own.name));
    let job = async || {
        let sandbox = place.sandbox(task()).await;
        for number in 0..3 {
            let (ended, _) = run_in(&*sandbox, script(&format!("echo {number}"))).await;
            assert!(ended.exit.success());
        }
        sandbox.teardown().await.expect("is torn down");
    };
    job().await;
    let first = counter.take();
    for _ in 0..JOBS {
        job().await;
    }
    let later = counter.take();
    println!(
        "requests to the API: {} for the first job of a runner; {:.1} for each of {JOBS} more, of three scripts each: {}",
        first.len(),
        later.len() as f64 / JOBS as f64,
        kinds(&later)
    );
    let reviews = |all: &[String]| {
        all.iter()
            .filter(|line| line.contains("selfsubjectaccessreviews"))
            .count()
    };
    assert_eq!((reviews(&first), reviews(&later)), (1, 0), "{first:?} {later:?}");
    assert!(later.len() <= JOBS * 16, "{later:?}");
    place.ends().await;
    tasks.token().cancel();
    own.end().await;
}

/// How often what is asked.
fn kinds(requests: &[String]) -> String {
    let mut counts = std::collections::BTreeMap::new();
    for line in requests {
        let (verb, path) = line.split_once(' ').unwrap_or((line, ""));
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let what = if path.ends_with("/exec") {
            "exec".to_owned()
        } else if query.contains("watch=") {
            "watch".to_owned()
        } else {
            let resource = path
                .split("/namespaces/")
                .nth(1)
                .and_then(|rest| rest.split('/').nth(1));
            format!("{verb} {}", resource.unwrap_or(path))
        };
        *counts.entry(what).or_insert(0) += 1;
    }
    let all: Vec<String> = counts.iter().map(|(what, number)| format!("{number} {what}")).collect();
    all.join(", ")
}
