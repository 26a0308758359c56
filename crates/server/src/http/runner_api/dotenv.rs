//! Variables that a job leaves for those that depend on it (`artifacts:reports:dotenv`).

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use futures_util::StreamExt as _;
use tasuki_model::plan::Variable;

use super::refusal::{Refusal, Result};
use crate::app::App;
use crate::blobs::{Files, Upload};
use crate::config::Limits;

/// Refuses an upload that no job could use.
pub(super) async fn check(app: &App, upload: &Upload, format: &str) -> Result<()> {
    if format != "gzip" {
        return Err(Refusal::bad_request("400 Bad Request: a dotenv report is gzipped"));
    }
    match read(app, &upload.blob_key).await {
        Ok(_) => Ok(()),
        Err(Wrong::Report(problem)) => Err(Refusal::bad_request(format!("400 Bad Request: {problem}"))),
        Err(Wrong::Blobs(failed)) => Err(Refusal::internal(&failed)),
    }
}

/// Why a report cannot be used.
#[derive(Debug)]
pub(crate) enum Wrong {
    Report(String),
    Blobs(crate::blobs::Error),
}

/// The variables of a stored report.
pub(crate) async fn read(app: &App, blob_key: &str) -> Result<Vec<Variable>, Wrong> {
    read_from(app.files(), &app.config().limits, blob_key).await
}

/// The same without a whole server.
pub(crate) async fn read_from(files: &Files, limits: &Limits, blob_key: &str) -> Result<Vec<Variable>, Wrong> {
    let mut content = files.read(blob_key, None, None).await.map_err(Wrong::Blobs)?;
    let mut packed = Vec::new();
    while let Some(piece) = content.body.next().await {
        let piece = piece.map_err(|failed| Wrong::Blobs(crate::blobs::Error::Body(failed)))?;
        packed.extend_from_slice(&piece);
        if packed.len() as u64 > limits.dotenv_bytes + 1024 {
            return Err(Wrong::Report("dotenv: the report is too large".to_owned()));
        }
    }
    parse(&packed, limits.dotenv_bytes, limits.dotenv_variables).map_err(Wrong::Report)
}

/// GitLab's rules: under the limit of bytes, every line `NAME=value`, nothing is unquoted or expanded, of a name the
/// last counts.
fn parse(packed: &[u8], most_bytes: u64, most_variables: usize) -> Result<Vec<Variable>, String> {
    let mut text = Vec::new();
    let mut input = MultiGzDecoder::new(packed).take(most_bytes);
    input
        .read_to_end(&mut text)
        .map_err(|_| "dotenv: the report is not gzipped".to_owned())?;
    if text.len() as u64 >= most_bytes {
        return Err(format!("dotenv: the report has {most_bytes} bytes or more"));
    }
    let text = String::from_utf8(text).map_err(|_| "dotenv: the report is not UTF-8".to_owned())?;
    let mut all: Vec<Variable> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let wrong = |problem: &str| format!("dotenv: line {}: {problem}", number + 1);
        let (key, value) = line.split_once('=').ok_or_else(|| wrong("is not NAME=value"))?;
        let (key, value) = (key.trim(), value.trim());
        let fits = (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !fits {
            return Err(wrong("the name has other characters than letters, digits and _"));
        }
        all.retain(|variable| variable.key != key);
        all.push(Variable::plain(key, value));
    }
    if all.len() > most_variables {
        return Err(format!("dotenv: more than {most_variables} variables"));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn reports_are_read_as_gitlab_reads_them() {
        let check = |text: &str, expected: Result<&[(&str, &str)], &str>| {
            let mut packer = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packer.write_all(text.as_bytes()).unwrap();
            let found = parse(&packer.finish().unwrap(), 100, 3);
            match (found, expected) {
                (Ok(found), Ok(expected)) => {
                    let found: Vec<_> = found.iter().map(|v| (v.key.as_str(), v.value.as_str())).collect();
                    assert_eq!(found, expected, "{text:?}");
                }
                (Err(problem), Err(part)) => assert!(problem.contains(part), "{text:?}: {problem}"),
                (found, expected) => panic!("{text:?}: {found:?}, wanted {expected:?}"),
            }
        };
        check("A=1\nB = two words \nA=3\n", Ok(&[("B", "two words"), ("A", "3")]));
        check("A=\"quoted\"\nB=$A", Ok(&[("A", "\"quoted\""), ("B", "$A")]));
        check("", Ok(&[]));
        check("A=1\n\nB=2", Err("line 2"));
        check("# comment", Err("line 1"));
        check("A-B=1", Err("letters, digits"));
        check("A=1\nB=2\nC=3\nD=4", Err("more than 3"));
        check(&format!("A={}", "x".repeat(98)), Err("100 bytes or more"));
        assert!(parse(b"A=1", 100, 3).is_err(), "not gzipped");
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let mut packer = GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&vec![b'a'; 50 << 20]).unwrap();
        assert!(
            parse(&packer.finish().unwrap(), 5120, 20)
                .unwrap_err()
                .contains("5120 bytes or more")
        );
    }
}
