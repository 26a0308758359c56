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

const PYTHON_PACKAGES: [&str; 5] = [
    "moto[s3,sts]",
    "flask",
    "flask-cors",
    "gcp-storage-emulator",
    "google-cloud-storage",
];
const NODE_PACKAGE: &str = "azurite@3";

/// Name of the variable, port, program, arguments.
type Server = (&'static str, u16, String, Vec<String>);

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
    pub(crate) fn start(install: bool) -> anyhow::Result<Self> {
        let peers = crate::workspace::root().join("target/peers");
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let python = text(peers.join("python/bin/python"));
        let azurite = text(peers.join("node_modules/.bin/azurite-blob"));
        let marks = (peers.join("python.done"), peers.join("node.done"));
        if !(marks.0.exists() && marks.1.exists()) {
            if !install {
                bail!("{} is not filled (--no-install)", peers.display());
            }
            fs::create_dir_all(&peers)?;
            let at = text(peers.clone());
            program::run("python3", &["-m", "venv", &text(peers.join("python"))])?;
            let mut arguments = vec!["-m", "pip", "install", "--quiet"];
            arguments.extend(PYTHON_PACKAGES);
            program::run(&python, &arguments)?;
            fs::write(&marks.0, "")?;
            program::run(
                "npm",
                &[
                    "install",
                    "--prefix",
                    &at,
                    "--no-fund",
                    "--no-audit",
                    "--silent",
                    NODE_PACKAGE,
                ],
            )?;
            fs::write(&marks.1, "")?;
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
