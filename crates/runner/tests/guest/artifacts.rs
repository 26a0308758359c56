//! Artifacts against a server that answers as the test says.

use std::fs;
use std::io::{Cursor, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::setting::{Answer, Seen, Server, ask, done, write};
use tasuki_model::reason::FailureReason;
use tasuki_model::secret::Secret;
use tasuki_runner::guest::{
    ArtifactSource, Compression, Coordinator, Dependency, DownloadArtifacts, Format, Request, Selection, Tls,
    UploadArtifacts,
};

fn coordinator(url: &str) -> Coordinator {
    Coordinator {
        api: format!("{url}/api/v4"),
        tls: Tls::default(),
        user_agent: "tasuki-test".to_owned(),
        timeout_s: 20,
        response_timeout_s: 0,
    }
}

fn upload(url: &str, project: &Path, paths: &[&str], format: Format, kind: &str) -> UploadArtifacts {
    UploadArtifacts {
        project: project.to_owned(),
        coordinator: coordinator(url),
        task_id: 42,
        token: Secret::new("job-token"),
        selection: Selection {
            paths: paths.iter().map(|&path| path.to_owned()).collect(),
            ..Selection::default()
        },
        name: String::new(),
        format,
        compression: Compression::Default,
        artifact_type: kind.to_owned(),
        expire_in: "1 week".to_owned(),
    }
}

fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path().join("out/a.txt"), "a");
    write(folder.path().join("out/large"), "0123456789".repeat(300_000));
    write(folder.path().join("one.xml"), "<one/>");
    write(folder.path().join("two.xml"), "<two/>");
    folder
}

/// The file name and the contents of a body with one part.
fn part(seen: &Seen) -> (String, Vec<u8>) {
    let boundary = seen.headers["content-type"]
        .split_once("boundary=")
        .expect("a boundary")
        .1;
    let text = String::from_utf8_lossy(&seen.body[..seen.body.len().min(500)]).into_owned();
    assert!(
        text.starts_with(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\""
        )),
        "{text}"
    );
    let name = text
        .split("filename=\"")
        .nth(1)
        .expect("a name")
        .split('"')
        .next()
        .expect("its end")
        .to_owned();
    let start = seen
        .body
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("headers end")
        + 4;
    let end = seen.body.len() - format!("\r\n--{boundary}--\r\n").len();
    assert_eq!(&seen.body[end..], format!("\r\n--{boundary}--\r\n").as_bytes());
    (name, seen.body[start..end].to_vec())
}

#[test]
fn an_archive_is_streamed_as_a_form() {
    let place = project();
    let server = Server::start(|_| Answer::new(201, "201"));
    let request = UploadArtifacts {
        name: "na\"me\n".to_owned(),
        ..upload(&server.url, place.path(), &["out"], Format::Zip, "archive")
    };
    let (response, log) = done(Request::UploadArtifacts(Box::new(request)), &[]);
    let seen = &server.seen()[0];
    assert_eq!(seen.method, "POST");
    assert_eq!(
        seen.target,
        "/api/v4/jobs/42/artifacts?artifact_format=zip&artifact_type=archive&expire_in=1+week"
    );
    assert_eq!(seen.headers["job-token"], "job-token");
    assert_eq!(seen.headers["user-agent"], "tasuki-test");
    assert!(
        !seen.headers.contains_key("content-length"),
        "its size is not known when it starts"
    );
    let (name, archive) = part(seen);
    assert_eq!(name, "na%22me%0A.zip");
    assert_eq!(
        (response.report.files, response.report.transferred),
        (2, archive.len() as u64)
    );
    let mut zip = zip::ZipArchive::new(Cursor::new(archive)).expect("is a zip");
    let mut text = String::new();
    zip.by_name("out/large")
        .expect("is there")
        .read_to_string(&mut text)
        .expect("is whole");
    assert_eq!(text.len(), 3_000_000);
    assert!(
        log.contains("out: found 3 matching artifact files and directories"),
        "{log}"
    );
    assert!(!log.contains("job-token"));
}

