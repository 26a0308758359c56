//! What the task fetches, keeps and leaves: dependencies, caches, artifacts and reports.

use tasuki_model::id::TaskId;
use tasuki_model::plan::{self, CacheKey, CachePolicy, UploadWhen};
use tasuki_model::secret::Secret;
use tasuki_proto::gitlab::{ArtifactFormat, ArtifactSpec, ArtifactsFile, Cache, Dependency, When};

/// An archive of an earlier task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamFile {
    pub task: TaskId,
    /// Name of its job.
    pub job: String,
    pub filename: String,
    pub size: i64,
}

/// The downloads are authenticated by the task that makes them: its token ends with it.
pub(super) fn dependencies(files: &[UpstreamFile], token: &Secret) -> Vec<Dependency> {
    files
        .iter()
        .map(|file| Dependency {
            id: file.task.0,
            token: token.clone(),
            name: file.job.clone(),
            artifacts_file: ArtifactsFile {
                filename: file.filename.clone(),
                size: file.size,
            },
        })
        .collect()
}

pub(super) fn caches(job: &plan::Job, protected: bool) -> Vec<Cache> {
    job.caches.iter().map(|cache| one_cache(cache, protected)).collect()
}

fn one_cache(cache: &plan::Cache, protected: bool) -> Cache {
    // A branch that anybody may push to must not write what a protected one reads.
    let apart = |key: &str| match (cache.unprotect, protected) {
        (true, _) => key.to_owned(),
        (false, true) => format!("{key}-protected"),
        (false, false) => format!("{key}-non_protected"),
    };
    let key = match &cache.key {
        CacheKey::Text(text) if text.is_empty() => "default".to_owned(),
        CacheKey::Text(text) => text.clone(),
        CacheKey::Files { prefix, .. } => prefix.as_ref().map_or("default".to_owned(), |p| format!("{p}-default")),
    };
    Cache {
        key: apart(&key),
        untracked: cache.untracked,
        policy: match &cache.policy {
            CachePolicy::PullPush => "pull-push".to_owned(),
            CachePolicy::Pull => "pull".to_owned(),
            CachePolicy::Push => "push".to_owned(),
            CachePolicy::Variable(text) => text.clone(),
        },
        paths: cache.paths.clone(),
        when: when(cache.when),
        fallback_keys: cache.fallback_keys.iter().map(|key| apart(key)).collect(),
    }
}

pub(super) fn artifacts(job: &plan::Job) -> Vec<ArtifactSpec> {
    let Some(artifacts) = &job.artifacts else {
        return Vec::new();
    };
    let expire_in = match artifacts.expire_in_s {
        None => String::new(),
        Some(0) => "never".to_owned(),
        Some(seconds) => format!("{seconds} seconds"),
    };
    let mut all = Vec::new();
    if artifacts.untracked || !artifacts.paths.is_empty() {
        all.push(ArtifactSpec {
            name: artifacts.name.clone().unwrap_or_default(),
            untracked: artifacts.untracked,
            paths: artifacts.paths.clone(),
            exclude: artifacts.exclude.clone(),
            when: when(artifacts.when),
            artifact_type: "archive".to_owned(),
            artifact_format: ArtifactFormat::Zip,
            expire_in: expire_in.clone(),
        });
    }
    all.extend(artifacts.reports.iter().map(|report| {
        let kind = match (report.kind.as_str(), &report.format) {
            ("coverage_report", Some(format)) => format.as_str(),
            (kind, _) => kind,
        };
        let (format, filename) = report_format(kind);
        ArtifactSpec {
            name: filename.to_owned(),
            paths: report.paths.clone(),
            // A report is wanted most when the job failed.
            when: When::Always,
            artifact_type: kind.to_owned(),
            artifact_format: format,
            expire_in: expire_in.clone(),
            ..ArtifactSpec::default()
        }
    }));
    all
}

/// Form and file name of a report, as GitLab has them.
#[must_use]
pub fn report_format(kind: &str) -> (ArtifactFormat, &'static str) {
    use ArtifactFormat::{Gzip, Raw, Zip};
    match kind {
        "archive" => (Zip, "artifacts.zip"),
        "junit" => (Gzip, "junit.xml"),
        "dotenv" => (Gzip, ".env"),
        "cobertura" => (Gzip, "cobertura-coverage.xml"),
        "jacoco" => (Gzip, "jacoco-coverage.xml"),
        "metrics" => (Gzip, "metrics.txt"),
        "cyclonedx" => (Gzip, "gl-sbom.cdx.json"),
        "annotations" => (Gzip, "gl-annotations.json"),
        "repository_xray" => (Gzip, "gl-repository-xray.json"),
        "codequality" => (Raw, "gl-code-quality-report.json"),
        "sast" => (Raw, "gl-sast-report.json"),
        "secret_detection" => (Raw, "gl-secret-detection-report.json"),
        "dependency_scanning" => (Raw, "gl-dependency-scanning-report.json"),
        "container_scanning" => (Raw, "gl-container-scanning-report.json"),
        "cluster_image_scanning" => (Raw, "gl-cluster-image-scanning-report.json"),
        "dast" => (Raw, "gl-dast-report.json"),
        "license_scanning" => (Raw, "gl-license-scanning-report.json"),
        "coverage_fuzzing" => (Raw, "gl-coverage-fuzzing.json"),
        "api_fuzzing" => (Raw, "gl-api-fuzzing-report.json"),
        "accessibility" => (Raw, "gl-accessibility.json"),
        "performance" | "browser_performance" => (Raw, "browser-performance.json"),
        "load_performance" => (Raw, "load-performance.json"),
        "terraform" => (Raw, "tfplan.json"),
        "requirements" | "requirements_v2" => (Raw, "requirements.json"),
        _ => (Gzip, "report"),
    }
}

fn when(when: UploadWhen) -> When {
    match when {
        UploadWhen::OnSuccess => When::OnSuccess,
        UploadWhen::OnFailure => When::OnFailure,
        UploadWhen::Always => When::Always,
    }
}
