//! Prometheus' text form.

use std::fmt::{self, Write as _};

use super::registry::{DURATIONS, Metrics};

impl Metrics {
    /// All figures as `text/plain; version=0.0.4`.
    #[must_use]
    pub fn text(&self, system_id: &str) -> String {
        let mut out = String::new();
        // Writing into a string cannot fail.
        let _ = self.write(&mut out, system_id);
        out
    }

    /// Running jobs, one a line, in the form of gitlab-runner's `/debug/jobs/list`.
    #[must_use]
    pub fn job_list(&self) -> String {
        let figures = self.lock();
        let line = |(url, began): &(String, std::time::Instant)| {
            let duration = crate::config::show_duration(std::time::Duration::from_secs(began.elapsed().as_secs()));
            format!("url={url} state=running stage= executor_stage= duration={duration}\n")
        };
        figures.running.values().map(line).collect()
    }

    fn write(&self, out: &mut String, system_id: &str) -> fmt::Result {
        let figures = self.lock();
        head(out, "concurrent", "gauge", "The value of concurrent setting")?;
        writeln!(out, "gitlab_runner_concurrent {}", figures.concurrent)?;
        head(out, "limit", "gauge", "The value of limit of the runner")?;
        for (token, name, limit) in &figures.limits {
            writeln!(
                out,
                "gitlab_runner_limit{{runner=\"{}\",runner_name=\"{}\",system_id=\"{}\"}} {limit}",
                escape(token),
                escape(name),
                escape(system_id)
            )?;
        }
        head(out, "jobs", "gauge", "Jobs that run now")?;
        writeln!(out, "gitlab_runner_jobs{{state=\"running\"}} {}", figures.running.len())?;
        head(out, "jobs_total", "counter", "Jobs that were begun")?;
        writeln!(out, "gitlab_runner_jobs_total {}", figures.jobs)?;
        head(out, "failed_jobs_total", "counter", "Jobs that failed, by reason")?;
        for (reason, count) in &figures.failed {
            writeln!(
                out,
                "gitlab_runner_failed_jobs_total{{failure_reason=\"{reason}\"}} {count}"
            )?;
        }
        head(out, "job_duration_seconds", "histogram", "How long jobs took")?;
        for (bucket, bound) in figures.duration_buckets.iter().zip(DURATIONS) {
            writeln!(
                out,
                "gitlab_runner_job_duration_seconds_bucket{{le=\"{bound}\"}} {bucket}"
            )?;
        }
        writeln!(
            out,
            "gitlab_runner_job_duration_seconds_bucket{{le=\"+Inf\"}} {}",
            figures.duration_count
        )?;
        writeln!(out, "gitlab_runner_job_duration_seconds_sum {}", figures.duration_sum)?;
        writeln!(
            out,
            "gitlab_runner_job_duration_seconds_count {}",
            figures.duration_count
        )?;
        head(
            out,
            "api_request_statuses_total",
            "counter",
            "Calls of the server's API, by result",
        )?;
        for ((endpoint, status, method), count) in &figures.statuses {
            let labels = format!("endpoint=\"{endpoint}\",status=\"{status}\",method=\"{method}\"");
            writeln!(out, "gitlab_runner_api_request_statuses_total{{{labels}}} {count}")?;
        }
        head(
            out,
            "api_request_retries_total",
            "counter",
            "Repeated calls of the server's API",
        )?;
        for ((path, method), count) in &figures.retries {
            writeln!(
                out,
                "gitlab_runner_api_request_retries_total{{path=\"{path}\",method=\"{method}\"}} {count}"
            )?;
        }
        head(
            out,
            "configuration_loaded_total",
            "counter",
            "How often the settings were taken over",
        )?;
        writeln!(
            out,
            "gitlab_runner_configuration_loaded_total {}",
            figures.configurations
        )?;
        head(out, "version_info", "gauge", "This program")?;
        let version = env!("CARGO_PKG_VERSION");
        writeln!(
            out,
            "gitlab_runner_version_info{{name=\"tasuki\",version=\"{version}\"}} 1"
        )
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(
        out,
        "# HELP gitlab_runner_{name} {help}\n# TYPE gitlab_runner_{name} {kind}"
    )
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn figures_are_counted_and_written() {
        let metrics = Arc::new(Metrics::default());
        let running = metrics.job_begins("http://x/jobs/1");
        assert!(
            metrics
                .text("s_1")
                .contains("gitlab_runner_jobs{state=\"running\"} 1\n")
        );
        assert!(metrics.job_list().starts_with("url=http://x/jobs/1 state=running"));
        drop(running);
        let text = metrics.text("s_1");
        assert!(
            text.contains("gitlab_runner_jobs{state=\"running\"} 0\n") && text.contains("jobs_total 1\n"),
            "{text}"
        );
    }
}
