//! Archives: what is packed comes back, and tricks do not get out of the folder.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::setting::{done, write};
use tasuki_runner::guest::{CacheEntry, Compression, Format, Report, Request, RestoreCache, SaveCache, Selection};
use zip::write::SimpleFileOptions;

fn entry(file: &Path) -> CacheEntry {
    CacheEntry {
        key: "key".to_owned(),
        file: file.to_owned(),
        url: None,
        headers: Vec::new(),
    }
}

fn pack(project: &Path, archive: &Path, format: Format, compression: Compression) -> Report {
    let selection = Selection {
        paths: vec![".".to_owned()],
        ..Selection::default()
    };
    let request = SaveCache {
        project: project.to_owned(),
        entry: entry(archive),
        selection,
        format,
        compression,
        max_bytes: 0,
        timeout_s: 0,
    };
    done(Request::SaveCache(request), &[]).0.report
}

/// Unpacks; a refused archive is a warning and leaves nothing restored.
fn unpack(archive: &Path, project: &Path) -> (bool, String) {
    let request = RestoreCache {
        project: project.to_owned(),
        entries: vec![entry(archive)],
        timeout_s: 0,
    };
    let (response, log) = done(Request::RestoreCache(request), &[]);
    (!response.report.skipped, log)
}

/// What distinguishes two trees: path, kind, permissions, seconds, contents.
fn describe(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut queue = vec![folder.to_owned()];
    while let Some(next) = queue.pop() {
        for one in fs::read_dir(&next).expect("a folder").flatten() {
            let (path, found) = (one.path(), one.metadata().expect("is there"));
            let name = path.strip_prefix(folder).expect("is inside").display().to_string();
            let what = if found.is_symlink() {
                format!("-> {}", fs::read_link(&path).expect("a link").display())
            } else if found.is_dir() {
                queue.push(path);
                format!("folder {:o} {}", found.mode() & 0o777, found.mtime())
            } else {
                let crc = crc32fast::hash(&fs::read(&path).expect("is readable"));
                format!("{:o} {} {} {crc:x}", found.mode() & 0o777, found.mtime(), found.len())
            };
            lines.push(format!("{name} {what}"));
        }
    }
    lines.sort();
    lines
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A tree with files of every size at which the writer changes its way.
fn tree(folder: &Path) {
    const BLOCK: usize = 1 << 20;
    for length in [
        0,
        1,
        32,
        33,
        1000,
        BLOCK - 1,
        BLOCK,
        BLOCK + 1,
        3 * BLOCK,
        3 * BLOCK + 17,
    ] {
        write(folder.join(format!("sizes/noise-{length}")), noise(length));
        write(
            folder.join(format!("sizes/text-{length}")),
            "lorem ipsum ".repeat(length / 12 + 1).get(..length).expect("long"),
        );
    }
    for n in 0..300 {
        write(folder.join(format!("many/{}/{n}.txt", n % 10)), n.to_string().repeat(n));
    }
    write(folder.join("names/with space"), "1");
    write(folder.join("names/ünï \u{1f980}"), "2");
    let odd: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"names/\xff\xfe\n");
    write(folder.join(odd), "3");
    fs::create_dir_all(folder.join("empty/folder")).expect("folders");
    std::os::unix::fs::symlink("../names", folder.join("empty/link")).expect("a link");
    std::os::unix::fs::symlink("/absolute/nowhere", folder.join("dangling")).expect("a link");
    for (name, mode) in [("run", 0o755), ("private", 0o600), ("readonly", 0o444)] {
        write(folder.join(name), name);
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).expect("is ours");
    }
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_234_567_891);
    File::open(folder.join("run"))
        .and_then(|file| file.set_modified(old))
        .expect("is ours");
    fs::set_permissions(folder.join("empty"), fs::Permissions::from_mode(0o555)).expect("is ours");
}

#[test]
fn what_is_packed_comes_back() {
    let place = tempfile::tempdir().expect("a folder");
    let from = place.path().join("from");
    tree(&from);
    let wanted = describe(&from);
    for format in [Format::Zip, Format::ZipZstd, Format::TarZstd] {
        for level in [Compression::Fastest, Compression::Default, Compression::Slow] {
            let name = format!("{format:?}-{level:?}");
            let (archive, to) = (place.path().join(&name), place.path().join(format!("{name}-to")));
            let report = pack(&from, &archive, format, level);
            assert_eq!(
                report.transferred,
                fs::metadata(&archive).expect("is there").len(),
                "{name}"
            );
            let (restored, log) = unpack(&archive, &to);
            assert!(restored, "{name}: {log}");
            assert_eq!(describe(&to), wanted, "{name}");
            // Over what is there already, too.
            assert!(unpack(&archive, &to).0, "{name}");
            assert_eq!(describe(&to), wanted, "{name}");
        }
    }
}

