//! `cargo xtask requirements`: the list in `docs/requirements`, checked against the tests.
//!
//! A row reads `ID | state | wording`. A test names the rows it shows in its doc comment:
//! `/// Covers: CM-TASK-01, CM-TASK-02`. A row is `done` only if a test names it; `docs` rows are fulfilled by
//! a page whose name stands in brackets at the end of the wording.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};
use regex::Regex;

use crate::workspace::{File, files, root};

/// Rows in all: the contract's size, so that none is lost by accident.
const ROWS: usize = 901;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print the open rows of this group (or `all`), e.g. `GK` or `GK-USR`.
    #[arg(long, value_name = "GROUP")]
    open: Option<String>,
    /// Print the covered rows with the tests that name them.
    #[arg(long)]
    covered: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Done,
    Docs,
}

struct Row {
    state: State,
    wording: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let rows = rows()?;
    let covers = covers(&files(&["crates", "xtask"])?)?;
    let mut faults = Vec::new();
    for (id, places) in &covers {
        if !rows.contains_key(id) {
            faults.push(format!(
                "{}: unknown requirement {id}",
                places.iter().next().map_or("?", String::as_str)
            ));
        }
    }
    for (id, row) in &rows {
        let named = covers.contains_key(id);
        match row.state {
            State::Done if !named => faults.push(format!("{id} is called done, but no test names it")),
            State::Open if named => faults.push(format!("{id} is named by a test, but its row says open")),
            State::Docs if !page_exists(&row.wording) => {
                faults.push(format!(
                    "{id} is shown by the docs, but its row names no page that exists, as in `… [docs/x.md]`"
                ));
            }
            State::Open | State::Done | State::Docs => {}
        }
    }
    print(args, &rows, &covers);
    ensure!(
        rows.len() == ROWS,
        "docs/requirements holds {} rows instead of {ROWS}",
        rows.len()
    );
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

fn page_exists(wording: &str) -> bool {
    wording
        .rsplit_once('[')
        .and_then(|(_, rest)| rest.strip_suffix(']'))
        .is_some_and(|page| root().join(page.split('#').next().unwrap_or(page)).is_file())
}

fn rows() -> anyhow::Result<BTreeMap<String, Row>> {
    let mut rows = BTreeMap::new();
    for file in files(&["docs/requirements"])? {
        for (number, line) in file.text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = || format!("{}:{}", file.path, number + 1);
            let mut parts = line.splitn(3, " | ");
            let (Some(id), Some(state), Some(wording)) = (parts.next(), parts.next(), parts.next()) else {
                bail!("{}: a row reads `ID | state | wording`", place());
            };
            let state = match state {
                "open" => State::Open,
                "done" => State::Done,
                "docs" => State::Docs,
                other => bail!("{}: state `{other}` is none of open, done, docs", place()),
            };
            let row = Row {
                state,
                wording: wording.to_owned(),
            };
            if rows.insert(id.to_owned(), row).is_some() {
                bail!("{}: {id} stands twice", place());
            }
        }
    }
    Ok(rows)
}

/// Which requirement is named where: only doc comments directly above a test function count.
fn covers(files: &[File]) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let covers = Regex::new(r"^\s*/// Covers: (.+)$").context("a constant pattern")?;
    let name = Regex::new(r"^\s*(?:pub )?(?:async )?fn (\w+)").context("a constant pattern")?;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.path.ends_with(".rs")) {
        let lines: Vec<&str> = file.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(ids) = covers.captures(line) else { continue };
            let mut test = None;
            for below in &lines[at + 1..] {
                if let Some(function) = name.captures(below) {
                    test = Some(function[1].to_owned());
                    break;
                }
                let part_of_item = below.trim_start().starts_with("///") || below.trim_start().starts_with("#[");
                if !part_of_item {
                    break;
                }
            }
            let Some(test) = test else {
                bail!("{}:{}: `Covers:` stands above no function", file.path, at + 1);
            };
            for id in ids[1].split(',').map(str::trim).filter(|id| !id.is_empty()) {
                found
                    .entry(id.to_owned())
                    .or_default()
                    .insert(format!("{}::{test}", file.path));
            }
        }
    }
    Ok(found)
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn print(args: &Args, rows: &BTreeMap<String, Row>, covers: &BTreeMap<String, BTreeSet<String>>) {
    let mut groups: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    for (id, row) in rows {
        let group = id.split('-').next().unwrap_or(id);
        let count = groups.entry(group).or_default();
        match row.state {
            State::Done => count.0 += 1,
            State::Docs => count.1 += 1,
            State::Open => count.2 += 1,
        }
    }
    if args.json {
        let list: Vec<_> = rows
            .iter()
            .map(|(id, row)| {
                let state = format!("{:?}", row.state).to_lowercase();
                serde_json::json!({"id": id, "state": state, "wording": row.wording, "tests": covers.get(id)})
            })
            .collect();
        println!("{}", serde_json::Value::Array(list));
        return;
    }
    println!("group  tests  docs  open   all");
    for (group, (done, docs, open)) in &groups {
        println!("{group:<6} {done:>5} {docs:>5} {open:>5} {:>5}", done + docs + open);
    }
    if let Some(wanted) = &args.open {
        for (id, row) in rows
            .iter()
            .filter(|(id, row)| row.state == State::Open && (wanted == "all" || id.starts_with(&format!("{wanted}-"))))
        {
            println!("{id}  {}", row.wording);
        }
    }
    if args.covered {
        for (id, tests) in covers {
            println!("{id}  {}", tests.iter().cloned().collect::<Vec<_>>().join(", "));
        }
    }
}
