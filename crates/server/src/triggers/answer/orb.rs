//! Orbs from a folder: `namespace/name/version.yml`.

use std::path::Path;

use tasuki_pipeline::{Answer, FileAnswer, Refusal};

use super::{folder, unsupported};

/// The source of an orb: of several versions that match the newest. `dev:tag` is the file `dev-tag.yml`.
pub(super) fn find(root: &Path, name: &str, version: &str) -> Answer {
    let Some(home) = folder::inside(root, name) else {
        return Answer::Refused(Refusal::NotFound);
    };
    let file = match version.strip_prefix("dev:") {
        Some(tag) => format!("dev-{tag}"),
        None => match newest(&home, version) {
            Some(found) => found,
            None => return Answer::Refused(Refusal::NotFound),
        },
    };
    let Some(path) = folder::inside(&home, &format!("{file}.yml")) else {
        return Answer::Refused(Refusal::NotFound);
    };
    match folder::read(&path) {
        Answer::File(found) => Answer::File(FileAnswer {
            path: Some(format!("{name}@{file}")),
            ..found
        }),
        other => other,
    }
}

/// What an orb's reference is resolved against where there is no folder.
pub(super) fn nowhere() -> Answer {
    unsupported("there is no folder of orbs: name one with TASUKI_CIRCLECI_ORBS")
}

/// The newest version that begins with the numbers of `wanted`; `volatile` is any.
fn newest(home: &Path, wanted: &str) -> Option<String> {
    let wanted = if wanted == "volatile" {
        Vec::new()
    } else {
        numbers(wanted)?
    };
    let entries = std::fs::read_dir(home).ok()?.flatten();
    let versions = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let version = name.strip_suffix(".yml")?.to_owned();
        Some((numbers(&version)?, version))
    });
    let matching = versions.filter(|(numbers, _)| numbers.len() == 3 && numbers.starts_with(&wanted));
    matching.max().map(|(_, version)| version)
}

fn numbers(version: &str) -> Option<Vec<u64>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_that_matches_is_read() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("ns/orb");
        std::fs::create_dir_all(&home).unwrap();
        for file in [
            "1.2.3.yml",
            "1.10.0.yml",
            "1.2.10.yml",
            "2.0.0.yml",
            "dev-x.yml",
            "README.md",
            "3.yml",
        ] {
            std::fs::write(home.join(file), file).unwrap();
        }
        let check = |version: &str, expected: Option<&str>| {
            let found = match find(root.path(), "ns/orb", version) {
                Answer::File(file) => Some(file.text.to_string()),
                _ => None,
            };
            assert_eq!(found.as_deref(), expected, "{version}");
        };
        check("1.2.3", Some("1.2.3.yml"));
        check("1.2", Some("1.2.10.yml"));
        check("1", Some("1.10.0.yml"));
        check("volatile", Some("2.0.0.yml"));
        check("dev:x", Some("dev-x.yml"));
        check("9", None);
        check("1.2.4", None);
        check("dev:../x", None);
        assert!(matches!(
            find(root.path(), "../orb", "1"),
            Answer::Refused(Refusal::NotFound)
        ));
    }
}