#[test]
fn others_can_read_our_zips() {
    let place = tempfile::tempdir().expect("a folder");
    let (from, archive) = (place.path().join("from"), place.path().join("archive.zip"));
    tree(&from);
    pack(&from, &archive, Format::Zip, Compression::Default);
    // The zip crate checks sizes and sums of what it reads.
    let mut zip = zip::ZipArchive::new(File::open(&archive).expect("is there")).expect("is a zip");
    let mut bytes = 0;
    for index in 0..zip.len() {
        bytes += io::copy(&mut zip.by_index(index).expect("an entry"), &mut io::sink()).expect("is whole");
    }
    assert!(bytes > 10_000_000);
    // And as a stream, which only works when headers and descriptors are right.
    let mut stream = File::open(&archive).expect("is there");
    let mut seen = 0;
    while let Ok(Some(mut file)) = zip::read::read_zipfile_from_stream(&mut stream) {
        io::copy(&mut file, &mut io::sink()).expect("is whole");
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn nothing_new_is_not_packed_again() {
    let place = tempfile::tempdir().expect("a folder");
    let (from, archive) = (
        place.path().join("from"),
        place.path().join("cache/group/key/cache.zip"),
    );
    write(from.join("a"), "1");
    assert!(!pack(&from, &archive, Format::Zip, Compression::Fastest).skipped);
    assert!(pack(&from, &archive, Format::Zip, Compression::Fastest).skipped);
    let later = fs::metadata(&archive)
        .and_then(|found| found.modified())
        .expect("known")
        + std::time::Duration::from_secs(1);
    write(from.join("a"), "2");
    File::open(from.join("a"))
        .and_then(|file| file.set_modified(later))
        .expect("is ours");
    fs::set_permissions(&from, fs::Permissions::from_mode(0o755)).expect("is ours");
    assert!(!pack(&from, &archive, Format::Zip, Compression::Fastest).skipped);
    // Nothing half-written is left beside it.
    assert_eq!(
        fs::read_dir(archive.parent().expect("has one"))
            .expect("a folder")
            .count(),
        1
    );
}

#[test]
fn a_cache_that_is_too_large_is_not_kept() {
    let place = tempfile::tempdir().expect("a folder");
    let (from, archive) = (place.path().join("from"), place.path().join("cache.zip"));
    write(from.join("a"), noise(100_000));
    let selection = Selection {
        paths: vec!["a".to_owned()],
        ..Selection::default()
    };
    let mut request = SaveCache {
        project: from,
        entry: entry(&archive),
        selection,
        format: Format::Zip,
        compression: Compression::Fastest,
        max_bytes: 50_000,
        timeout_s: 0,
    };
    let (response, log) = done(Request::SaveCache(request.clone()), &[]);
    assert!(
        response.report.skipped && log.contains("larger than 50000 bytes"),
        "{log}"
    );
    assert!(!archive.exists());
    request.max_bytes = 200_000;
    assert!(!done(Request::SaveCache(request), &[]).0.report.skipped);
}

/// A folder with a project inside and things outside that no archive may touch.
struct Target {
    folder: tempfile::TempDir,
}

impl Target {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path().join("outside/victim"), "untouched");
        fs::create_dir(folder.path().join("project")).expect("a folder");
        std::os::unix::fs::symlink("../outside", folder.path().join("project/old-link")).expect("a link");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Unpacks `archive`: it is refused with a text that contains `why`, and nothing outside has changed.
    fn refuses(&self, archive: &[u8], why: &str) {
        write(self.path("archive"), archive);
        let (restored, log) = unpack(&self.path("archive"), &self.path("project"));
        assert!(!restored, "{why}: was unpacked");
        assert!(log.contains(why), "{why}: {log}");
        self.outside_is_untouched();
    }

    fn takes(&self, archive: &[u8]) {
        write(self.path("archive"), archive);
        let (restored, log) = unpack(&self.path("archive"), &self.path("project"));
        assert!(restored, "{log}");
        self.outside_is_untouched();
    }

    fn outside_is_untouched(&self) {
        let names: Vec<String> = fs::read_dir(self.path("outside"))
            .expect("a folder")
            .flatten()
            .map(|one| one.file_name().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["victim"]);
        assert_eq!(
            fs::read_to_string(self.path("outside/victim")).expect("is there"),
            "untouched"
        );
        assert!(!self.path("evil").exists() && !Path::new("/tasuki-evil").exists());
    }
}

enum In<'a> {
    File(&'a str, &'a str),
    Link(&'a str, &'a str),
}

