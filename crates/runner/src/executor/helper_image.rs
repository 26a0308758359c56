//! The image of sources, caches and artifacts, made of this machine's own files.
//!
//! It holds this very program, git with what it needs, a shell, and the certificates of this machine, each with the
//! libraries that the dynamic loader names. So no registry has to be reached before the first job, and the guest is
//! always of the runner's version. `helper_image` names another one, which must have git.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::docker::hex;
use crate::executor::{Error, Result};
use crate::process::tool::Tool;
use crate::process::{Binary, Exit, Stop};

/// Where the guest lies in the image, and in every container.
pub(super) const FOLDER: &str = "/.tasuki";

/// Programs for git and its hooks. Which of them are missing here, are missing there.
const PROGRAMS: &[&str] = &[
    "git", "git-lfs", "sh", "ssh", "basename", "cat", "cut", "dirname", "env", "expr", "grep", "mkdir", "rm", "sed",
    "tr", "uname", "gzip",
];

/// Of git's own folder: the rest of it are links to git itself, or for servers and people.
const GIT_CORE: &[&str] = &[
    "git-remote-http",
    "git-remote-https",
    "git-submodule",
    "git-sh-setup",
    "git-sh-i18n",
    "git-sh-i18n--envsubst",
];

/// What goes into the image.
pub(super) struct Contents {
    /// Changes with every file in it.
    pub(super) digest: String,
    files: Files,
    /// Whether this program needs its loader and libraries brought along.
    pub(super) is_dynamic: bool,
    /// git was found on this machine.
    pub(super) has_git: bool,
}

/// How the guest is started in a container that has it in that folder.
pub(super) fn command(folder: &str, is_dynamic: bool) -> Vec<String> {
    let program = format!("{folder}/{}", Binary::PROGRAM);
    let mut command = if is_dynamic {
        let libraries = format!("{folder}/{}", Binary::LIBRARIES);
        vec![
            format!("{folder}/{}", Binary::LOADER),
            "--library-path".to_owned(),
            libraries,
            program,
        ]
    } else {
        vec![program]
    };
    command.push("guest".to_owned());
    command
}

fn failed(error: io::Error) -> Error {
    Error::system("make the helper image of this machine's files", error)
}

impl Contents {
    /// The archive of the image's files. Blocking.
    pub(super) fn tar(&self) -> Result<Vec<u8>> {
        self.files.tar().map_err(failed)
    }
}

/// Whom an image's programs run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

impl std::str::FromStr for User {
    type Err = String;

    /// `uid[:gid]`: numbers, since policies that want nobody to be root judge by the number. Without a group it is the user's own
    /// number.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let number = |text: &str| {
            let number = text.parse::<u32>();
            number
                .map_err(|_| format!("{text:?} is no number of a user or group: write UID or UID:GID, as in 1000:1000"))
        };
        let (uid, gid) = text.split_once(':').unwrap_or((text, text));
        Ok(Self {
            uid: number(uid)?,
            gid: number(gid)?,
        })
    }
}

/// The helper image as an archive that `docker load`, `ctr images import` and `kind load image-archive` take, under the given
/// name. `program` is what becomes the guest; git and what else belongs into the image is looked for in `path`. `user` is the
/// image's own; without one it is root. Blocking.
///
/// # Errors
/// A file of this machine cannot be read.
pub fn archive(program: &Path, path: &str, name: &str, user: Option<User>) -> Result<Vec<u8>> {
    let mut contents = collect(program, path)?;
    contents.files.user = user.filter(|user| user.uid != 0);
    let layer = contents.tar()?;
    let mut run = serde_json::json!({"Env": ["PATH=/usr/bin:/bin"], "Cmd": ["tasuki", "guest", "hold"]});
    if let Some(User { uid, gid }) = user {
        run["User"] = format!("{uid}:{gid}").into();
    }
    let config = serde_json::json!({
        "architecture": match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        },
        "os": "linux",
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", hex(&layer))]},
    });
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]);
    let mut builder = tar::Builder::new(Vec::new());
    for (place, bytes) in [
        ("config.json", config.to_string().as_bytes()),
        ("layer.tar", &layer),
        ("manifest.json", manifest.to_string().as_bytes()),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, place, bytes).map_err(failed)?;
    }
    builder.into_inner().map_err(failed)
}

