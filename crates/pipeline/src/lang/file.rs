//! Which language a file is written in.

use tasuki_model::plan::Language;

/// The language of a configuration file by its path: `.circleci/*.yml`, `.github/workflows/*.yml` (or that
/// folder), `*.gitlab-ci.yml`.
#[must_use]
pub fn of_file(path: &str) -> Option<Language> {
    if path.trim_end_matches('/').ends_with(super::github::FOLDER) {
        return Some(Language::Github);
    }
    let mut parts = path.rsplit('/');
    let name = parts.next()?;
    let folders = (parts.next(), parts.next());
    let yaml = name.ends_with(".yml") || name.ends_with(".yaml");
    match folders {
        (Some("workflows"), Some(".github")) if yaml => Some(Language::Github),
        (Some(".circleci"), _) if yaml => Some(Language::Circleci),
        _ if name.ends_with(".gitlab-ci.yml") || name.ends_with(".gitlab-ci.yaml") => Some(Language::Gitlab),
        _ => None,
    }
}
