//! The variables of a job: the last of a name wins.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tasuki_proto::gitlab::JobVariable;

use super::expand::expand;

/// Variables in order of precedence, and where those of kind file are written to.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    list: Vec<JobVariable>,
    /// Position of the last of each name.
    index: HashMap<String, usize>,
    /// Folder of file variables, once it is known.
    files: PathBuf,
}

impl Variables {
    /// Adds a variable that wins over earlier ones of its name.
    pub fn push(&mut self, variable: JobVariable) {
        self.index.insert(variable.key.clone(), self.list.len());
        self.list.push(variable);
    }

    /// Adds one of the runner's own.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.push(JobVariable::public(key, value));
    }

    /// Where file variables lie.
    pub fn set_files(&mut self, dir: &Path) {
        dir.clone_into(&mut self.files);
    }

    /// The variable of that name as given.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&JobVariable> {
        self.index.get(key).map(|at| &self.list[*at])
    }

    /// Its value as a job sees it: expanded once, a path for files; empty where there is none.
    #[must_use]
    pub fn value(&self, key: &str) -> String {
        self.get(key).map(|variable| self.seen(variable)).unwrap_or_default()
    }

    /// Its value as a truth: `1`, `t`, `true` in any case.
    #[must_use]
    pub fn is_true(&self, key: &str) -> bool {
        truth(&self.value(key)).unwrap_or(false)
    }

    /// `text` with variables put in, once.
    #[must_use]
    pub fn expand(&self, text: &str) -> String {
        expand(text, |name| match self.get(name) {
            Some(variable) if variable.file => self.file(name).display().to_string(),
            Some(variable) => variable.value.clone(),
            None => String::new(),
        })
    }

    /// What is exported to programs: each name once.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        self.each()
            .map(|variable| (variable.key.clone(), self.seen(variable)))
            .collect()
    }

    /// Those that everybody may see.
    #[must_use]
    pub fn public_environment(&self) -> Vec<(String, String)> {
        self.each()
            .filter(|variable| variable.public && !variable.masked && !variable.file)
            .map(|variable| (variable.key.clone(), self.seen(variable)))
            .collect()
    }

    /// File variables: path and content (expanded unless raw).
    #[must_use]
    pub fn file_contents(&self) -> Vec<(PathBuf, String)> {
        self.each()
            .filter(|variable| variable.file)
            .map(|variable| (self.file(&variable.key), self.text(variable)))
            .collect()
    }

    /// File variables: name and content.
    #[must_use]
    pub fn files(&self) -> Vec<(String, String)> {
        let files = self.each().filter(|variable| variable.file);
        files
            .map(|variable| (variable.key.clone(), self.text(variable)))
            .collect()
    }

    /// Values to mask, as given and as expanded.
    pub fn secrets(&self) -> impl Iterator<Item = String> {
        self.list
            .iter()
            .filter(|variable| variable.masked)
            .flat_map(|variable| {
                let expanded = self.text(variable);
                [variable.value.clone(), expanded]
            })
    }

    /// The last of each name, in order.
    fn each(&self) -> impl Iterator<Item = &JobVariable> {
        let last = |(at, variable): &(usize, &JobVariable)| self.index.get(&variable.key) == Some(at);
        self.list.iter().enumerate().filter(last).map(|(_, variable)| variable)
    }

    fn seen(&self, variable: &JobVariable) -> String {
        if variable.file {
            self.file(&variable.key).display().to_string()
        } else {
            self.text(variable)
        }
    }

    fn text(&self, variable: &JobVariable) -> String {
        if variable.raw {
            variable.value.clone()
        } else {
            self.expand(&variable.value)
        }
    }

    /// A name that is no file name stays inside the folder.
    fn file(&self, key: &str) -> PathBuf {
        let safe: String = key
            .chars()
            .map(|c| if c == '/' || c == '\0' { '_' } else { c })
            .collect();
        self.files.join(if safe == ".." || safe == "." { "_" } else { &safe })
    }
}

/// Go's spelling of truth.
#[must_use]
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(key: &str, value: &str) -> JobVariable {
        JobVariable::public(key, value)
    }

    #[test]
    fn the_last_wins_and_is_expanded_once() {
        let mut all = Variables::default();
        all.set_files(Path::new("/tmp/x"));
        all.push(variable("A", "old"));
        all.push(variable("B", "$A/$C"));
        all.push(variable("A", "new"));
        all.push(JobVariable {
            raw: true,
            ..variable("C", "$A")
        });
        all.push(JobVariable {
            file: true,
            ..variable("F", "content of $A")
        });
        all.push(variable("G", "see $F"));
        let expected = [
            ("B", "new/$A"),
            ("A", "new"),
            ("C", "$A"),
            ("F", "/tmp/x/F"),
            ("G", "see /tmp/x/F"),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        assert_eq!(all.environment(), expected);
        assert_eq!(
            all.file_contents(),
            [(PathBuf::from("/tmp/x/F"), "content of new".to_owned())]
        );
    }

    #[test]
    fn a_file_variable_cannot_leave_its_folder() {
        let mut all = Variables::default();
        all.set_files(Path::new("/tmp/x"));
        for key in ["../../etc/passwd", ".."] {
            all.push(JobVariable {
                file: true,
                ..variable(key, "")
            });
        }
        for (path, _) in all.file_contents() {
            assert_eq!(path.parent(), Some(Path::new("/tmp/x")), "{}", path.display());
        }
    }
}
