//! The logs of tasks, on a real database and a real folder.

use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use tasuki_model::id::TaskId;
use tasuki_model::time::Timestamp;
use tasuki_rt::{Clock, Tasks};
use tasuki_store::{DbUrl, State, Store, jobs, logs, pipelines, projects, tasks, workflows};

use super::{Appended, Logs, Patch};
use crate::blobs::{Files, Folder};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const STATE: State<'static> = State { tag: "x", json: "{}" };
const LIMIT: u64 = 64 << 20;

struct Bench {
    folder: tempfile::TempDir,
    store: Store,
    files: Files,
    logs: Logs,
    tasks: Tasks,
    task: TaskId,
}

/// A claimed task whose token's digest is `hash`.
async fn bench(limit: u64) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&DbUrl::sqlite(&folder.path().join("test.db"))).unwrap();
    let task = store.write(new_task).await.unwrap();
    let clock = Clock::manual(NOW.0);
    let blobs = std::sync::Arc::new(Folder::open(folder.path().join("blobs")).unwrap());
    let files = Files::new(store.clone(), blobs, clock.clone());
    let tasks = Tasks::new();
    let logs = Logs::start(&tasks, files.clone(), clock, limit);
    Bench {
        folder,
        store,
        files,
        logs,
        tasks,
        task,
    }
}

fn new_task(tx: &mut tasuki_store::Tx<'_>) -> tasuki_store::Result<TaskId> {
    let project = projects::NewProject {
        path: "a/b",
        name: "b",
        kind: "local",
        url: "/b",
        default_branch: "main",
        settings_json: "{}",
    };
    let project_id = projects::create(tx, &project, NOW)?;
    let pipeline = pipelines::NewPipeline {
        project_id,
        idempotency_key: None,
        source: "push",
        ref_kind: "branch",
        ref_name: "main",
        sha: "",
        title: "",
        author: "",
        name: None,
        state: STATE,
        priority: 0,
        job_count: 1,
        trigger_json: "{}",
        plan_json: "{}",
        diagnostics_json: "[]",
        finished_ms: None,
    };
    let pipelines::Created::New { id: pipeline_id, .. } = pipelines::create(tx, &pipeline, NOW)? else {
        panic!("it is new");
    };
    let workflow_id = workflows::insert_all(tx, pipeline_id, &["w"], STATE)?[0];
    let job = jobs::NewJob {
        workflow_id,
        idx: 0,
        name: "job",
        stage: "test",
        stage_idx: 0,
        state: STATE,
        graph_json: "{}",
        plan_json: "{}",
        due_ms: None,
        finished_ms: None,
    };
    let job_id = jobs::insert_all(tx, pipeline_id, project_id, &[job], NOW)?[0];
    let task = tasks::NewTask {
        job_id,
        pipeline_id,
        project_id,
        parallel_index: 0,
        attempt: 1,
        state_json: "{}",
        priority: 0,
        match_json: "{}",
    };
    let id = tasks::insert_all(tx, &[task], NOW)?[0];
    let claim = tasks::Claim {
        state: STATE,
        runner_id: tasuki_model::id::RunnerId(1),
        system_id: "s",
        token_hash: "hash",
        started_ms: None,
    };
    tasks::claim(tx, id, &claim, NOW)?;
    Ok(id)
}

impl Bench {
    async fn append(&self, start: usize, data: impl Into<Bytes>) -> Appended {
        self.append_as("hash", start, data).await
    }

    async fn append_as(&self, hash: &str, start: usize, data: impl Into<Bytes>) -> Appended {
        let patch = Patch {
            task: self.task,
            start: start as i64,
            data: data.into(),
            token_hash: hash.to_owned(),
            debug: false,
        };
        self.logs.append(patch).await.unwrap()
    }

    async fn finish(&self) {
        let id = self.task;
        self.store
            .write(move |tx| {
                let change = tasks::Change {
                    state: STATE,
                    started_ms: None,
                    finished_ms: Some(NOW),
                    exit_code: None,
                    failure_reason: None,
                };
                assert!(tasks::change(tx, id, 2, &change)?);
                logs::finish(tx, id, NOW)
            })
            .await
            .unwrap();
    }