fn zip_of(entries: &[In<'_>]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    for one in entries {
        match one {
            In::File(name, text) => {
                writer.start_file(*name, options).expect("an entry");
                writer.write_all(text.as_bytes()).expect("is written");
            }
            In::Link(name, target) => writer.add_symlink(*name, *target, options).expect("a link"),
        }
    }
    writer.finish().expect("is written").into_inner()
}

/// Changes bytes wherever they are.
fn patched(mut archive: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut found = 0;
    for at in 0..=archive.len().saturating_sub(from.len()) {
        if archive[at..].starts_with(from) {
            archive[at..at + to.len()].copy_from_slice(to);
            found += 1;
        }
    }
    assert!(found > 0, "nothing to change");
    archive
}

#[test]
fn an_absolute_path_is_refused() {
    Target::new().refuses(
        &patched(zip_of(&[In::File("Xtasuki-evil", "x")]), b"Xtasuki", b"/tasuki"),
        "leads out of the folder",
    );
}

#[test]
fn a_path_upwards_is_refused() {
    Target::new().refuses(
        &patched(zip_of(&[In::File("XX/evil", "x")]), b"XX/evil", b"../evil"),
        "leads out of the folder",
    );
    Target::new().refuses(
        &patched(zip_of(&[In::File("a/XX/XX/evil", "x")]), b"XX", b".."),
        "leads out of the folder",
    );
}

#[test]
fn nothing_is_written_through_a_link_of_the_archive() {
    let target = Target::new();
    target.refuses(
        &zip_of(&[In::Link("link", "../outside"), In::File("link/victim", "x")]),
        "cannot unpack link",
    );
    // Also where the link has the file's own name.
    let twice = patched(
        zip_of(&[In::Link("same", "../outside/victim"), In::File("sbme", "x")]),
        b"sbme",
        b"same",
    );
    let target = Target::new();
    target.takes(&twice);
    assert!(
        fs::symlink_metadata(target.path("project/same"))
            .expect("is there")
            .is_file()
    );
}

#[test]
fn nothing_is_written_through_a_link_that_was_there() {
    Target::new().refuses(
        &zip_of(&[In::File("old-link/victim", "x")]),
        "cannot unpack old-link/victim",
    );
    // A link in the place of a file is replaced, not followed.
    let target = Target::new();
    std::os::unix::fs::symlink("../outside/victim", target.path("project/file")).expect("a link");
    target.takes(&zip_of(&[In::File("file", "new")]));
    assert_eq!(
        fs::read_to_string(target.path("project/file")).expect("is there"),
        "new"
    );
}

#[test]
fn a_link_inside_is_followed_and_one_outside_only_made() {
    let target = Target::new();
    fs::create_dir(target.path("project/real")).expect("a folder");
    std::os::unix::fs::symlink("real", target.path("project/inner")).expect("a link");
    target.takes(&zip_of(&[In::File("inner/file", "x"), In::Link("out", "/etc")]));
    assert!(target.path("project/real/file").exists());
    assert_eq!(
        fs::read_link(target.path("project/out")).expect("a link"),
        PathBuf::from("/etc")
    );
}

#[test]
fn a_file_with_a_second_name_is_not_written_through() {
    let target = Target::new();
    fs::hard_link(target.path("outside/victim"), target.path("project/shared")).expect("a hard link");
    target.takes(&zip_of(&[In::File("shared", "new")]));
    assert_eq!(
        fs::read_to_string(target.path("project/shared")).expect("is there"),
        "new"
    );
}

fn tar_of(fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    fill(&mut builder);
    zstd::encode_all(&builder.into_inner().expect("is written")[..], 1).expect("compresses")
}

fn tar_entry(
    builder: &mut tar::Builder<Vec<u8>>,
    kind: tar::EntryType,
    name: &str,
    link: Option<&str>,
    mode: u32,
    text: &str,
) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(text.len() as u64);
    // The crate refuses such names; an attacker does not use the crate.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    if let Some(link) = link {
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    }
    header.set_cksum();
    builder.append(&header, text.as_bytes()).expect("is written");
}

#[test]
fn tricks_of_tars_are_refused() {
    let check = |kind: tar::EntryType, name: &str, link: Option<&str>, why: &str| {
        let target = Target::new();
        target.refuses(&tar_of(|builder| tar_entry(builder, kind, name, link, 0o644, "")), why);
    };
    use tar::EntryType as Kind;
    check(Kind::Regular, "../evil", None, "leads out of the folder");
    check(Kind::Regular, "/tasuki-evil", None, "leads out of the folder");
    check(Kind::Regular, "old-link/victim", None, "cannot unpack");
    check(Kind::Link, "hard", Some("../outside/victim"), "hard link");
    check(Kind::Link, "hard", Some("/etc/passwd"), "hard link");
    check(Kind::Link, "hard", Some("old-link/victim"), "hard link");
    check(Kind::Char, "null", None, "neither file, folder nor link");
    check(Kind::Block, "disk", None, "neither file, folder nor link");
    check(Kind::Fifo, "pipe", None, "neither file, folder nor link");
}

