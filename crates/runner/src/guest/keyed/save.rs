//! Archiving and storing.

use std::io::BufWriter;
use std::path::PathBuf;

use super::part::Part;
use super::store::{Store, Written, scratch};
use super::template;
use crate::guest::archive;
use crate::guest::error::{Error, Result};
use crate::guest::selection;
use crate::guest::{Compression, Context, Report, SaveKeyed, Selection};

/// Saves the paths under the key. A key that exists is left as it is; that a cache cannot be stored is no failure.
pub(in crate::guest) fn save(request: &SaveKeyed, context: &Context) -> Result<Report> {
    let key = if request.template {
        template::evaluate(&request.key, &request.folder, context)?
    } else {
        request.key.clone()
    };
    match store(request, &key, context) {
        Err(Error::Stopped) => Err(Error::Stopped),
        Err(error) => {
            context.say(&format!("WARNING: the cache was not saved: {error}"));
            Ok(nothing())
        }
        done => done,
    }
}

fn store(request: &SaveKeyed, key: &str, context: &Context) -> Result<Report> {
    let store = Store::open(&request.store, context)?;
    let exists = || {
        context.say(&format!(
            "Skipping cache generation, cache already exists for key: {key}"
        ));
    };
    if request.immutable && store.has(key)? {
        exists();
        return Ok(nothing());
    }
    let chosen = sort(request, context);
    if chosen.iter().all(|(_, paths)| paths.is_empty()) {
        context.say("WARNING: no files to cache");
        return Ok(nothing());
    }
    let mut report = Report {
        cache_key: Some(key.to_owned()),
        ..Report::default()
    };
    for (part, paths) in chosen {
        // The project's part marks a whole cache, so that it is there even when it is empty.
        if paths.is_empty() && part != Part::Project {
            continue;
        }
        let selection = Selection {
            paths: paths.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
            ..Selection::default()
        };
        let chosen = selection::choose(&selection, part.folder(&request.place), "cache", context)?;
        let file = tempfile::tempfile_in(scratch(context)).map_err(Error::io("make a temporary file"))?;
        let mut out = BufWriter::with_capacity(256 << 10, &file);
        let size = archive::write_tar(&chosen, Compression::Default, &mut out, context)?;
        std::io::Write::flush(&mut out).map_err(Error::io("write the cache"))?;
        drop(out);
        report.files += chosen.files();
        report.bytes += chosen.bytes();
        report.transferred += size;
        let only_new = request.immutable && part == Part::Project;
        if store.put(part, key, &file, size, only_new)? == Written::Exists {
            exists();
            return Ok(nothing());
        }
    }
    context.say(&format!(
        "Stored cache: {key} ({} files, {} bytes)",
        report.files, report.bytes
    ));
    Ok(report)
}

/// The paths by their part, in the order in which parts are written.
fn sort(request: &SaveKeyed, context: &Context) -> Vec<(Part, Vec<PathBuf>)> {
    let mut all: Vec<(Part, Vec<PathBuf>)> = Part::ALL.into_iter().map(|part| (part, Vec::new())).collect();
    for path in &request.paths {
        let Some((part, relative)) = Part::of(path, &request.place) else {
            context.say(&format!("WARNING: {path}: leads out of its folder, skipped"));
            continue;
        };
        if !part.folder(&request.place).join(&relative).exists()
            && !relative.to_string_lossy().contains(['*', '?', '['])
        {
            context.say(&format!("WARNING: {path}: there is no such file or folder"));
            continue;
        }
        if let Some((_, paths)) = all.iter_mut().find(|(other, _)| *other == part) {
            paths.push(relative);
        }
    }
    all
}

fn nothing() -> Report {
    Report {
        skipped: true,
        ..Report::default()
    }
}
