//! One file or folder as an artifact, or as test results.

use std::path::Path;

use super::artifacts;
use super::error::Result;
use super::{Compression, Context, Format, Report, Selection, StorePath, StoredAs, UploadArtifacts};

/// Uploads what is at the path. Nothing there is no failure: it is said, and the report is `skipped`.
pub(super) fn store(request: &StorePath, context: &Context) -> Result<Report> {
    let Ok(found) = std::fs::metadata(&request.path) else {
        context.say(&format!("WARNING: there is nothing at {}", request.path.display()));
        return Ok(Report {
            skipped: true,
            ..Report::default()
        });
    };
    let parent = request.path.parent().unwrap_or(Path::new("/"));
    let own = request.path.file_name().map(|name| name.to_string_lossy().into_owned());
    let upload = |project: &Path, paths: Vec<String>, name: String, format: Format, kind: &str| UploadArtifacts {
        project: project.to_owned(),
        coordinator: request.coordinator.clone(),
        task_id: request.task_id,
        token: request.token.clone(),
        selection: Selection {
            paths,
            ..Selection::default()
        },
        name,
        format,
        compression: Compression::Default,
        artifact_type: kind.to_owned(),
        expire_in: String::new(),
    };
    let inner = if found.is_dir() { request.path.as_path() } else { parent };
    let name = request.name.replace('/', "-");
    let upload = match (request.stored_as, own.filter(|_| found.is_file())) {
        (StoredAs::Artifact, Some(file)) => upload(inner, vec![glob_literal(&file)], name, Format::Raw, "file"),
        (StoredAs::Artifact, None) => upload(inner, vec![".".to_owned()], name, Format::Zip, "archive"),
        (StoredAs::TestResults, Some(file)) => upload(inner, vec![glob_literal(&file)], name, Format::Gzip, "junit"),
        (StoredAs::TestResults, None) => upload(inner, vec!["**/*.xml".to_owned()], name, Format::Gzip, "junit"),
    };
    artifacts::upload(&upload, context)
}

/// A file's name is no pattern.
fn glob_literal(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