    async fn all(&self) -> Vec<u8> {
        let gather = |mut all: Vec<u8>, piece: Bytes| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        };
        self.logs
            .read_all(self.task, 0)
            .try_fold(Vec::new(), gather)
            .await
            .unwrap()
    }

    async fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        self.store
            .read(move |tx| tx.query_opt(&sql, &[], |row| row.take()))
            .await
            .unwrap()
            .unwrap()
    }
}

fn stored(size: usize) -> Appended {
    Appended::Stored { size: size as i64 }
}

/// What a build writes: lines that are alike and not the same.
fn text(bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes + 200);
    let (mut n, mut ms) = (7_u64, 0);
    while out.len() < bytes {
        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let name = (n >> 33) % 400;
        ms += (n >> 20) % 40;
        out.extend(
            format!(
                "2026-11-22T08:{:02}:{:02}.{:03}Z 00O \x1b[32m   Compiling\x1b[0m crate-{name} v1.{}.{} (registry)\n",
                ms / 60_000 % 60,
                ms / 1000 % 60,
                ms % 1000,
                name % 7,
                name % 23
            )
            .bytes(),
        );
    }
    out.truncate(bytes);
    out
}

#[tokio::test]
async fn pieces_are_stored_once_whatever_comes() {
    let bench = bench(LIMIT).await;
    assert_eq!(bench.append(0, "hello ").await, stored(6));
    assert_eq!(bench.append(0, "hello ").await, stored(6), "the same again");
    assert_eq!(bench.append(3, "lo wor").await, Appended::Gap { size: 6 });
    assert_eq!(bench.append(9, "x").await, Appended::Gap { size: 6 });
    assert_eq!(bench.append_as("stale", 6, "foreign").await, Appended::Refused);
    assert_eq!(bench.append(6, "world\n").await, stored(12));
    assert_eq!(
        bench.logs.checksum(bench.task, 12).await.unwrap(),
        (12, crc32fast::hash(b"hello world\n"))
    );
    assert!(bench.logs.note(bench.task, "from the server").await.unwrap());
    assert_eq!(bench.all().await, b"hello world\nfrom the server\n");
    bench.finish().await;
    assert_eq!(bench.append(28, "late").await, Appended::Refused);
    assert!(!bench.logs.note(bench.task, "late").await.unwrap());
    assert_eq!(bench.all().await, b"hello world\nfrom the server\n");
    assert_eq!(
        bench.logs.read(TaskId(999), 0).await.unwrap().size,
        0,
        "no log is an empty log"
    );
}

/// Two servers share the database; the runner's requests go to either.
#[tokio::test]
async fn servers_take_turns() {
    let bench = bench(LIMIT).await;
    let other = Logs::start(&bench.tasks, bench.files.clone(), Clock::manual(NOW.0), LIMIT);
    let mut whole = Vec::new();
    for n in 0..20 {
        let data = Bytes::from(format!("line {n}\n"));
        let logs = if n % 3 == 0 { &other } else { &bench.logs };
        let patch = Patch {
            task: bench.task,
            start: whole.len() as i64,
            data: data.clone(),
            token_hash: "hash".into(),
            debug: n == 0,
        };
        whole.extend_from_slice(&data);
        assert_eq!(logs.append(patch).await.unwrap(), stored(whole.len()));
    }
    assert_eq!(bench.all().await, whole);
    // The last piece went to the first server: what the other one knows is too little, so it asks the database.
    let announced = whole.len() as u64;
    assert_eq!(
        other.checksum(bench.task, announced).await.unwrap(),
        (whole.len() as i64, crc32fast::hash(&whole))
    );
    assert!(
        bench.logs.read(bench.task, 0).await.unwrap().debug,
        "noted with the first piece"
    );
}

#[tokio::test]
async fn a_log_that_is_too_long_says_so() {
    let bench = bench(100).await;
    assert_eq!(bench.append(0, vec![b'a'; 90]).await, stored(90));
    let answer = bench.append(90, vec![b'b'; 20]).await;
    assert!(matches!(answer, Appended::TooLarge { .. }), "{answer:?}");
    let all = String::from_utf8(bench.all().await).unwrap();
    assert!(
        all.starts_with(&format!("{}{}\n", "a".repeat(90), "b".repeat(10))),
        "all that is allowed is kept"
    );
    assert!(all.contains("longer than the 100 bytes"), "{all}");
    for again in [90, all.len()] {
        assert!(matches!(bench.append(again, "c").await, Appended::TooLarge { .. }));
    }
    assert_eq!(bench.all().await, all.as_bytes(), "the notice comes once");
}