#[test]
fn reports_are_gzip_and_raw_is_one_file() {
    let place = project();
    let server = Server::start(|_| Answer::new(201, ""));
    let send = |paths: &[&str], format, kind: &str| {
        ask(
            Request::UploadArtifacts(Box::new(upload(&server.url, place.path(), paths, format, kind))),
            &[],
        )
        .0
    };
    assert_eq!(send(&["*.xml"], Format::Gzip, "junit").failure, None);
    let (name, body) = part(&server.seen()[0]);
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(&body[..])
        .read_to_string(&mut text)
        .expect("is gzip");
    assert_eq!((name.as_str(), text.as_str()), ("junit.gz", "<one/><two/>"));
    assert!(
        server.seen()[0]
            .target
            .contains("artifact_format=gzip&artifact_type=junit")
    );
    assert_eq!(send(&["one.xml"], Format::Raw, "metadata").failure, None);
    assert_eq!(part(&server.seen()[1]), ("one.xml".to_owned(), b"<one/>".to_vec()));
    let failure = send(&["*.xml"], Format::Raw, "metadata").failure.expect("is refused");
    assert!(failure.message.contains("exactly one file"), "{}", failure.message);
    let none = send(&["nothing"], Format::Zip, "archive");
    assert!(none.failure.is_none() && none.report.skipped);
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn an_upload_is_repeated_where_that_helps() {
    let place = project();
    let check = |statuses: &'static [u16], good: bool, calls: usize| {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let server = Server::start(move |_| {
            let status = statuses[counted.fetch_add(1, Ordering::SeqCst).min(statuses.len() - 1)];
            Answer::new(status, "{\"message\": \"the server's words\"}").with("Retry-After", "0")
        });
        let request = upload(&server.url, place.path(), &["out"], Format::Zip, "archive");
        let (response, log) = ask(Request::UploadArtifacts(Box::new(request)), &[]);
        assert_eq!(response.failure.is_none(), good, "{statuses:?}: {log}");
        assert_eq!(count.load(Ordering::SeqCst), calls, "{statuses:?}");
        if let Some(failure) = response.failure {
            assert!(failure.message.contains("the server's words"), "{}", failure.message);
        }
    };
    check(&[201], true, 1);
    check(&[503, 503, 503, 503, 503, 201], true, 6);
    check(&[503], false, 6);
    check(&[500, 500, 201], true, 3);
    check(&[500], false, 3);
    check(&[429, 201], true, 2);
    for fatal in [&[400], &[401], &[403], &[405], &[413_u16]] {
        check(fatal, false, 1);
    }
}

#[test]
fn an_upload_follows_a_redirect() {
    let place = project();
    let other = Server::start(|_| Answer::new(201, ""));
    let there = format!("{}/elsewhere?x=1", other.url);
    let server = Server::start(move |_| Answer::new(307, "").with("Location", there.clone()));
    let request = upload(&server.url, place.path(), &["out"], Format::Zip, "archive");
    done(Request::UploadArtifacts(Box::new(request)), &[]);
    let seen = &other.seen()[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/elsewhere?x=1"));
    assert!(part(seen).1.starts_with(b"PK"));
    // One that leads in a circle ends.
    let server = Server::start(|_| Answer::new(307, "").with("Location", "/again"));
    let request = upload(&server.url, place.path(), &["one.xml"], Format::Zip, "archive");
    let (response, _) = ask(Request::UploadArtifacts(Box::new(request)), &[]);
    assert!(response.failure.expect("ends").message.contains("redirected too often"));
}

fn download(url: &str, project: &Path, direct: bool) -> Request {
    let dependency = |id: i64| Dependency {
        id,
        name: format!("job {id}"),
        token: Secret::new(format!("token-{id}")),
        source: None,
        file: None,
    };
    Request::DownloadArtifacts(DownloadArtifacts {
        project: project.to_owned(),
        coordinator: coordinator(url),
        dependencies: vec![dependency(7), dependency(8)],
        direct,
    })
}

fn archive(name: &str, text: &str) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer
        .start_file(name, zip::write::SimpleFileOptions::default())
        .expect("an entry");
    writer.write_all(text.as_bytes()).expect("is written");
    writer.finish().expect("is written").into_inner()
}

#[test]
fn artifacts_come_in_order_with_their_own_tokens() {
    let place = tempfile::tempdir().expect("a folder");
    let project = place.path().join("new/project");
    let server = Server::start(|seen| {
        let id = if seen.target.contains("/jobs/7/") { 7 } else { 8 };
        if seen.headers.get("job-token") != Some(&format!("token-{id}")) {
            return Answer::new(403, "");
        }
        Answer::new(200, archive("same", &format!("of {id}")))
    });
    let (response, _) = done(download(&server.url, &project, true), &[]);
    assert_eq!(
        fs::read_to_string(project.join("same")).expect("is there"),
        "of 8",
        "the later one wins"
    );
    assert_eq!(response.report.files, 2);
    let targets: Vec<String> = server.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(
        targets,
        [
            "/api/v4/jobs/7/artifacts?direct_download=true",
            "/api/v4/jobs/8/artifacts?direct_download=true"
        ]
    );
}

