//! `tasuki up` on throw-away data, as a newcomer starts it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub(crate) struct Server {
    child: Child,
    address: String,
    token: String,
    _data: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Server {
    /// With the example project.
    pub(crate) fn example() -> Self {
        Self::start(&["--example"])
    }

    /// With a project made of these files, whose pipeline starts when it is added.
    pub(crate) fn project(name: &str, files: &[(&str, &str)]) -> Self {
        let server = Self::start(&[]);
        let folder = server._data.path().join("source");
        std::fs::create_dir_all(&folder).expect("a folder");
        for (file, text) in files {
            std::fs::write(folder.join(file), text).expect("a file");
        }
        let author = ["-c", "user.name=browser", "-c", "user.email=browser@localhost"];
        for arguments in [
            &["init", "-q", "-b", "main"][..],
            &["add", "-A"],
            &["commit", "-q", "-m", "browser"],
        ] {
            run(program("git").args(author).args(arguments).current_dir(&folder));
        }
        let name = format!("browser/{name}");
        run(program(env!("CARGO_BIN_EXE_tasuki"))
            .args(["project", "add", "--name", &name])
            .arg(&folder)
            .env("TASUKI_URL", server.url(""))
            .env("TASUKI_TOKEN", &server.token));
        server
    }

    fn start(more: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a data folder");
        let mut child = program(env!("CARGO_BIN_EXE_tasuki"))
            .args(["up", "--listen", "127.0.0.1:0", "--data"])
            .arg(data.path().join("tasuki"))
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .expect("tasuki starts");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        let address = out
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                line.strip_prefix("ready ")
                    .map(|url| url.trim_end_matches('/').to_owned())
            })
            .expect("tasuki tells its address");
        let token = read(&data.path().join("tasuki/admin.token"));
        Self {
            child,
            address,
            token,
            _data: data,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Bytes of a page or asset, uncompressed.
    pub(crate) fn size_of(&self, path: &str) -> usize {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime
            .block_on(async { reqwest::get(self.url(path)).await?.error_for_status()?.bytes().await })
            .unwrap_or_else(|error| panic!("{path}: {error}"))
            .len()
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .trim()
        .to_owned()
}

fn run(command: &mut Command) {
    let status = command.status().expect("the program starts");
    assert!(status.success(), "{command:?} ended with {status}");
}

#[expect(clippy::disallowed_methods, reason = "the test is about processes")]
fn program(name: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(name)
}