/// Whoever follows a log gets every byte once, in order, while they come, and the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn followers_see_every_byte_once() {
    let bench = bench(LIMIT).await;
    let whole = text(300_000);
    let early: Vec<_> = (0..4).map(|n| follow(&bench, n * 1000)).collect();
    let mut at = 0;
    for (n, piece) in whole.chunks(7_001).enumerate() {
        assert_eq!(
            bench.append(at, Bytes::copy_from_slice(piece)).await,
            stored(at + piece.len())
        );
        at += piece.len();
        if n == 10 {
            assert!(bench.logs.is_watched(bench.task));
        }
    }
    let late = follow(&bench, 299_000);
    bench.finish().await;
    for (n, follower) in early.into_iter().enumerate() {
        let seen = tokio::time::timeout(Duration::from_secs(20), follower)
            .await
            .expect("it ends")
            .unwrap()
            .unwrap();
        assert!(seen == whole[n * 1000..], "follower {n}: {} bytes", seen.len());
    }
    assert_eq!(late.await.unwrap().unwrap(), whole[299_000..]);
    assert!(!bench.logs.is_watched(bench.task));
    assert_eq!(bench.logs.shared.hub.len(), 0, "nothing is left of it");
}

fn follow(bench: &Bench, from: i64) -> tokio::task::JoinHandle<Option<Vec<u8>>> {
    let mut tail = bench.logs.tail(bench.task, from);
    bench.tasks.spawn("follower", async move {
        let mut seen = Vec::new();
        while let Some(piece) = tail.next().await.unwrap() {
            assert_eq!(piece.start, from + seen.len() as i64);
            seen.extend_from_slice(&piece.bytes);
        }
        seen
    })
}

/// Covers the requirement "compressed at rest at least 10:1 for text".
#[tokio::test]
async fn logs_at_rest_are_small_and_whole() {
    let bench = bench(LIMIT).await;
    let whole = text(11 << 20);
    for (n, piece) in whole.chunks(1 << 20).enumerate() {
        bench.append(n << 20, Bytes::copy_from_slice(piece)).await;
        if n == 9 {
            bench.logs.seal_finished().await.unwrap();
            assert_eq!(
                bench.count("log_segments").await,
                2,
                "old parts are packed while it still grows"
            );
            assert_eq!(bench.count("log_chunks").await, 2);
            assert_eq!(
                bench.append(9 << 20, Bytes::copy_from_slice(piece)).await,
                stored(10 << 20)
            );
        }
    }
    bench.finish().await;
    bench.logs.seal_finished().await.unwrap();
    assert_eq!(bench.count("log_chunks").await, 0);
    assert!(bench.all().await == whole);
    for from in [
        0,
        1,
        (4 << 20) - 1,
        4 << 20,
        (8 << 20) + 77,
        whole.len() - 1,
        whole.len(),
    ] {
        let piece = bench.logs.read(bench.task, from as i64).await.unwrap();
        let to = from + piece.bytes.len();
        assert!(
            piece.bytes == whole[from..to] && (to > from || from == whole.len()),
            "from {from}"
        );
    }
    let packed: Option<i64> = bench
        .store
        .read(|tx| {
            tx.query_opt("SELECT CAST(SUM(packed) AS BIGINT) FROM log_segments", &[], |row| {
                row.take()
            })
        })
        .await
        .unwrap();
    let ratio = whole.len() as f64 / packed.unwrap() as f64;
    assert!(ratio >= 10.0, "packed 1:{ratio:.1}");
    let blobs = bench.folder.path().join("blobs/blobs/logs");
    assert!(blobs.exists(), "long logs leave the database");
    assert_eq!(bench.count("blob_trash").await, 0, "every upload has its record");
}

#[tokio::test]
async fn short_logs_stay_as_they_are() {
    let bench = bench(LIMIT).await;
    bench.append(0, text(4000)).await;
    bench.finish().await;
    bench.logs.seal_finished().await.unwrap();
    assert_eq!(bench.count("log_segments").await, 0);
    assert_eq!(bench.all().await, text(4000));
}
