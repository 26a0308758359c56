//! Object stores of other people for the tests: moto (S3), Azurite (Azure Blob Storage), gcp-storage-emulator (Google), and
//! Google's own library for signatures. They are installed once, below the target folder.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use anyhow::bail;

use crate::program;

/// Tenths of a second that a program may take to answer.
const PATIENCE: u32 = 600;

/// What moto's server of S3 needs, and what the others do.
const S3_PACKAGES: [&str; 3] = ["moto[s3,sts]", "flask", "flask-cors"];
const PYTHON_PACKAGES: [&str; 2] = ["gcp-storage-emulator", "google-cloud-storage"];
const NODE_PACKAGE: &str = "azurite@3";

/// Name of the variable, port, program, arguments.
type Server = (&'static str, u16, String, Vec<String>);

/// Which stores run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those of every kind, on this machine alone.
    All,
    /// S3, at every address of this machine: for pods.
    S3,
}

/// Running stores. Dropping it ends them.
pub(crate) struct Stores {
    folder: PathBuf,
    children: Vec<Child>,
    env: Vec<(String, String)>,
}

impl Stores {
    /// Installs what is missing, where that is allowed, and starts the stores.
    ///
    /// # Errors
    /// One of them cannot be installed or started.
    pub(crate) fn start(which: Which, install: bool) -> anyhow::Result<Self> {
        let peers = crate::workspace::root().join("target/peers");
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let python = text(peers.join("python/bin/python"));
        let azurite = text(peers.join("node_modules/.bin/azurite-blob"));
        let once = |mark: &str, fill: &dyn Fn() -> anyhow::Result<()>| -> anyhow::Result<()> {
            let mark = peers.join(mark);
            if mark.exists() {
                return Ok(());
            }
            if !install {
                bail!("{} is not filled (--no-install)", peers.display());
            }
            fs::create_dir_all(&peers)?;
            fill()?;
            Ok(fs::write(mark, "")?)
        };
        let pip = |packages: &[&str]| {
            let words = [&["-m", "pip", "install", "--quiet"], packages].concat();
            program::run(&python, &words)
        };
        once("s3.done", &|| {
            program::run("python3", &["-m", "venv", &text(peers.join("python"))])?;
            pip(&S3_PACKAGES)
        })?;
        if which == Which::All {
            once("python.done", &|| pip(&PYTHON_PACKAGES))?;
            once("node.done", &|| {
                let at = text(peers.clone());
                let words = [
                    "install",
                    "--prefix",
                    &at,
                    "--no-fund",
                    "--no-audit",
                    "--silent",
                    NODE_PACKAGE,
                ];
                program::run("npm", &words)
            })?;
        }
        let folder = PathBuf::from(format!("/var/tmp/tasuki-test-stores-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let mut stores = Self {
            folder: folder.clone(),
            children: Vec::new(),
            env: vec![("TASUKI_TEST_PYTHON".to_owned(), python)],
        };
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let moto = text(peers.join("python/bin/moto_server"));
        let emulator = text(peers.join("python/bin/gcp-storage-emulator"));
        if which == Which::S3 {
            let at_all = words(&["-H", "0.0.0.0", "-p", "5064"]);
            stores.serve(&("S3", 5064, moto, at_all))?;
            return Ok(stores);
        }
        let servers: [Server; 3] = [
            ("S3", 5061, moto, words(&["-H", "127.0.0.1", "-p", "5061"])),
            (
                "AZURE",
                5062,
                azurite,
                words(&[
                    "--blobHost",
                    "127.0.0.1",
                    "--blobPort",
                    "5062",
                    "--silent",
                    "--location",
                    &text(folder),
                ]),
            ),
            (
                "GCS",
                5063,
                emulator,
                words(&["start", "--host", "127.0.0.1", "--port", "5063", "--in-memory"]),
            ),
        ];
        for server in servers {
            stores.serve(&server)?;
        }
        Ok(stores)
    }

    /// For the tests.
    pub(crate) fn env(&self) -> Vec<(&str, &str)> {
        self.env
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect()
    }

    fn serve(&mut self, (name, port, program, arguments): &Server) -> anyhow::Result<()> {
        let at = self.folder.join(format!("{name}.log"));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut child = program::background(program, &arguments, fs::File::create(&at)?)?;
        let mut answers = false;
        for _ in 0..PATIENCE {
            answers = TcpStream::connect(("127.0.0.1", *port)).is_ok();
            if answers || child.try_wait()?.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        self.children.push(child);
        if !answers {
            let log = fs::read_to_string(&at).unwrap_or_default();
            let tail: Vec<_> = log.lines().rev().take(5).collect();
            bail!("{program} does not answer: {}", tail.join(" | "));
        }
        self.env
            .push((format!("TASUKI_TEST_{name}"), format!("127.0.0.1:{port}")));
        Ok(())
    }
}

impl Drop for Stores {
    fn drop(&mut self) {
        while let Some(mut child) = self.children.pop() {
            program::terminate(&mut child);
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            crate::suites::say(&format!("{} is left: {error}", self.folder.display()));
        }
    }
}
