//! What every [`BlobStore`] promises, checked of each.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tasuki_model::time::Timestamp;
use tasuki_rt::Clock;

use super::{BlobStore, Body, Error, Folder, Key, S3, S3Location, body_of};

/// Larger than one part of S3, not a multiple of anything.
const LARGE: usize = 9 * 1024 * 1024 + 12_345;
const NO_LIMIT: u64 = u64::MAX;

/// Bytes that differ everywhere.
fn noise(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = (0..length.div_ceil(8)).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(length).collect::<Vec<u8>>().into()
}

async fn all(body: Body) -> io::Result<Vec<u8>> {
    body.try_fold(Vec::new(), |mut all, piece| async move {
        all.extend_from_slice(&piece);
        Ok(all)
    })
    .await
}

/// The bytes in pieces of odd sizes.
fn pieces(bytes: &Bytes, size: usize) -> Body {
    let pieces: Vec<_> = bytes
        .chunks(size)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    Box::pin(stream::iter(pieces))
}

async fn check(store: &dyn BlobStore) {
    let key = Key::random("test").unwrap();
    assert!(matches!(store.get(&key, None, None).await, Err(Error::NotFound { .. })));
    assert_eq!(store.size(&key).await.unwrap(), None);
    store.remove(&key).await.unwrap();

    for length in [0, 1, 262_144, 300_000, LARGE] {
        let bytes = noise(length);
        // The second one replaces the first.
        store.put(&key, body_of("old"), NO_LIMIT).await.unwrap();
        let stored = store.put(&key, pieces(&bytes, 70_001), NO_LIMIT).await.unwrap();
        assert_eq!(stored.size, length as u64);
        assert_eq!(store.size(&key).await.unwrap(), Some(length as u64));
        let content = store.get(&key, None, Some(&stored.sha256)).await.unwrap();
        assert_eq!((content.size, content.range.clone()), (length as u64, 0..length as u64));
        assert!(all(content.body).await.unwrap() == bytes, "{length} bytes come back");
    }
    ranges(store, &key).await;
    failures(store).await;
    presigned(store).await;
    store.remove(&key).await.unwrap();
    assert!(matches!(store.get(&key, None, None).await, Err(Error::NotFound { .. })));
    store.sweep(Timestamp(0)).await.unwrap();
}

/// `key` holds [`LARGE`] bytes of noise.
async fn ranges(store: &dyn BlobStore, key: &Key) {
    let (bytes, size) = (noise(LARGE), LARGE as u64);
    for range in [
        0..1,
        5..5,
        262_143..262_145,
        1_048_570..3_000_000,
        size - 1..size,
        size - 10..size + 10,
        0..u64::MAX,
    ] {
        let content = store.get(key, Some(range.clone()), None).await.unwrap();
        let expected = range.start..range.end.min(size);
        assert_eq!((content.size, &content.range), (size, &expected));
        let (from, to) = (expected.start as usize, expected.end as usize);
        assert!(all(content.body).await.unwrap() == bytes[from..to], "{range:?}");
    }
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is tested")]
    for range in [size..size + 1, size + 5..size + 9, 9..3] {
        let answer = store.get(key, Some(range.clone()), None).await;
        assert!(matches!(answer, Err(Error::Range { .. })), "{range:?}: {answer:?}");
    }
}

async fn failures(store: &dyn BlobStore) {
    let key = Key::random("test").unwrap();
    let stored = store.put(&key, body_of("whole"), 5).await.unwrap();
    let kept = |case: &'static str| {
        let (key, sha256) = (key.clone(), stored.sha256.clone());
        async move {
            let content = store.get(&key, None, Some(&sha256)).await.unwrap();
            assert_eq!(
                all(content.body).await.unwrap(),
                b"whole",
                "{case}: what was there is still there"
            );
        }
    };
    let answer = store.put(&key, pieces(&noise(LARGE), 65_536), LARGE as u64 - 1).await;
    assert!(matches!(answer, Err(Error::TooLarge { .. })), "{answer:?}");
    kept("too large").await;
    let broken = pieces(&noise(LARGE), 65_536).chain(stream::iter([Err(io::ErrorKind::ConnectionReset.into())]));
    let answer = store.put(&key, Box::pin(broken), NO_LIMIT).await;
    assert!(matches!(answer, Err(Error::Body(_))), "{answer:?}");
    kept("the sender failed").await;
    // A sender that falls silent, and a caller that gives up.
    let stuck = pieces(&noise(LARGE), 65_536).chain(stream::pending());
    let put = store.put(&key, Box::pin(stuck), NO_LIMIT);
    assert!(tokio::time::timeout(Duration::from_millis(300), put).await.is_err());
    kept("the caller gave up").await;
    // The record says something else than what is there.
    let wrong = "0".repeat(64);
    let answer = match store.get(&key, None, Some(&wrong)).await {
        Ok(content) => all(content.body).await.err().map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    };
    assert!(
        answer.is_some_and(|error| error.contains("damaged")),
        "foreign bytes do not come out whole"
    );
}

async fn presigned(store: &dyn BlobStore) {
    tasuki_proto::tls::install();
    let now = Timestamp(Clock::system().now_ms());
    let lifetime = Duration::from_secs(60);
    let key = Key::random("test").unwrap();
    let Some(url) = store.presigned_put(&key, now, lifetime) else {
        assert_eq!(store.presigned_get(&key, now, lifetime), None, "both or none");
        return;
    };
    let client = reqwest::Client::new();
    let answer = client.put(url).body("by URL").send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
    assert_eq!(store.size(&key).await.unwrap(), Some(6));
    let url = store.presigned_get(&key, now, lifetime).unwrap();
    let text = client.get(url).send().await.unwrap().text().await.unwrap();
    assert_eq!(text, "by URL");
}

