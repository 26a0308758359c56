//! Uploads, sweeping, backup: bytes together with the database.

use std::sync::Arc;
use std::time::Duration;

use tasuki_model::id::ProjectId;
use tasuki_model::time::Timestamp;
use tasuki_rt::Clock;
use tasuki_store::caches::{Cache, NewCache};
use tasuki_store::{DbUrl, Store, caches, projects, settings};

use super::{BlobStore as _, Error, Files, Folder, Key, Sweeping, backup, body_of, evictions, restore};

const NOW: i64 = 1_700_000_000_000;
const DAY: Duration = Duration::from_secs(24 * 3600);

struct Bench {
    folder: tempfile::TempDir,
    clock: Clock,
    files: Files,
    project: ProjectId,
}

async fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&DbUrl::sqlite(&folder.path().join("test.db"))).unwrap();
    let project = store
        .write(|tx| {
            let new = projects::NewProject {
                path: "a/b",
                name: "b",
                kind: "local",
                url: "/b",
                default_branch: "main",
                settings_json: "{}",
            };
            projects::create(tx, &new, Timestamp(NOW))
        })
        .await
        .unwrap();
    let clock = Clock::manual(NOW);
    let blobs = Arc::new(Folder::open(folder.path().join("data")).unwrap());
    Bench {
        files: Files::new(store, blobs, clock.clone()),
        folder,
        clock,
        project,
    }
}

impl Bench {
    /// Uploads `text` and notes it as the cache `key`.
    async fn cache(&self, key: &'static str, text: &'static str) -> String {
        let upload = self.files.upload("caches", body_of(text), 1000).await.unwrap();
        let (project_id, blob_key, now) = (self.project, upload.blob_key.clone(), self.files.now());
        self.files
            .store()
            .write(move |tx| {
                upload.keep(tx)?;
                let new = NewCache {
                    project_id,
                    key,
                    size: upload.size,
                    sha256: &upload.sha256,
                    blob_key: &upload.blob_key,
                };
                caches::put(tx, &new, now)
            })
            .await
            .unwrap();
        blob_key
    }

    async fn exists(&self, blob_key: &str) -> bool {
        self.files
            .blobs()
            .size(&Key::new(blob_key).unwrap())
            .await
            .unwrap()
            .is_some()
    }

    async fn sweep(&self, rules: &Sweeping) {
        self.files.sweep(rules).await.unwrap();
    }
}

#[tokio::test]
async fn what_no_record_names_goes() {
    let bench = bench().await;
    let rules = Sweeping::default();
    let (old, new) = (bench.cache("k", "old").await, bench.cache("k", "new").await);
    let orphan = bench.files.upload("caches", body_of("orphan"), 1000).await.unwrap();
    let too_large = bench.files.upload("caches", body_of("too large"), 3).await;
    assert!(matches!(too_large, Err(Error::TooLarge { limit: 3 })));
    bench.sweep(&rules).await;
    assert!(!bench.exists(&old).await, "it was replaced");
    assert!(
        bench.exists(&new).await && bench.exists(&orphan.blob_key).await,
        "an upload may take a day"
    );
    bench.clock.advance(DAY + Duration::from_secs(1));
    bench.sweep(&rules).await;
    assert!(!bench.exists(&orphan.blob_key).await);
    assert!(bench.exists(&new).await);
    let late = bench.files.store().write(move |tx| orphan.keep(tx)).await;
    assert!(late.is_err(), "a record cannot name what is gone");
    bench.clock.advance(DAY * 31);
    bench.sweep(&rules).await;
    assert!(!bench.exists(&new).await, "a cache that nobody uses");
}

#[test]
fn caches_make_room() {
    let cache = |id: i64, project: i64, size: i64, used: i64| Cache {
        id,
        project_id: ProjectId(project),
        key: id.to_string(),
        size,
        sha256: String::new(),
        blob_key: String::new(),
        created_ms: Timestamp(0),
        used_ms: Timestamp(used),
    };
    let check = |all: &[Cache], expected: &[i64]| {
        let rules = Sweeping {
            cache_bytes_per_project: 100,
            cache_unused: Duration::from_millis(1000),
            ..Sweeping::default()
        };
        let mut gone: Vec<i64> = evictions(all, &rules, Timestamp(2000))
            .iter()
            .map(|cache| cache.id)
            .collect();
        gone.sort_unstable();
        assert_eq!(gone, expected);
    };
    check(&[], &[]);
    check(&[cache(1, 1, 60, 1900), cache(2, 1, 40, 1800)], &[]);
    check(&[cache(1, 1, 60, 1900), cache(2, 1, 41, 1800)], &[2]);
    check(&[cache(1, 1, 60, 1800), cache(2, 1, 41, 1900)], &[1]);
    check(&[cache(1, 1, 60, 1900), cache(2, 2, 60, 1800)], &[]);
    check(&[cache(1, 1, 500, 1900), cache(2, 1, 1, 1800)], &[2]);
    check(&[cache(1, 1, 1, 999), cache(2, 1, 1, 1000)], &[1]);
    check(&[cache(1, 1, 60, 1900), cache(2, 1, 60, 1900)], &[1]);
}

#[tokio::test]
async fn a_backup_comes_back_whole() {
    let bench = bench().await;
    let (one, two) = (bench.cache("one", "first").await, bench.cache("two", "second").await);
    let lost = bench.cache("lost", "lost").await;
    bench
        .files
        .blobs()
        .remove(&Key::new(lost.as_str()).unwrap())
        .await
        .unwrap();
    let to = bench.folder.path().join("backup");
    let report = backup(&bench.files, &to).await.unwrap();
    assert_eq!((report.blobs, report.bytes), (2, 11));
    assert_eq!(report.missing, [lost]);
    assert!(matches!(backup(&bench.files, &to).await, Err(Error::NotEmpty { .. })));

    let url = DbUrl::sqlite(&bench.folder.path().join("restored.db"));
    let blobs = Folder::open(bench.folder.path().join("restored")).unwrap();
    // Damaged bytes are noticed, and the database is still empty after.
    let path = to.join("blobs").join(&two);
    std::fs::write(&path, "sec0nd").unwrap();
    assert!(matches!(restore(&url, &blobs, &to).await, Err(Error::Damaged { .. })));
    std::fs::write(&path, "second").unwrap();
    let restored = restore(&url, &blobs, &to).await.unwrap();
    assert_eq!(restored, report);
    assert_eq!(blobs.size(&Key::new(one).unwrap()).await.unwrap(), Some(5));
    let store = Store::open(&url).unwrap();
    let project = bench.project;
    let cache = store
        .read(move |tx| caches::get(tx, project, "two"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(cache.blob_key, two);
    store.close();
    assert!(
        restore(&url, &blobs, &to).await.is_err(),
        "never into a database that has rows"
    );
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(
        restore(&url, &blobs, empty.path()).await,
        Err(Error::NoBackup { .. })
    ));
}

#[tokio::test]
async fn nothing_is_deleted_under_a_backup() {
    let bench = bench().await;
    let (old, _) = (bench.cache("k", "old").await, bench.cache("k", "new").await);
    let until = (NOW + 1000).to_string();
    bench
        .files
        .store()
        .write(move |tx| settings::set(tx, super::sweep::HOLD, &until))
        .await
        .unwrap();
    bench.sweep(&Sweeping::default()).await;
    assert!(bench.exists(&old).await);
    bench.clock.advance(Duration::from_secs(2));
    bench.sweep(&Sweeping::default()).await;
    assert!(!bench.exists(&old).await);
}
