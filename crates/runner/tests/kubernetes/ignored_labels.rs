//! What is said of labels that cannot be set.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

use super::golden::case;

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<(Level, String)>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}

impl Subscriber for Kept {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0
            .lock()
            .expect("no panic")
            .push((*event.metadata().level(), line.0));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Covers: GK-LBL-10
#[test]
fn labels_of_the_runners_own_are_ignored_with_a_debug_line() {
    let section = "pod_labels_overwrite_allowed = \".*\"\n[runners.kubernetes.pod_labels]\n\"project.runner.gitlab.com/id\" = \"1\"\n";
    let case = case("own labels", section).variables(json!({
        "KUBERNETES_POD_LABELS_1": "new.runner.gitlab.com/x=other", "KUBERNETES_POD_LABELS_2": "team=a",
    }));
    let kept = Kept::default();
    let planned = tracing::subscriber::with_default(kept.clone(), || case.planned());
    let labels = planned
        .unwrap_or_else(|error| panic!("{error}"))
        .pod
        .metadata
        .labels
        .expect("has some");
    assert_eq!(
        labels.get("project.runner.gitlab.com/id").map(String::as_str),
        Some("7")
    );
    assert_eq!(labels.get("team").map(String::as_str), Some("a"));
    assert!(!labels.contains_key("new.runner.gitlab.com/x"));
    let lines = kept.0.lock().expect("no panic");
    for label in ["project.runner.gitlab.com/id", "new.runner.gitlab.com/x"] {
        let said = lines
            .iter()
            .filter(|(level, line)| *level == Level::DEBUG && line.contains(label));
        assert_eq!(said.count(), 1, "{label}: {lines:?}");
    }
    assert!(!lines.iter().any(|(_, line)| line.contains("team")), "{lines:?}");
}
