//! Prometheus' text form.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use super::process;
use super::registry::{Figures, Metrics, Runs};

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
        let line = |runs: &Runs| {
            let duration = crate::config::show_duration(Duration::from_secs(runs.began.elapsed().as_secs()));
            let (url, stage) = (&runs.url, runs.progress.stage());
            format!("url={url} state=running stage={stage} executor_stage= duration={duration}\n")
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
        head(
            out,
            "pause_pods",
            "gauge",
            "Pods that hold room for jobs to come: how many there should be, and how many run",
        )?;
        for (token, name, held) in figures.holders.held() {
            let labels = format!("runner=\"{}\",runner_name=\"{}\"", escape(token), escape(name));
            for (state, number) in [("wanted", held.wanted), ("ready", held.ready)] {
                writeln!(out, "gitlab_runner_pause_pods{{{labels},state=\"{state}\"}} {number}")?;
            }
        }
        head(out, "jobs", "gauge", "Jobs that run now, by stage")?;
        let mut stages: BTreeMap<String, u64> = BTreeMap::new();
        for runs in figures.running.values() {
            *stages.entry(runs.progress.stage()).or_default() += 1;
        }
        if stages.is_empty() {
            stages.insert(String::new(), 0);
        }
        for (stage, count) in &stages {
            let labels = format!("state=\"running\",stage=\"{}\",executor_stage=\"\"", escape(stage));
            writeln!(out, "gitlab_runner_jobs{{{labels}}} {count}")?;
        }
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
        figures.durations.write(out, "job_duration_seconds", "")?;
        let help = "How long jobs waited in the server's queue";
        head(out, "job_queue_duration_seconds", "histogram", help)?;
        for (running, histogram) in &figures.queue {
            let labels = format!("project_jobs_running=\"{}\"", escape(running));
            histogram.write(out, "job_queue_duration_seconds", &labels)?;
        }
        write_calls(out, &figures)?;
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
        let help = "How often the settings could not be read";
        head(out, "configuration_loading_error_total", "counter", help)?;
        let broken = figures.broken_configurations;
        writeln!(out, "gitlab_runner_configuration_loading_error_total {broken}")?;
        head(out, "worker_slots_number", "gauge", "Jobs that may run at a time")?;
        writeln!(out, "gitlab_runner_worker_slots_number {}", figures.concurrent)?;
        head(out, "version_info", "gauge", "This program")?;
        let version = env!("CARGO_PKG_VERSION");
        writeln!(
            out,
            "gitlab_runner_version_info{{name=\"tasuki\",version=\"{version}\"}} 1"
        )?;
        process::write(out)
    }
}

fn write_calls(out: &mut String, figures: &Figures) -> fmt::Result {
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
    let help = "How long calls of the server's API took, held requests for work included";
    head(out, "api_request_duration_seconds", "histogram", help)?;
    for ((endpoint, class, method), histogram) in &figures.calls {
        let labels = format!("endpoint=\"{endpoint}\",status_class=\"{class}\",method=\"{method}\"");
        histogram.write(out, "api_request_duration_seconds", &labels)?;
    }
    Ok(())
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

    use tasuki_proto::client::{Call, Observer as _};

    use super::*;
    use crate::executor::{Error, Executor, Held, Output, Result, Sandbox, Stop, Swept, Task};
    use crate::job::Progress;

    /// Holds room, and does nothing else.
    struct Holder;

    #[async_trait::async_trait]
    impl Executor for Holder {
        fn kind(&self) -> &'static str {
            "holder"
        }
        async fn prepare(&self, _: Task, _: Stop, _: Arc<dyn Output>) -> Result<Box<dyn Sandbox>> {
            Err(Error::Stopped)
        }
        async fn sweep(&self) -> Result<Swept> {
            Ok(Swept::default())
        }
        fn held(&self) -> Option<Held> {
            Some(Held { wanted: 3, ready: 2 })
        }
    }

    #[test]
    fn room_is_shown_as_long_as_it_is_held() {
        let metrics = Metrics::default();
        let executor: Arc<dyn Executor> = Arc::new(Holder);
        metrics.works_with("short", "a \"name\"", &executor);
        let labels = "gitlab_runner_pause_pods{runner=\"short\",runner_name=\"a \\\"name\\\"\",state=";
        let text = metrics.text("s");
        for wanted in [format!("{labels}\"wanted\"}} 3\n"), format!("{labels}\"ready\"}} 2\n")] {
            assert!(text.contains(&wanted), "{wanted} in {text}");
        }
        drop(executor);
        assert!(!metrics.text("s").contains("gitlab_runner_pause_pods{"));
    }

    #[test]
    fn figures_are_counted_and_written() {
        let metrics = Arc::new(Metrics::default());
        let progress = Progress::default();
        let running = metrics.job_begins("http://x/jobs/1", progress.clone());
        progress.enter("get_sources");
        let words = "gitlab_runner_jobs{state=\"running\",stage=\"get_sources\",executor_stage=\"\"} 1\n";
        assert!(metrics.text("s_1").contains(words), "{}", metrics.text("s_1"));
        let listed = metrics.job_list();
        assert!(
            listed.starts_with("url=http://x/jobs/1 state=running stage=get_sources "),
            "{listed}"
        );
        drop(running);
        metrics.queued(2.0, "50+");
        metrics.queued(9.0, "no\"number");
        metrics.misconfigured();
        metrics.call(&Call {
            endpoint: "request_job",
            method: "POST",
            status: 204,
            took: Duration::from_millis(300),
        });
        let text = metrics.text("s_1");
        for line in [
            "gitlab_runner_jobs{state=\"running\",stage=\"\",executor_stage=\"\"} 0",
            "gitlab_runner_jobs_total 1",
            "gitlab_runner_job_queue_duration_seconds_bucket{project_jobs_running=\"50+\",le=\"1\"} 0",
            "gitlab_runner_job_queue_duration_seconds_bucket{project_jobs_running=\"50+\",le=\"3\"} 1",
            "gitlab_runner_job_queue_duration_seconds_count{project_jobs_running=\"\"} 1",
            "gitlab_runner_configuration_loading_error_total 1",
            "gitlab_runner_api_request_statuses_total{endpoint=\"request_job\",status=\"204\",method=\"POST\"} 1",
            "gitlab_runner_api_request_duration_seconds_sum{endpoint=\"request_job\",status_class=\"2xx\",method=\"POST\"} 0.3",
            "gitlab_runner_job_duration_seconds_count 0",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} in {text}");
        }
        let resident = text
            .lines()
            .find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        assert!(resident.unwrap().parse::<f64>().unwrap() > 100_000.0);
        assert!(!text.contains("no\"number"), "{text}");
    }
}
