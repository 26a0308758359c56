//! Finding configurations in folders, and answering the compiler from there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tasuki_model::plan::Language;
use tasuki_pipeline::Context;
use tasuki_pipeline::diag::Excerpts;
use tasuki_server::git::{Git, Worktree, top_level};
use tasuki_server::triggers::answer::{Answerer, InFolder, Reach, Remote, Source};

use crate::config::orbs;
use crate::exit::{Mark as _, wrong_usage};
use crate::print;

/// Names of the languages on command lines.
pub(super) fn language(name: &str) -> Result<Language, String> {
    [Language::Gitlab, Language::Circleci, Language::Github]
        .into_iter()
        .find(|language| language.as_str() == name)
        .ok_or_else(|| "gitlab, circleci and github are the languages".to_owned())
}

/// The language of a file by its name.
pub(super) fn language_of(path: &Path) -> Option<Language> {
    tasuki_pipeline::lang::of_file(path.to_str()?)
}

/// The configurations that a folder has at their usual places.
pub(super) fn usual(root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = [".gitlab-ci.yml", ".circleci/config.yml"]
        .iter()
        .map(|name| root.join(name))
        .filter(|p| p.is_file())
        .collect();
    let workflows = std::fs::read_dir(root.join(".github/workflows"))
        .into_iter()
        .flatten()
        .flatten();
    let mut workflows: Vec<_> = workflows
        .map(|entry| entry.path())
        .filter(|p| language_of(p).is_some())
        .collect();
    workflows.sort();
    found.append(&mut workflows);
    found
}

/// A configuration file that was read, and the folder that its includes are relative to.
pub(super) struct Config {
    /// As shown to people: relative to `root` where it lies below it.
    pub(super) name: String,
    pub(super) text: String,
    pub(super) language: Language,
    pub(super) root: PathBuf,
}

impl Config {
    /// Reads a file. Its language is `given`, or told by its name.
    ///
    /// # Errors
    /// The file cannot be read, or its language is not known.
    pub(super) fn read(path: &Path, given: Option<Language>) -> anyhow::Result<Self> {
        let full = std::path::absolute(path)?;
        let language = given.or_else(|| language_of(&full)).ok_or_else(|| {
            wrong_usage(format!(
                "the name {} does not tell the language: say it with --lang",
                path.display()
            ))
        })?;
        let text = std::fs::read(&full)
            .with_context(|| format!("cannot read {}", path.display()))
            .usage()?;
        let text = String::from_utf8(text)
            .with_context(|| format!("{} is not UTF-8 text", path.display()))
            .usage()?;
        let folder = full.parent().unwrap_or(Path::new("/")).to_owned();
        let root = top_level(&folder).unwrap_or(folder);
        let full = full.canonicalize().unwrap_or(full);
        let name = full
            .strip_prefix(&root)
            .map_or_else(|_| path.to_owned(), Path::to_owned);
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            text,
            language,
            root,
        })
    }

    /// The configurations of a folder at their usual places, one for each language in the order GitLab, CircleCI,
    /// GitHub; never empty. Several workflows of GitHub are one configuration.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn find_all(folder: &Path, given: Option<Language>) -> anyhow::Result<Vec<Self>> {
        let root = top_level(folder).unwrap_or_else(|_| folder.to_owned());
        let mut found = usual(&root);
        found.retain(|path| given.is_none_or(|language| language_of(path) == Some(language)));
        if found.is_empty() {
            return Err(anyhow::anyhow!("there is no CI configuration in {}", root.display()))
                .usage()
                .hint("create .gitlab-ci.yml, or name a file");
        }
        let (workflows, others): (Vec<_>, Vec<_>) = found
            .iter()
            .partition(|path| language_of(path) == Some(Language::Github));
        let mut all = others
            .into_iter()
            .map(|path| Self::read(path, given))
            .collect::<anyhow::Result<Vec<_>>>()?;
        match workflows.as_slice() {
            [] => {}
            [only] => all.push(Self::read(only, given)?),
            // The workflows of a folder make one pipeline together.
            [..] => all.push(Self {
                name: tasuki_pipeline::lang::github::FOLDER.to_owned(),
                text: String::new(),
                language: Language::Github,
                root,
            }),
        }
        Ok(all)
    }

    /// The first of [`Config::find_all`]; the others are told.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn find(folder: &Path, given: Option<Language>) -> anyhow::Result<Self> {
        let mut all = Self::find_all(folder, given)?;
        let first = all.remove(0);
        if !all.is_empty() {
            let others: Vec<&str> = all.iter().map(|config| config.name.as_str()).collect();
            print::note(&format!(
                "this is {}; choose with --lang, or name a file: there is also {}",
                first.name,
                others.join(" and ")
            ));
        }
        Ok(first)
    }

    /// Answers from the folder for what is compiled in `context`. `worktree` where it is a repository and more than files may be asked for.
    pub(super) fn answerer(
        &self,
        context: &Context,
        git: Option<(Git, Worktree)>,
        changed: Option<Vec<String>>,
    ) -> Answerer {
        let (git, worktree) = git.unzip();
        let url = &context.server.url;
        let host = url.split_once("://").map_or(url.as_str(), |(_, host)| host);
        Answerer {
            address: format!("{host}/{}", context.project.path),
            source: Source::Folder(InFolder {
                root: self.root.clone(),
                git,
                worktree,
                changed,
            }),
            projects: None,
            remote: Remote::new(Reach::Anywhere),
            templates: None,
            orbs: orbs(),
            parent: None,
        }
    }
}

/// Git for reading the user's own repository; its settings lie in `home`, which the caller keeps.
pub(super) async fn worktree(home: &Path, root: &Path) -> anyhow::Result<Option<(Git, Worktree)>> {
    if !root.join(".git").exists() {
        return Ok(None);
    }
    let git = Git::prepare(home)?;
    let worktree = Worktree::read(&git, root).await?;
    Ok(Some((git, worktree)))
}

/// Lines of files for the quotes below diagnostics.
#[derive(Default)]
pub(super) struct Lines(HashMap<String, Vec<String>>);

impl Lines {
    pub(super) fn add(&mut self, name: &str, text: &str) {
        self.0
            .insert(name.to_owned(), text.lines().map(str::to_owned).collect());
    }

    /// Files that diagnostics name and that lie in the folder.
    pub(super) fn add_from<'a>(&mut self, root: &Path, names: impl Iterator<Item = &'a str>) {
        for name in names {
            if !self.0.contains_key(name)
                && !name.contains("://")
                && let Ok(text) = std::fs::read_to_string(root.join(name.trim_start_matches('/')))
            {
                self.add(name, &text);
            }
        }
    }
}

impl Excerpts for Lines {
    fn line(&self, file: &str, line: u32) -> Option<&str> {
        let lines = self.0.get(file)?;
        lines.get((line as usize).checked_sub(1)?).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_language() {
        for (path, expected) in [
            ("/p/.gitlab-ci.yml", Some(Language::Gitlab)),
            ("/p/ci/deploy.gitlab-ci.yml", Some(Language::Gitlab)),
            ("/p/.circleci/config.yml", Some(Language::Circleci)),
            ("/p/.github/workflows/ci.yaml", Some(Language::Github)),
            ("/p/.github/dependabot.yml", None),
            ("/p/config.yml", None),
            ("/p/.github/workflows/readme.md", None),
        ] {
            assert_eq!(language_of(Path::new(path)), expected, "{path}");
        }
    }
}
