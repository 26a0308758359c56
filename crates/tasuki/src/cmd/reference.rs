//! `tasuki reference` (hidden): the reference pages of the documentation, made from the program itself.

use std::fmt::Write as _;

use clap::{Args, Command, CommandFactory as _, ValueEnum};
use serde_json::Value;
use tasuki_server::app::App;
use tasuki_server::config::Config;
use tasuki_server::http::error::Code;
use tasuki_server::http::rest::endpoints;

use super::Cli;
use crate::exit::{Exit, Outcome};
use crate::print;
use crate::role::server_runtime;

/// Print a reference page in Markdown.
///
/// Examples:
///   tasuki reference cli
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Reference {
    /// Which page
    #[arg(value_enum)]
    page: Page,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Page {
    Cli,
    Configuration,
    Api,
    Errors,
}

/// First lines of every page.
const MADE: &str = "<!-- Made by `cargo xtask codegen`; changes by hand are lost. -->\n\n";

impl Reference {
    pub(crate) fn run(self) -> Outcome {
        let page = match self.page {
            Page::Cli => cli(),
            Page::Configuration => configuration()?,
            Page::Api => api()?,
            Page::Errors => errors(),
        };
        print::raw(&format!("{MADE}{page}"))?;
        Ok(Exit::Success)
    }
}

fn cli() -> String {
    let mut root = <Cli>::command();
    root.build();
    let mut page = String::from("# Commands\n\n");
    let about = root
        .get_long_about()
        .or(root.get_about())
        .map(ToString::to_string)
        .unwrap_or_default();
    let _ = writeln!(page, "```text\n{}\n```\n", about.trim());
    describe(&root, "tasuki", &mut page);
    page
}

fn describe(command: &Command, path: &str, page: &mut String) {
    for sub in command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
    {
        let path = format!("{path} {}", sub.get_name());
        if sub.has_subcommands() {
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(page, "## {path}\n\n{}\n", plain(&about));
            describe(sub, &path, page);
            continue;
        }
        let depth = if path.matches(' ').count() > 1 { "###" } else { "##" };
        let about = sub
            .get_long_about()
            .or(sub.get_about())
            .map(ToString::to_string)
            .unwrap_or_default();
        let (text, examples) = about.split_once("\nExamples:\n").unwrap_or((&about, ""));
        let _ = writeln!(page, "{depth} {path}\n\n{}\n", plain(text));
        let after = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples: String = examples
            .lines()
            .chain(after.lines())
            .map(|line| format!("{}\n", line.trim_start()))
            .collect();
        if !examples.trim().is_empty() {
            let _ = writeln!(page, "```sh\n{}\n```\n", examples.trim());
        }
        options(sub, page);
    }
}

fn options(command: &Command, page: &mut String) {
    let shown = |arg: &&clap::Arg| {
        !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "log_format" | "log_level" | "debug")
    };
    let mut rows = String::new();
    for arg in command.get_arguments().filter(shown) {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let env = arg
            .get_env()
            .map(|name| format!(" `{}`", name.to_string_lossy()))
            .unwrap_or_default();
        let defaults: Vec<_> = arg
            .get_default_values()
            .iter()
            .map(|value| value.to_string_lossy())
            .collect();
        let has_default = !defaults.is_empty() && arg.get_action().takes_values();
        let default = if has_default {
            format!(" (default `{}`)", defaults.join(" "))
        } else {
            String::new()
        };
        let name = arg.to_string().replace('|', "\\|");
        let _ = writeln!(
            rows,
            "| `{name}` | {}{default} |{env} |",
            help.replace('|', "\\|").replace('\n', " ")
        );
    }
    if !rows.is_empty() {
        let _ = writeln!(page, "| Argument | Meaning | Environment |\n|---|---|---|\n{rows}");
    }
}

/// Paragraphs of a help text, each on one line.
fn plain(text: &str) -> String {
    let paragraphs = text
        .trim()
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

fn configuration() -> anyhow::Result<String> {
    let schema = serde_json::to_value(schemars::schema_for!(Config))?;
    let defaults = serde_json::to_value(Config::default())?;
    let mut page = String::from(
        "# Configuration of a server\n\n`tasuki server --config FILE` reads TOML. Every key has a default; unknown keys \
         are refused. A runner reads gitlab-runner's `config.toml`.\n\n",
    );
    section(&schema, &schema, &defaults, "", &mut page);
    Ok(page)
}

/// One table of keys, then those of the tables in it.
fn section(root: &Value, schema: &Value, defaults: &Value, prefix: &str, page: &mut String) {
    let Some(keys) = schema["properties"].as_object() else {
        return;
    };
    page.push_str("| Key | Default | Meaning |\n|---|---|---|\n");
    let mut tables = Vec::new();
    for (key, property) in keys {
        let target = resolve(root, property);
        let about = property["description"]
            .as_str()
            .or(target["description"].as_str())
            .unwrap_or_default();
        let about = about.replace('\n', " ").replace('|', "\\|");
        if target["properties"].is_object() {
            tables.push((key.clone(), target.clone()));
            let _ = writeln!(page, "| `[{prefix}{key}]` | | {about} |");
            continue;
        }
        let default = match &defaults[key] {
            Value::Null => String::new(),
            value => format!("`{value}`"),
        };
        let _ = writeln!(page, "| `{key}` | {default} | {about} |");
    }
    page.push('\n');
    for (key, target) in tables {
        let _ = writeln!(page, "## [{prefix}{key}]\n");
        section(root, &target, &defaults[&key], &format!("{prefix}{key}."), page);
    }
}

/// Follows a reference to a definition, also through `anyOf` with null.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let referred = |schema: &Value| {
        let name = schema["$ref"].as_str()?.strip_prefix("#/$defs/")?.to_owned();
        root["$defs"].get(&name)
    };
    let choices = schema["anyOf"].as_array().into_iter().flatten();
    referred(schema)
        .or_else(|| choices.filter_map(referred).next())
        .unwrap_or(schema)
}

/// The endpoints are declared for a server: one on throw-away data.
fn api() -> anyhow::Result<String> {
    tasuki_proto::tls::install();
    let folder = tempfile::tempdir()?;
    let mut page = String::from(
        "# API\n\nAll paths lie below `/api/v1`. The whole description with all types is at `/api/v1/openapi.json`.\n\n\
         | | Path | Access | |\n|---|---|---|---|\n",
    );
    server_runtime()?.block_on(async {
        let running = App::start(Config::in_dir(folder.path())).await?;
        for endpoint in endpoints(running.app()) {
            let query: Vec<_> = endpoint.query.iter().map(|(name, _)| format!("`{name}`")).collect();
            let query = if query.is_empty() {
                String::new()
            } else {
                format!(" (query: {})", query.join(", "))
            };
            let access = endpoint.access.as_str();
            let _ = writeln!(
                page,
                "| {} | `{}` | {access} | {}{query} |",
                endpoint.method, endpoint.path, endpoint.summary
            );
        }
        running.shutdown().await;
        Ok(page)
    })
}

fn errors() -> String {
    let mut page = String::from(
        "# Errors\n\n## Of the API\n\nAnswers with an error are `application/problem+json`; `code` is one of these.\n\n\
         | Code | Status | Meaning |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        let _ = writeln!(
            page,
            "| `{}` | {} | {} |",
            code.as_str(),
            code.status().as_u16(),
            code.title()
        );
    }
    let found = tasuki_pipeline::diag::reference();
    let _ = write!(
        page,
        "\n{}",
        found
            .replace("\n## ", "\n### ")
            .replacen("# Diagnostics", "## Diagnostics", 1)
    );
    page
}
