//! One digest of many files (`hashFiles`).

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use sha2::{Digest as _, Sha256};

use super::error::{Error, Result};
use super::request::DigestFiles;
use super::{Context, Report};

/// A pattern, and whether it takes files out.
struct Pattern {
    excludes: bool,
    matcher: GlobMatcher,
}

/// SHA-256 over the SHA-256 digests of all files that the patterns choose, depth first in the order of names. Of
/// several patterns that match the last one counts; `!` takes files out; a folder stands for all in it. Nothing where no
/// file is chosen.
pub(super) fn digest(request: &DigestFiles, context: &Context) -> Result<Report> {
    let patterns = request
        .patterns
        .iter()
        .flat_map(|text| text.lines())
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| pattern(line, &request.folder))
        .collect::<Result<Vec<_>>>()?;
    let mut whole = Sha256::new();
    let mut report = Report::default();
    let mut open = vec![request.folder.clone()];
    while let Some(path) = open.pop() {
        if context.stop().is_pulled() {
            return Err(Error::Stopped);
        }
        let Ok(kind) = path.symlink_metadata() else { continue };
        if kind.is_dir() {
            let mut inner = children(&path)?;
            inner.sort_unstable_by(|a, b| b.cmp(a));
            open.extend(inner);
            continue;
        }
        // A link to a file counts as the file, one to a folder or to nothing not at all.
        if !path.is_file() || !chosen(&patterns, path.strip_prefix(&request.folder).unwrap_or(&path)) {
            continue;
        }
        let bytes = std::fs::read(&path)
            .map_err(|error| Error::job(format!("the file {} cannot be read: {error}", path.display())))?;
        whole.update(Sha256::digest(&bytes));
        report.files += 1;
        report.bytes += bytes.len() as u64;
    }
    if report.files > 0 {
        report.digest = Some(whole.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
    }
    Ok(report)
}

fn children(folder: &Path) -> Result<Vec<PathBuf>> {
    let wrong = |error: std::io::Error| Error::job(format!("the folder {} cannot be read: {error}", folder.display()));
    let entries = std::fs::read_dir(folder).map_err(wrong)?;
    entries.map(|entry| Ok(entry.map_err(wrong)?.path())).collect()
}

fn chosen(patterns: &[Pattern], path: &Path) -> bool {
    let matches = |pattern: &&Pattern| path.ancestors().any(|part| pattern.matcher.is_match(part));
    patterns.iter().rev().find(matches).is_some_and(|last| !last.excludes)
}

fn pattern(line: &str, folder: &Path) -> Result<Pattern> {
    let (excludes, text) = match line.strip_prefix('!') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, line),
    };
    // An absolute pattern must lie in the folder; others are below it.
    let inside = Path::new(text).strip_prefix(folder).ok().and_then(Path::to_str);
    let text = inside.unwrap_or(text).trim_start_matches("./").trim_end_matches('/');
    let matcher = GlobBuilder::new(if text == "." { "**" } else { text })
        .literal_separator(true)
        .build()
        .map_err(|error| Error::job(format!("hashFiles: {line:?} is no pattern: {error}")))?
        .compile_matcher();
    Ok(Pattern { excludes, matcher })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(patterns: &[&str], expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("a.lock", "a"),
            ("z.txt", "z"),
            ("sub/a.lock", "sub"),
            ("sub/deep/b.lock", "b"),
        ] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let request = DigestFiles {
            folder: folder.path().to_owned(),
            patterns: patterns.iter().map(|&text| text.to_owned()).collect(),
        };
        let report = digest(
            &request,
            &Context::new(Vec::new(), crate::executor::Stop::new(), |_| {}),
        )
        .unwrap();
        let mut whole = Sha256::new();
        expected.iter().for_each(|text| whole.update(Sha256::digest(text)));
        let wanted: String = whole.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(report.digest, (!expected.is_empty()).then_some(wanted), "{patterns:?}");
    }

    #[test]
    fn patterns_choose_files_in_order() {
        check(&["**/*.lock"], &["a", "sub", "b"]);
        check(&["*.lock"], &["a"]);
        check(&["sub"], &["sub", "b"]);
        check(&["**/*.lock", "!sub/**"], &["a"]);
        check(&["**/*.lock", "!sub/**", "sub/deep/b.lock"], &["a", "b"]);
        check(&["z.txt\n# no\n./a.lock"], &["a", "z"]);
        check(&["nothing"], &[]);
        check(&["!a.lock"], &[]);
    }
}