/// Whether a program needs its loader and libraries brought along. Blocking.
///
/// Read from the program itself: where a runner runs in such an image, nothing else there could tell.
pub(super) fn is_dynamic(program: &Path) -> Result<bool> {
    let file = fs::File::open(program).map_err(failed)?;
    names_a_loader(file).map_err(failed)
}

/// Whether one of an ELF file's program headers is `PT_INTERP`. Files of other kinds and of other machines' byte order name none.
fn names_a_loader(mut file: impl io::Read + io::Seek) -> io::Result<bool> {
    const INTERP: [u8; 4] = 3_u32.to_le_bytes();
    let mut head = Vec::new();
    (&mut file).take(64).read_to_end(&mut head)?;
    if head.len() < 64 || head[..4] != *b"\x7fELF" || head[5] != 1 {
        return Ok(false);
    }
    let number = |at: usize, size: usize| {
        head[at..at + size]
            .iter()
            .rev()
            .fold(0_u64, |all, byte| all << 8 | u64::from(*byte))
    };
    let (offset, size, count) = match head[4] {
        1 => (number(28, 4), number(42, 2), number(44, 2)),
        _ => (number(32, 8), number(54, 2), number(56, 2)),
    };
    for index in 0..count {
        file.seek(io::SeekFrom::Start(offset.saturating_add(index * size)))?;
        let mut kind = [0; 4];
        file.read_exact(&mut kind)?;
        if kind == INTERP {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Looks for the files. Blocking.
pub(super) fn collect(program: &Path, path: &str) -> Result<Contents> {
    let mut files = Files::default();
    let needs = needs(program, path).map_err(failed)?;
    files.add(format!("{FOLDER}/{}", Binary::PROGRAM), program);
    // In the image itself it is started by its name, with the image's own loader.
    for library in needs.libraries.iter().chain(&needs.loader) {
        files.add(library.to_string_lossy().into_owned(), library);
    }
    for library in &needs.libraries {
        let name = library.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.add(format!("{FOLDER}/{}/{name}", Binary::LIBRARIES), library);
    }
    if let Some(loader) = &needs.loader {
        files.add(format!("{FOLDER}/{}", Binary::LOADER), loader);
    }
    let mut has_git = false;
    for name in PROGRAMS {
        if let Some(found) = find(name, path) {
            has_git |= *name == "git";
            files
                .with_libraries(format!("/usr/bin/{name}"), &found, path)
                .map_err(failed)?;
        }
    }
    if has_git {
        git_core(&mut files, path).map_err(failed)?;
    }
    for file in [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
    ] {
        if Path::new(file).is_file() {
            files.add(file.to_owned(), Path::new(file));
        }
    }
    let digest = files.digest().map_err(failed)?;
    Ok(Contents {
        digest,
        files,
        is_dynamic: needs.loader.is_some(),
        has_git,
    })
}

fn git_core(files: &mut Files, path: &str) -> io::Result<()> {
    let folder = output("git", &["--exec-path"], path)?;
    let folder = PathBuf::from(folder.trim());
    for name in GIT_CORE {
        let file = folder.join(name);
        if file.exists() {
            files.with_libraries(file.to_string_lossy().into_owned(), &file, path)?;
        }
    }
    Ok(())
}

#[derive(Default)]
struct Files {
    /// By their place in the image.
    places: BTreeMap<String, PathBuf>,
    /// Whom the image knows besides root.
    user: Option<User>,
}

impl Files {
    fn add(&mut self, place: String, file: &Path) {
        self.places.insert(place, file.to_owned());
    }

    fn with_libraries(&mut self, place: String, file: &Path, path: &str) -> io::Result<()> {
        let needs = needs(file, path)?;
        for library in needs.libraries.into_iter().chain(needs.loader) {
            self.add(library.to_string_lossy().into_owned(), &library);
        }
        self.add(place, file);
        Ok(())
    }

    /// Of places, lengths and check sums: it tells versions apart, and need not withstand anybody.
    fn digest(&self) -> io::Result<String> {
        let mut list = String::new();
        let mut buffer = vec![0; 1 << 20];
        for (place, file) in &self.places {
            let (mut sum, mut length, mut file) = (crc32fast::Hasher::new(), 0, fs::File::open(file)?);
            loop {
                match io::Read::read(&mut file, &mut buffer)? {
                    0 => break,
                    read => {
                        sum.update(&buffer[..read]);
                        length += read;
                    }
                }
            }
            list.push_str(&format!("{place} {length} {:08x}\n", sum.finalize()));
        }
        Ok(hex(list.as_bytes())[..16].to_owned())
    }

    fn tar(&self) -> io::Result<Vec<u8>> {
        let mut builder = tar::Builder::new(Vec::new());
        builder.mode(tar::HeaderMode::Deterministic);
        let mut folders = BTreeSet::new();
        let add = |builder: &mut tar::Builder<Vec<u8>>, place: &str, mode: u32, kind: tar::EntryType, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, place.trim_start_matches('/'), bytes)
        };
        for folder in [
            "/tmp", "/etc", "/root", "/builds", "/cache", "/usr", "/usr/bin", "/var/tmp",
        ] {
            folders.insert(folder.to_owned());
        }
        for place in self.places.keys() {
            let parents = Path::new(place)
                .ancestors()
                .skip(1)
                .filter(|folder| *folder != Path::new("/"));
            folders.extend(parents.map(|folder| folder.to_string_lossy().into_owned()));
        }
        for folder in &folders {
            let mode = if folder.ends_with("tmp") { 0o1777 } else { 0o755 };
            add(&mut builder, folder, mode, tar::EntryType::Directory, &[])?;
        }
        let mut passwd = "root:x:0:0:root:/root:/bin/sh\n".to_owned();
        let mut group = "root:x:0:\n".to_owned();
        if let Some(User { uid, gid }) = self.user {
            // The only place that is everybody's.
            passwd.push_str(&format!("nonroot:x:{uid}:{gid}:nonroot:/tmp:/bin/sh\n"));
            if gid != 0 {
                group.push_str(&format!("nonroot:x:{gid}:\n"));
            }
        }
        for (place, text) in [("/etc/passwd", passwd), ("/etc/group", group)] {
            add(&mut builder, place, 0o644, tar::EntryType::Regular, text.as_bytes())?;
        }
        let link = |builder: &mut tar::Builder<Vec<u8>>, place: &str, to: &str| {
            let mut link = tar::Header::new_gnu();
            link.set_entry_type(tar::EntryType::Symlink);
            link.set_mode(0o777);
            link.set_size(0);
            builder.append_link(&mut link, place, to)
        };
        if self.places.contains_key("/usr/bin/sh") {
            add(&mut builder, "/bin", 0o755, tar::EntryType::Directory, &[])?;
            link(&mut builder, "bin/sh", "/usr/bin/sh")?;
        }
        // git starts the other side by this name where a repository is a folder: a server's image is the same.
        if self.places.contains_key("/usr/bin/git") {
            link(&mut builder, "usr/bin/git-upload-pack", "git")?;
        }
        let program = format!("{FOLDER}/{}", Binary::PROGRAM);
        link(&mut builder, &format!("usr/bin/{}", Binary::PROGRAM), &program)?;
        for (place, file) in &self.places {
            add(&mut builder, place, 0o755, tar::EntryType::Regular, &fs::read(file)?)?;
        }
        builder.into_inner()
    }
}

/// What a program needs to be started.
#[derive(Default)]
struct Needs {
    loader: Option<PathBuf>,
    libraries: Vec<PathBuf>,
}

/// Asks the dynamic loader. A static program and a script need nothing.
fn needs(file: &Path, path: &str) -> io::Result<Needs> {
    let mut magic = [0; 4];
    io::Read::read_exact(&mut fs::File::open(file)?, &mut magic)?;
    if magic != *b"\x7fELF" {
        return Ok(Needs::default());
    }
    let Ok(text) = output("ldd", &[&file.to_string_lossy()], path) else {
        // What it says of a static program.
        return Ok(Needs::default());
    };
    Ok(parse(&text))
}

fn parse(text: &str) -> Needs {
    let mut needs = Needs::default();
    for line in text.lines() {
        let line = line.split(" (0x").next().unwrap_or_default().trim();
        match line.split_once(" => ") {
            Some((_, file)) if file.starts_with('/') => needs.libraries.push(PathBuf::from(file)),
            None if line.starts_with('/') => needs.loader = Some(PathBuf::from(line)),
            _ => {}
        }
    }
    needs
}

fn find(name: &str, path: &str) -> Option<PathBuf> {
    path.split(':')
        .map(|folder| Path::new(folder).join(name))
        .find(|file| file.is_file())
}

fn output(program: &str, args: &[&str], path: &str) -> io::Result<String> {
    let env = [("PATH".to_owned(), path.to_owned())];
    let tool = Tool {
        program,
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        env: &env,
        cwd: Path::new("/"),
    };
    let mut text = Vec::new();
    let exit = tool
        .run(&Stop::new(), |bytes| text.extend_from_slice(bytes), |_| {})
        .map_err(|error| io::Error::other(crate::trace::chain(&error)))?;
    match exit {
        Exit::Code(0) => Ok(String::from_utf8_lossy(&text).into_owned()),
        other => Err(io::Error::other(format!("{program} ended with {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_the_loader() {
        let glibc = "\tlinux-vdso.so.1 (0x00007ffe)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let musl = "\t/lib/ld-musl-x86_64.so.1 (0x7f)\n\tlibz.so.1 => /lib/libz.so.1 (0x7f)\n\tlibc.musl-x86_64.so.1 => /lib/ld-musl-x86_64.so.1 (0x7f)\n";
        let needs = parse(glibc);
        assert_eq!(needs.loader.as_deref(), Some(Path::new("/lib64/ld-linux-x86-64.so.2")));
        assert_eq!(needs.libraries, [Path::new("/lib/x86_64-linux-gnu/libc.so.6")]);
        assert_eq!(parse(musl).libraries.len(), 2);
        assert!(parse("\tstatically linked\n").loader.is_none());
    }

    /// A file of 64 bits with these kinds of program headers.
    fn elf(kinds: &[u32]) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32] = 64;
        file[54] = 56;
        file[56] = u8::try_from(kinds.len()).expect("few");
        for kind in kinds {
            file.extend(kind.to_le_bytes());
            file.extend([0; 52]);
        }
        file
    }

    #[test]
    fn a_program_with_a_loader_is_known_by_its_own_header() {
        for (file, wanted) in [
            (elf(&[6, 3, 1]), true),
            (elf(&[1, 2]), false),
            (elf(&[]), false),
            (b"#!/bin/sh\n".to_vec(), false),
            (Vec::new(), false),
        ] {
            let found = names_a_loader(io::Cursor::new(&file)).expect("is read");
            assert_eq!(found, wanted, "{file:?}");
        }
        let own = std::env::current_exe().expect("has a path");
        assert_eq!(
            is_dynamic(&own).expect("is read"),
            needs(&own, "/usr/bin:/bin").expect("is read").loader.is_some()
        );
    }
}
