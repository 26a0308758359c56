//! A PostgreSQL server for the time of the test run, on a Unix socket in a temporary folder.
#![expect(clippy::disallowed_methods, reason = "the tests' one door to start programs")]

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

struct Server {
    socket: PathBuf,
    port: u16,
    /// Its certificate, where it has one.
    certificate: Option<PathBuf>,
    databases: AtomicU32,
    /// The server ends when this closes, that is with the test process, however that ends.
    _lifeline: ChildStdin,
}

static SERVER: LazyLock<Option<Server>> = LazyLock::new(|| match start() {
    Ok(server) => Some(server),
    Err(reason) => {
        // Not `eprintln`, which the test harness would hide.
        let _ = writeln!(std::io::stderr(), "SKIPPED postgresql: {reason}");
        None
    }
});

/// The URL of a new, empty database; `None` when there is no server.
pub(crate) fn new_database() -> Option<String> {
    let server = SERVER.as_ref()?;
    let name = format!("t{}", server.databases.fetch_add(1, Ordering::Relaxed));
    let mut client = postgres::Client::connect(&url(&server.socket, server.port, "postgres"), postgres::NoTls)
        .expect("the server answers");
    client
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .expect("a database can be made");
    Some(url(&server.socket, server.port, &name))
}

/// The URL of a database by TCP and the file of the server's certificate; `None` when there is no server, or
/// none with TLS.
pub(crate) fn over_tcp() -> Option<(String, PathBuf)> {
    let server = SERVER.as_ref()?;
    let Some(certificate) = server.certificate.clone() else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED postgresql with TLS: no certificate without openssl"
        );
        return None;
    };
    Some((
        format!("postgres://tasuki@localhost:{}/postgres", server.port),
        certificate,
    ))
}

fn url(socket: &Path, port: u16, database: &str) -> String {
    let host = socket.display().to_string().replace('/', "%2F");
    format!("postgres://tasuki@{host}:{port}/{database}")
}

fn start() -> Result<Server, String> {
    let bin = binaries().ok_or("no server binaries in /usr/lib/postgresql/*/bin; install postgresql")?;
    let folder = tempfile::Builder::new()
        .prefix("tasuki-pg-")
        .tempdir_in("/tmp")
        .map_err(|e| format!("no temporary folder: {e}"))?
        .keep();
    let owner = owner_for_server(&folder)?;
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).map_err(|e| e.to_string())?;
    let data = folder.join("data");
    let mut initdb = Command::new(bin.join("initdb"));
    initdb
        .args([
            "--no-sync",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "-U",
            "tasuki",
            "-D",
        ])
        .arg(&data);
    as_user(&mut initdb, owner);
    let made = initdb.output().map_err(|e| format!("initdb: {e}"))?;
    if !made.status.success() {
        return Err(format!("initdb failed: {}", String::from_utf8_lossy(&made.stderr)));
    }
    let certificate = certificate(&data, owner);
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|l| l.local_addr())
        .map_err(|e| e.to_string())?
        .port();
    let tls = if certificate.is_some() {
        "ssl = on\nlisten_addresses = 'localhost'\n"
    } else {
        "listen_addresses = ''\n"
    };
    // In a file and not an argument, so that the measurements can switch it on.
    let settings = std::fs::OpenOptions::new()
        .append(true)
        .open(data.join("postgresql.conf"));
    settings
        .and_then(|mut file| file.write_all(format!("fsync = off\nport = {port}\n{tls}").as_bytes()))
        .map_err(|e| e.to_string())?;
    // The shell waits for the end of its input, which is our end of the pipe.
    let script = r#""$1/postgres" -D "$2/data" -k "$2" -c max_connections=200 \
        >"$2/data/server.log" 2>&1 </dev/null & server=$!; cat >/dev/null; kill -INT $server; wait $server; rm -rf "$2/data"; rmdir "$2""#;
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script, "sh"]).arg(&bin).arg(&folder);
    shell
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    as_user(&mut shell, owner);
    let mut child = shell.spawn().map_err(|e| format!("sh: {e}"))?;
    let lifeline = child.stdin.take().ok_or("no pipe")?;
    let until = Instant::now() + Duration::from_secs(30);
    while let Err(error) = postgres::Client::connect(&url(&folder, port, "postgres"), postgres::NoTls) {
        if Instant::now() > until {
            return Err(format!("the server does not come up: {error}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(Server {
        socket: folder,
        port,
        certificate,
        databases: AtomicU32::new(0),
        _lifeline: lifeline,
    })
}

/// A certificate for the server, signed by itself.
fn certificate(data: &Path, owner: Option<(u32, u32)>) -> Option<PathBuf> {
    let certificate = data.join("server.crt");
    let mut openssl = Command::new("openssl");
    openssl
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "30",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(data.join("server.key"))
        .arg("-out")
        .arg(&certificate);
    as_user(&mut openssl, owner);
    openssl
        .output()
        .is_ok_and(|made| made.status.success())
        .then_some(certificate)
}

fn binaries() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("postgres").is_file() && bin.join("initdb").is_file())
        .collect();
    versions.sort();
    versions.pop()
}

/// PostgreSQL refuses to run as root: then it runs as the user that its package made.
fn owner_for_server(folder: &Path) -> Result<Option<(u32, u32)>, String> {
    if std::fs::metadata(folder).map_err(|e| e.to_string())?.uid() != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").map_err(|e| e.to_string())?;
    let line = users
        .lines()
        .find(|line| line.starts_with("postgres:"))
        .ok_or("run as root, and no user postgres")?;
    let mut fields = line.split(':').skip(2).map(str::parse);
    let (Some(Ok(uid)), Some(Ok(gid))) = (fields.next(), fields.next()) else {
        return Err("the user postgres has no id".to_owned());
    };
    chown(folder, Some(uid), Some(gid)).map_err(|e| e.to_string())?;
    Ok(Some((uid, gid)))
}

fn as_user(command: &mut Command, owner: Option<(u32, u32)>) {
    command.current_dir("/tmp");
    if let Some((uid, gid)) = owner {
        command.gid(gid).uid(uid);
    }
}
