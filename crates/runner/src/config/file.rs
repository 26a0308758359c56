//! The file itself: read, changed, written at once or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use toml::value::Datetime;
use toml::{Table, Value};

use super::document::{Document, decoded};
use super::lint::label_fault;
use super::schema::Unknown;
use super::{Config, Error, Place, Problem};

/// The process's environment, read once by the binary.
#[derive(Debug, Clone, Default)]
pub struct Environment(pub BTreeMap<String, String>);

impl Environment {
    /// The value of a variable that is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// `$NAME` and `${NAME}` replaced; unknown names become empty.
    #[must_use]
    pub fn expand(&self, text: &str) -> String {
        crate::job::expand(text, |name| self.0.get(name).cloned().unwrap_or_default())
    }
}

/// A `config.toml` in memory.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    path: PathBuf,
    /// As it was read; the table may have been changed since.
    text: String,
    table: Table,
    unknown: Vec<Unknown>,
    modified: Option<SystemTime>,
}

impl ConfigFile {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read or is not TOML.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let read = |source| Error::Read {
            path: path.to_owned(),
            source,
        };
        let text = fs::read_to_string(path).map_err(read)?;
        let modified = fs::metadata(path).and_then(|meta| meta.modified()).ok();
        let syntax = |source| Error::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let document = Document::parse(&text).map_err(syntax)?;
        let table = document.table().map_err(syntax)?;
        let unknown = document.unknown().to_vec();
        Ok(Self {
            path: path.to_owned(),
            text,
            table,
            unknown,
            modified,
        })
    }

    /// Reads the file, or begins an empty one where there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read or is not TOML.
    pub fn load_or_new(path: &Path) -> Result<Self, Error> {
        match Self::load(path) {
            Err(Error::Read { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(Self {
                path: path.to_owned(),
                text: String::new(),
                table: Table::from_iter([
                    ("concurrent".to_owned(), Value::Integer(1)),
                    ("check_interval".to_owned(), Value::Integer(0)),
                    ("shutdown_timeout".to_owned(), Value::Integer(0)),
                ]),
                unknown: Vec::new(),
                modified: None,
            }),
            other => other,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keys that nothing reads.
    #[must_use]
    pub fn unknown(&self) -> &[Unknown] {
        &self.unknown
    }

    /// Whether the file on disk is another than the one that was read.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        fs::metadata(&self.path).and_then(|meta| meta.modified()).ok() != self.modified
    }

    /// The typed view, with the environment expanded in `url` and `token`.
    ///
    /// # Errors
    /// When a key has a value of the wrong type, `concurrent` is 0, or a label is not one.
    pub fn config(&self, environment: &Environment) -> Result<Config, Error> {
        let bad = |place: Option<Place>, message: String| Error::Value {
            path: self.path.clone(),
            place,
            message,
        };
        let mut config = decoded::<Config>(&self.table).map_err(|error| {
            let placed = Document::parse(&self.text).map(|document| document.typed().1);
            match placed.unwrap_or_default().into_iter().next() {
                Some(Problem { place, message, .. }) => bad(Some(place), message),
                None => bad(None, error),
            }
        })?;
        if config.concurrent == 0 {
            let message = "concurrent = 0 would run nothing: set it to the number of jobs at a time";
            return Err(bad(None, message.to_owned()));
        }
        if let Some(message) = label_fault(&config) {
            return Err(bad(None, message));
        }
        for runner in &mut config.runners {
            runner.url = environment.expand(&runner.url);
            runner.token = tasuki_model::secret::Secret::new(environment.expand(runner.token.expose()));
        }
        Ok(config)
    }

    /// The `[[runners]]` sections as they stand.
    #[must_use]
    pub fn runner_sections(&self) -> Vec<Table> {
        let sections = self.table.get("runners").and_then(Value::as_array);
        sections
            .into_iter()
            .flatten()
            .filter_map(Value::as_table)
            .cloned()
            .collect()
    }

    /// Adds a `[[runners]]` section.
    pub fn add_runner(&mut self, runner: Table) {
        let runners = self.table.entry("runners").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(runners) = runners {
            runners.push(Value::Table(runner));
        }
    }

    /// Removes the runners for which `gone` says so, given their position. Gives how many there were.
    pub fn remove_runners(&mut self, gone: impl Fn(usize) -> bool) -> usize {
        let Some(Value::Array(runners)) = self.table.get_mut("runners") else {
            return 0;
        };
        let before = runners.len();
        let mut index = 0;
        runners.retain(|_| {
            index += 1;
            !gone(index - 1)
        });
        before - runners.len()
    }

    /// Stores a new token of the runner at `index`.
    ///
    /// # Errors
    /// When there is no such runner.
    pub fn set_token(
        &mut self,
        index: usize,
        token: &str,
        obtained: Datetime,
        expires: Option<Datetime>,
    ) -> Result<(), Error> {
        let runner = match self.table.get_mut("runners") {
            Some(Value::Array(runners)) => runners.get_mut(index).and_then(Value::as_table_mut),
            _ => None,
        };
        let runner = runner.ok_or_else(|| Error::NoSuchRunner {
            path: self.path.clone(),
        })?;
        runner.insert("token".to_owned(), Value::String(token.to_owned()));
        runner.insert("token_obtained_at".to_owned(), Value::Datetime(obtained));
        match expires {
            Some(expires) => runner.insert("token_expires_at".to_owned(), Value::Datetime(expires)),
            None => runner.remove("token_expires_at"),
        };
        Ok(())
    }

    /// Writes the file: mode 0600, in a folder of mode 0700 where it has to be made, durable before the old one goes.
    ///
    /// # Errors
    /// When it cannot be written; the old file is then untouched.
    pub fn save(&mut self) -> Result<(), Error> {
        let text = toml::to_string_pretty(&self.table).map_err(Error::Encode)?;
        let path = self.path.clone();
        write_atomically(&path, text.as_bytes()).map_err(|source| Error::Write {
            path: path.clone(),
            source,
        })?;
        self.modified = fs::metadata(&path).and_then(|meta| meta.modified()).ok();
        Ok(())
    }
}

fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mut file = tempfile::Builder::new().prefix(".config.toml.").tempfile_in(dir)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    fs::File::open(dir)?.sync_all()
}
