//! Diagnostics for other programs.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Code, Diagnostic, Severity, codes};

/// The diagnostics as a SARIF 2.1.0 log.
#[must_use]
pub fn sarif(diagnostics: &[Diagnostic]) -> Value {
    let used: Vec<&Code> = codes()
        .iter()
        .copied()
        .filter(|code| diagnostics.iter().any(|d| d.code == code.name))
        .collect();
    let rules: Vec<Value> = used
        .iter()
        .map(|code| {
            json!({
                "id": code.name,
                "shortDescription": {"text": code.summary},
                "defaultConfiguration": {"level": level(code.severity)},
                "help": {"text": code.explanation, "markdown": code.explanation},
            })
        })
        .collect();
    let results: Vec<Value> = diagnostics.iter().map(|found| result(found, &used)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "tasuki",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

fn result(diagnostic: &Diagnostic, rules: &[&Code]) -> Value {
    let mut result = json!({
        "ruleId": diagnostic.code,
        "level": level(diagnostic.severity),
        "message": {"text": text(diagnostic)},
    });
    if let Some(index) = rules.iter().position(|code| code.name == diagnostic.code) {
        result["ruleIndex"] = json!(index);
    }
    // A result without a file has no location.
    if diagnostic.file.is_empty() {
        return result;
    }
    let mut physical = json!({"artifactLocation": {"uri": uri(&diagnostic.file)}});
    if diagnostic.line > 0 {
        physical["region"] = json!({
            "startLine": diagnostic.line,
            "startColumn": diagnostic.column.max(1),
            "endColumn": diagnostic.column.max(1) + u32::from(diagnostic.length.max(1)),
        });
    }
    result["locations"] = json!([{"physicalLocation": physical}]);
    result
}

/// A path or an address as a URI reference (RFC 3986): whatever may not stand there is escaped, also a colon in the first part
/// of a path, which would make it a scheme.
fn uri(file: &str) -> String {
    let is_address = file.starts_with("https://") || file.starts_with("http://");
    let first_part = if is_address {
        0
    } else {
        file.find('/').unwrap_or(file.len())
    };
    let mut out = String::with_capacity(file.len());
    for (at, byte) in file.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=@/".contains(&byte);
        if plain || (byte == b':' && at >= first_part) || (is_address && b"?%#".contains(&byte)) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn text(diagnostic: &Diagnostic) -> String {
    let mut text = diagnostic.message.clone();
    if let Some(hint) = &diagnostic.hint {
        text.push_str(" (hint: ");
        text.push_str(hint);
        text.push(')');
    }
    for step in &diagnostic.trail {
        text.push_str("; ");
        text.push_str(step);
    }
    text
}

/// The diagnostics as a GitLab code quality report.
#[must_use]
pub fn code_quality(diagnostics: &[Diagnostic]) -> Value {
    let entries = diagnostics.iter().map(|diagnostic| {
        let severity = match diagnostic.severity {
            Severity::Error => "critical",
            Severity::Warning => "minor",
            Severity::Info => "info",
        };
        let mut hash = Sha256::new();
        for part in [diagnostic.code, &diagnostic.file, &diagnostic.message] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        hash.update(diagnostic.line.to_le_bytes());
        let fingerprint: String = hash
            .finalize()
            .iter()
            .take(20)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        json!({
            "description": text(diagnostic),
            "check_name": diagnostic.code,
            "fingerprint": fingerprint,
            "severity": severity,
            "location": {"path": diagnostic.file, "lines": {"begin": diagnostic.line.max(1)}},
        })
    });
    Value::Array(entries.collect())
}

/// The diagnostics as workflow commands that GitHub shows beside the lines of a change.
#[must_use]
pub fn github(diagnostics: &[Diagnostic]) -> String {
    // What ends a command or a property must not come out of a file's text.
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let mut out = String::new();
    for diagnostic in diagnostics {
        let level = match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "notice",
        };
        let (line, column) = (diagnostic.line.max(1), diagnostic.column.max(1));
        let _ = writeln!(
            out,
            "::{level} file={},line={line},col={column},endColumn={},title={}::{}",
            property(&diagnostic.file),
            column + u32::from(diagnostic.length.max(1)),
            property(diagnostic.code),
            data(&text(diagnostic))
        );
    }
    out
}

/// The reference page of all codes, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# Diagnostics\n\nEverything that `tasuki lint`, `tasuki compile` and a failed pipeline creation can report. \
         An error stands in the way of a pipeline; a warning does not.\n\n| Code | Severity | Meaning |\n|---|---|---|\n",
    );
    for code in codes() {
        let _ = writeln!(
            page,
            "| [`{0}`](#{0}) | {1} | {2} |",
            code.name,
            code.severity.as_str(),
            code.summary
        );
    }
    for code in codes() {
        let _ = write!(page, "\n## {}\n\n{}\n\n{}\n", code.name, code.summary, code.explanation);
    }
    page
}