#[test]
fn the_object_store_does_not_learn_the_token() {
    let place = tempfile::tempdir().expect("a folder");
    for status in [302, 307] {
        let store = Server::start(|_| Answer::new(200, archive("file", "x")));
        let there = format!("{}/bucket/object?signature=abc", store.url);
        let server = Server::start(move |_| Answer::new(status, "").with("Location", there.clone()));
        done(download(&server.url, place.path(), true), &[]);
        let seen = store.seen();
        assert_eq!(seen[0].target, "/bucket/object?signature=abc");
        assert!(
            seen.iter().all(|one| !one.headers.contains_key("job-token")),
            "{seen:?}"
        );
    }
    let store = Server::start(|_| Answer::new(200, archive("file", "signed")));
    let Request::DownloadArtifacts(mut request) = download("http://127.0.0.1:9", place.path(), true) else {
        unreachable!()
    };
    for dependency in &mut request.dependencies {
        dependency.source = Some(ArtifactSource::Url(Secret::new(format!("{}/signed", store.url))));
    }
    done(Request::DownloadArtifacts(request), &[]);
    assert!(store.seen().iter().all(|one| !one.headers.contains_key("job-token")));
}

#[test]
fn a_download_that_fails_says_whose_fault_it_is() {
    let place = tempfile::tempdir().expect("a folder");
    let check = |status: u16, calls: usize, reason: FailureReason, text: &str| {
        let server = Server::start(move |_| {
            Answer::new(status, "<Error><Code>C</Code><Message>from the store</Message></Error>")
        });
        let (response, log) = ask(download(&server.url, place.path(), false), &[]);
        let failure = response.failure.expect("fails");
        assert_eq!(failure.reason, reason, "{status}: {log}");
        assert!(failure.message.contains(text), "{}", failure.message);
        assert_eq!(server.seen().len(), calls, "{status}");
    };
    check(
        404,
        1,
        FailureReason::MissingDependencyFailure,
        "expired or were removed",
    );
    check(401, 1, FailureReason::RunnerSystemFailure, "from the store");
    check(403, 1, FailureReason::RunnerSystemFailure, "from the store");
    check(500, 3, FailureReason::RunnerExternalDependencyFailure, "from the store");
}

#[test]
fn a_download_is_repeated_without_the_shortcut() {
    let place = tempfile::tempdir().expect("a folder");
    let server = Server::start(|seen| {
        if seen.target.contains("direct_download") {
            // Cut in the middle.
            return Answer::new(200, vec![b'P'; 100]).with("Content-Length", "1000");
        }
        Answer::new(200, archive("file", "whole"))
    });
    done(download(&server.url, place.path(), true), &[]);
    assert_eq!(
        fs::read_to_string(place.path().join("file")).expect("is there"),
        "whole"
    );
}

/// A cache in an object store behind the local one.
#[test]
fn a_cache_goes_through_the_object_store() {
    use tasuki_runner::guest::{CacheEntry, RestoreCache, SaveCache};
    let place = project();
    let kept = Arc::new(std::sync::Mutex::new(None::<Vec<u8>>));
    let store = Arc::clone(&kept);
    let server = Server::start(move |seen| {
        let mut kept = store.lock().expect("no panic");
        match seen.method.as_str() {
            "PUT" => {
                *kept = Some(seen.body.clone());
                Answer::new(200, "")
            }
            _ if seen.headers.contains_key("if-modified-since") => Answer::new(304, ""),
            _ => kept.clone().map_or(Answer::new(404, ""), |body| {
                Answer::new(200, body).with("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
            }),
        }
    });
    let entry = |name: &str| CacheEntry {
        key: "key".to_owned(),
        file: place.path().join(name).join("cache.zip"),
        url: Some(Secret::new(format!("{}/cache?X-Amz-Signature=hidden", server.url))),
        headers: vec![("x-amz-meta-cachekey".to_owned(), Secret::new("key"))],
    };
    let restore = |name: &str| {
        let request = RestoreCache {
            project: place.path().join("restored"),
            entries: vec![entry(name)],
            timeout_s: 0,
        };
        done(Request::RestoreCache(request), &[]).0.report
    };
    assert!(restore("first").skipped, "nothing there yet is no failure");
    let save = SaveCache {
        project: place.path().to_owned(),
        entry: entry("first"),
        selection: Selection {
            paths: vec!["out".to_owned()],
            ..Selection::default()
        },
        format: Format::Zip,
        compression: Compression::Fast,
        max_bytes: 0,
        timeout_s: 0,
    };
    assert!(!done(Request::SaveCache(save), &[]).0.report.skipped);
    let put = server
        .seen()
        .into_iter()
        .find(|seen| seen.method == "PUT")
        .expect("was sent");
    assert_eq!(put.headers["x-amz-meta-cachekey"], "key");
    assert!(put.headers.contains_key("content-length"), "object stores insist on it");
    // Another machine: only the store has it.
    let report = restore("second");
    assert_eq!((report.cache_key.as_deref(), report.files), (Some("key"), 2));
    assert!(report.transferred > 0);
    assert_eq!(
        fs::read_to_string(place.path().join("restored/out/a.txt")).expect("is there"),
        "a"
    );
    assert_eq!(restore("second").transferred, 0, "not fetched twice");
}
