//! Connections to the cluster that break off while a job prints.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tasuki_rt::Tasks;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::account::{Own, RIGHTS, keys};
use crate::cluster::{place, run_in, script};
use crate::conformance::task;

/// Passes connections on, and cuts all of them when it is told to.
struct Proxy {
    address: String,
    cut: Arc<Mutex<CancellationToken>>,
}

impl Proxy {
    async fn before(upstream: String, tasks: &Tasks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let address = format!("https://{}", listener.local_addr().expect("has one"));
        let cut = Arc::new(Mutex::new(CancellationToken::new()));
        let (token, inner) = (Arc::clone(&cut), tasks.clone());
        tasks.spawn("proxy of a test", async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (upstream, end) = (upstream.clone(), token.lock().expect("no panic").clone());
                inner.spawn("connection of a proxy", async move {
                    let Ok(mut far) = TcpStream::connect(upstream).await else {
                        return;
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        () = end.cancelled() => {}
                    }
                });
            }
        });
        Self { address, cut }
    }

    fn cut(&self) {
        let mut token = self.cut.lock().expect("no panic");
        std::mem::replace(&mut *token, CancellationToken::new()).cancel();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_log_survives_broken_connections_byte_for_byte() {
    const LINES: usize = 20_000;
    const CUTS: usize = 6;
    let own = Own::new().await;
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let config = kube::Config::infer().await.expect("KUBECONFIG names a cluster");
    let port = config.cluster_url.port_u16().unwrap_or(443);
    let upstream = format!("{}:{port}", config.cluster_url.host().expect("has one"));
    let proxy = Proxy::before(upstream, &tasks).await;
    let token = own.token(RIGHTS).await;
    let keys = keys(folder.path(), &token, Some(&proxy.address)).await;
    let place = place(&format!("{keys}namespace = {:?}\n", own.name));
    let sandbox = place.sandbox(task()).await;
    let text = format!(
        "i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo line $i; [ $((i%100)) = 0 ] && sleep 0.03; done; exit 7"
    );
    let cuts = async {
        for _ in 0..CUTS {
            tokio::time::sleep(Duration::from_millis(700)).await;
            proxy.cut();
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
    own.end().await;
    tasks.close_and_wait(Duration::from_secs(1)).await;
}