#[test]
fn a_hard_link_inside_becomes_a_copy() {
    let target = Target::new();
    target.takes(&tar_of(|builder| {
        tar_entry(builder, tar::EntryType::Regular, "first", None, 0o644, "contents");
        tar_entry(builder, tar::EntryType::Link, "second", Some("first"), 0o644, "");
    }));
    assert_eq!(
        fs::read_to_string(target.path("project/second")).expect("is there"),
        "contents"
    );
}

#[test]
fn devices_and_set_user_id_bits_do_not_come_out_of_zips() {
    let archive = |mode: u32| {
        let options = SimpleFileOptions::default().unix_permissions(0o644);
        let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        writer.start_file("one", options).expect("an entry");
        writer.write_all(b"x").expect("is written");
        let archive = writer.finish().expect("is written").into_inner();
        patched(
            archive,
            &(0o100_644_u32 << 16).to_le_bytes(),
            &(mode << 16).to_le_bytes(),
        )
    };
    for kind in [0o020_666, 0o060_666, 0o010_666, 0o140_666] {
        Target::new().refuses(&archive(kind), "is a device, a pipe or a socket");
    }
    let target = Target::new();
    target.takes(&archive(0o106_755));
    assert_eq!(
        fs::metadata(target.path("project/one")).expect("is there").mode() & 0o7777,
        0o755
    );
}

#[test]
fn gzip_members_have_names_inside() {
    let member = |name: &str| {
        let mut member = flate2::GzBuilder::new()
            .filename(name)
            .write(Vec::new(), flate2::Compression::fast());
        member.write_all(b"report").expect("is written");
        member.finish().expect("is written")
    };
    Target::new().refuses(&member("../evil"), "leads out of the folder");
    Target::new().refuses(&member("/tasuki-evil"), "leads out of the folder");
    Target::new().refuses(&flate2_without_name(), "has no name");
    let target = Target::new();
    target.takes(&[member("a.xml"), member("deep/b.xml")].concat());
    assert_eq!(
        fs::read_to_string(target.path("project/deep/b.xml")).expect("is there"),
        "report"
    );
}

fn flate2_without_name() -> Vec<u8> {
    let mut member = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::fast());
    member.write_all(b"report").expect("is written");
    member.finish().expect("is written")
}

#[test]
fn damage_is_noticed() {
    let good = zip_of(&[In::File("file", &"contents ".repeat(100))]);
    Target::new().refuses(&good[..good.len() - 30], "damaged");
    Target::new().refuses(b"not an archive at all", "damaged");
    Target::new().refuses(b"", "damaged");
    let mut wrong = good;
    wrong[50] ^= 0xff;
    Target::new().refuses(&wrong, "damaged");
    let tar = tar_of(|builder| tar_entry(builder, tar::EntryType::Regular, "file", None, 0o644, &"x".repeat(5000)));
    Target::new().refuses(&tar[..tar.len() - 10], "damaged");
}

#[test]
fn a_directory_that_claims_too_much_is_refused_before_it_is_read() {
    let mut archive = zip_of(&[In::File("file", "x")]);
    // A zip64 end that declares 2^40 entries.
    let end = archive
        .windows(4)
        .rposition(|four| four == b"PK\x05\x06")
        .expect("an end");
    let mut zip64 = Vec::from(*b"PK\x06\x06");
    zip64.extend_from_slice(&44_u64.to_le_bytes());
    zip64.extend_from_slice(&[0; 12]);
    for number in [1_u64 << 40, 1 << 40, 0, 0] {
        zip64.extend_from_slice(&number.to_le_bytes());
    }
    archive.splice(end..end, zip64);
    Target::new().refuses(&archive, "entries, more than");
}

#[test]
fn a_bomb_is_defused() {
    // Zeros: a ten-thousandth of their size.
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
    let mut header = tar::Header::new_gnu();
    header.set_path("zeros").expect("is short");
    header.set_size(2_000_000_000);
    header.set_mode(0o644);
    header.set_cksum();
    encoder.write_all(header.as_bytes()).expect("is written");
    io::copy(&mut io::repeat(0).take(2_000_000_000), &mut encoder).expect("is written");
    let archive = encoder.finish().expect("is written");
    assert!(archive.len() < 1_000_000);
    Target::new().refuses(&archive, "times its size");
}
