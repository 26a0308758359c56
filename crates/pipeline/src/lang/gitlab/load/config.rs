//! The merged configuration.

use crate::yaml::{Map, Node, Schema, Span, Text};

/// How GitLab types scalars. Use it wherever a [`Node`] of a [`Config`] is read.
pub const SCHEMA: Schema = Schema::Yaml11;

/// Keys at the top of a configuration that are not jobs.
pub const GLOBAL_KEYS: &[&str] = &[
    "default",
    "include",
    "before_script",
    "image",
    "services",
    "after_script",
    "variables",
    "stages",
    "cache",
    "workflow",
];

/// Bases of a job that are looked at for a trail: more are an error already.
const MOST_BASES: usize = 50;

/// A configuration with everything merged that refers to something else: includes are in, `extends` and
/// `!reference` are resolved, inputs are interpolated.
#[derive(Debug)]
pub struct Config {
    /// Global keywords and jobs in order. `include` is gone; hidden jobs are still there.
    pub root: Map,
    /// Where the whole is reported.
    pub span: Span,
    /// Names of all stages in order: `.pre` first, `.post` last.
    pub stages: Vec<Text>,
}

/// A visible job.
#[derive(Debug, Clone, Copy)]
pub struct RawJob<'a> {
    /// Name as written; knows its place.
    pub name: &'a Node,
    pub body: &'a Node,
}

impl Config {
    /// A global keyword.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.root.get(key).filter(|node| !is_job(key, node))
    }

    /// The visible jobs in order of their first mention.
    pub fn jobs(&self) -> impl Iterator<Item = RawJob<'_>> {
        self.root.iter().filter_map(|(name, body)| {
            let text = name.text()?;
            (is_job(text, body) && !text.starts_with('.')).then_some(RawJob { name, body })
        })
    }

    /// The names that a job extends, directly and not.
    fn bases(&self, job: &str) -> Vec<Text> {
        let mut bases: Vec<Text> = Vec::new();
        let mut next = 0;
        let mut from = Some(job.to_owned());
        while let Some(name) = from.filter(|_| next < MOST_BASES) {
            let extends = self.root.get(&name).and_then(|body| body.get("extends"));
            let names = extends.map_or(&[][..], |node| {
                node.as_seq().map_or(std::slice::from_ref(node), |seq| seq)
            });
            for base in names.iter().filter_map(Node::text) {
                if !bases.contains(base) {
                    bases.push(base.clone());
                }
            }
            from = bases.get(next).map(|name| name.to_string());
            next += 1;
        }
        bases
    }

    /// How a job came to its keys: "extends `.base`", for the trail of diagnostics whose span is outside the job.
    #[must_use]
    pub fn trail(&self, job: &str, span: Span) -> Vec<String> {
        let bases = self.bases(job);
        let holds = |base: &&Text| {
            let entry = self.root.entry(base);
            entry.is_some_and(|(key, _)| key.span.file == span.file && key.span.line <= span.line)
        };
        // The base that starts nearest above the span is the one that holds it.
        let at = |base: &&Text| self.root.entry(base).map_or(0, |(key, _)| key.span.line);
        let nearest = bases.iter().filter(holds).max_by_key(at);
        let own = self.root.entry(job).is_some_and(|(key, _)| {
            key.span.file == span.file
                && key.span.line <= span.line
                && nearest.is_none_or(|base| at(&base) <= key.span.line)
        });
        match nearest {
            Some(base) if !own => vec![format!("job `{job}` extends `{base}`")],
            Some(_) | None => Vec::new(),
        }
    }
}

/// `default` and `workflow` are jobs where they look like one.
fn is_job(key: &str, body: &Node) -> bool {
    match key {
        "default" | "workflow" => ["script", "run", "trigger", "needs"]
            .iter()
            .any(|sign| body.get(sign).is_some()),
        _ => !GLOBAL_KEYS.contains(&key),
    }
}