#[tokio::test]
async fn a_folder_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let store = Folder::open(folder.path().join("blobs")).unwrap();
    check(&store).await;
    // The piece of the caller that gave up may still be on its way to the disk.
    let left = || std::fs::read_dir(folder.path().join("blobs/tmp")).unwrap().count();
    for _ in 0..1000 {
        if left() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} temporary files are left", left());
}

/// Every kind of damage to a file is noticed, whole or in ranges.
#[tokio::test]
async fn a_folder_notices_damage() {
    let folder = tempfile::tempdir().unwrap();
    let store = Folder::open(folder.path()).unwrap();
    let key = Key::new("test/damage").unwrap();
    let path = folder.path().join("blobs/test/damage");
    let bytes = noise(600_000);
    store.put(&key, body_of(bytes.clone()), NO_LIMIT).await.unwrap();
    let good = std::fs::read(&path).unwrap();
    let read = async |range| match store.get(&key, range, None).await {
        Ok(content) => all(content.body).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    for at in [
        0,
        300_000,
        599_999,
        600_001,
        good.len() - 50,
        good.len() - 45,
        good.len() - 40,
        good.len() - 1,
    ] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&path, bad).unwrap();
        let whole = read(None).await;
        assert!(
            whole.as_ref().is_err_and(|e| e.contains("damaged")),
            "byte {at}: {:?}",
            whole.map(|b| b.len())
        );
    }
    let mut bad = good.clone();
    bad[300_000] ^= 1;
    std::fs::write(&path, bad).unwrap();
    assert!(
        read(Some(299_000..301_000)).await.is_err(),
        "a range that touches the damage"
    );
    assert_eq!(
        read(Some(10..20)).await.unwrap(),
        bytes[10..20],
        "a range that does not"
    );
    for length in [0, 10, 600_000, good.len() - 1] {
        std::fs::write(&path, &good[..length]).unwrap();
        assert!(read(None).await.is_err(), "cut to {length}");
    }
}

#[tokio::test]
async fn a_folder_sweeps_what_never_ended() {
    let folder = tempfile::tempdir().unwrap();
    let store = Folder::open(folder.path()).unwrap();
    std::fs::write(folder.path().join("tmp/left"), "x").unwrap();
    let now = Timestamp(Clock::system().now_ms());
    store.sweep(now).await.unwrap();
    assert!(folder.path().join("tmp/left").exists(), "it may be under way");
    store.sweep(now.after(Duration::from_secs(25 * 3600))).await.unwrap();
    assert!(!folder.path().join("tmp/left").exists());
}

#[tokio::test]
async fn s3_keeps_the_contract() {
    let Some(server) = moto::start() else { return };
    let location = S3Location {
        endpoint: server.url.parse().unwrap(),
        region: "us-east-1".into(),
        bucket: "tasuki".into(),
        prefix: "data/".into(),
        path_style: true,
        key_id: "id".into(),
        secret_key: tasuki_model::secret::Secret::new("key"),
    };
    let store = S3::open(&location, Clock::system()).unwrap();
    let answer = reqwest::Client::new()
        .put(format!("{}/tasuki", server.url))
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success(), "the bucket is made: {answer:?}");
    check(&store).await;
}

/// A store that is not there gives a clear error, soon, without a signature in it.
#[tokio::test]
async fn s3_that_is_not_there_is_told() {
    let location = S3Location {
        endpoint: "http://127.0.0.1:1".parse().unwrap(),
        region: "us-east-1".into(),
        bucket: "ci".into(),
        prefix: String::new(),
        path_style: true,
        key_id: "id".into(),
        secret_key: tasuki_model::secret::Secret::new("key"),
    };
    let store = S3::open(&location, Clock::system()).unwrap();
    let error = store.size(&Key::new("a").unwrap()).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unreachable {
                operation: "HeadObject",
                ..
            }
        ),
        "{error:?}"
    );
    assert!(!format!("{error:?}").contains("X-Amz-Signature"), "{error:?}");
}

/// The S3 server of the Python package `moto`, for tests.
mod moto {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::{Child, Command, Stdio};

    pub(super) struct Server {
        pub(super) url: String,
        child: Child,
    }

    impl Drop for Server {
        fn drop(&mut self) {
            // It ends by itself, too, when its input does.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// `None` when there is none to be had, which is said on stderr then.
    #[expect(clippy::disallowed_methods, reason = "the one program that these tests start")]
    pub(super) fn start() -> Option<Server> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/moto.sh");
        let started = Command::new("/bin/sh")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let reason = match started {
            Ok(mut child) => {
                let mut line = String::new();
                if let Some(out) = child.stdout.take() {
                    // A script that ends early gives an empty line.
                    let _ = BufReader::new(out).read_line(&mut line);
                }
                let server = Server {
                    url: line.trim().to_owned(),
                    child,
                };
                if server.url.starts_with("http://") {
                    return Some(server);
                }
                "tests/support/moto.sh could not install or start moto's server".to_owned()
            }
            Err(error) => format!("no /bin/sh: {error}"),
        };
        // Not `eprintln`, which the test harness would hide.
        let _ = writeln!(std::io::stderr(), "SKIPPED s3: {reason}");
        None
    }
}
