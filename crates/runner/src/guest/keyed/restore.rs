//! Finding and unpacking.

use std::fs;

use super::part::Part;
use super::store::{Match, Store};
use super::template;
use crate::guest::archive::{self, Limits};
use crate::guest::error::{Error, Result};
use crate::guest::{Context, Report, RestoreKeyed};

/// Restores the first cache that is found. None is no failure, nor is one that cannot be had.
pub(in crate::guest) fn restore(request: &RestoreKeyed, context: &Context) -> Result<Report> {
    let keys = request.keys.iter().map(|key| {
        if request.template {
            template::evaluate(key, &request.folder, context)
        } else {
            Ok(key.clone())
        }
    });
    let keys = keys.collect::<Result<Vec<_>>>()?;
    match search(request, &keys, context) {
        Err(Error::Stopped) => Err(Error::Stopped),
        Err(error) => {
            context.say(&format!("WARNING: the cache was not restored: {error}"));
            Ok(nothing())
        }
        done => done,
    }
}

fn search(request: &RestoreKeyed, keys: &[String], context: &Context) -> Result<Report> {
    let store = Store::open(&request.store, context)?;
    let how = if request.prefix { Match::Prefix } else { Match::Exact };
    for key in keys {
        let Some((found, file, bytes)) = store.get(Part::Project, key, how)? else {
            context.say(&format!("No cache is found for key: {key}"));
            continue;
        };
        context.say(&format!("Found a cache: {found}"));
        let mut report = Report {
            transferred: bytes,
            cache_key: Some(found.clone()),
            ..Report::default()
        };
        let mut parts = vec![(Part::Project, file)];
        for part in [Part::Home, Part::Root] {
            if let Some((_, file, bytes)) = store.get(part, &found, Match::Exact)? {
                report.transferred += bytes;
                parts.push((part, file));
            }
        }
        for (part, file) in parts {
            let folder = part.folder(&request.place);
            fs::create_dir_all(folder).map_err(Error::io(format!("make the folder {}", folder.display())))?;
            let unpacked = archive::unpack(file, folder, Limits::default(), context)?;
            report.files += unpacked.files;
            report.bytes += unpacked.bytes;
        }
        context.say(&format!("Restored {} files ({} bytes)", report.files, report.bytes));
        return Ok(report);
    }
    Ok(nothing())
}

fn nothing() -> Report {
    Report {
        skipped: true,
        ..Report::default()
    }
}
