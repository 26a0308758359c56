//! How a script becomes a command line.

use std::path::Path;

use tasuki_model::reason::FailureReason;

use crate::executor::{Error, Result, Shell, ShellKind, Typist};

/// A script ready to run: its file's ending, its text, and the command line for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) file_name: String,
    pub(crate) text: String,
}

/// Where bash is looked for besides `PATH`.
const BASHES: [&str; 3] = ["/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"];

/// Puts the variables that the kernel would not take in front of the text.
pub(crate) fn write(shell: &Shell, number: u64, text: &str, exported: &[(String, String)]) -> Result<Script> {
    let ending = if shell.kind == ShellKind::Pwsh { ".ps1" } else { "" };
    let mut head = String::new();
    for (key, value) in exported {
        let name = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let posix = matches!(shell.kind, ShellKind::Detect | ShellKind::Bash | ShellKind::Sh);
        if !name || !posix {
            let message = format!(
                "the variable {key} is too large ({} bytes) for an environment",
                value.len()
            );
            return Err(Error::job(FailureReason::ScriptFailure, message));
        }
        head.push_str(&format!("export {key}='{}'\n", value.replace('\'', r"'\''")));
    }
    Ok(Script {
        file_name: format!("script.{number}{ending}"),
        text: head + text,
    })
}

/// The command line that runs `file`.
pub(crate) fn command_line(shell: &Shell, path: &str, file: &Path) -> Vec<String> {
    let file = file.to_string_lossy().into_owned();
    let line = |program: &str, login: &[&str], plain: &[&str]| {
        let flags = if shell.login { login } else { plain };
        let mut line: Vec<String> = std::iter::once(&program)
            .chain(flags)
            .map(|&part| part.to_owned())
            .collect();
        line.push(file.clone());
        line
    };
    match &shell.kind {
        ShellKind::Detect if has_bash(path) => line("bash", &["--login"], &[]),
        ShellKind::Bash => line("bash", &["--login"], &[]),
        ShellKind::Detect | ShellKind::Sh => line("sh", &["-l"], &[]),
        ShellKind::Pwsh => line(
            "pwsh",
            &["-NonInteractive", "-File"],
            &["-NoProfile", "-NonInteractive", "-File"],
        ),
        ShellKind::Custom(parts) => {
            let mut line: Vec<String> = parts.iter().map(|part| part.replace("{0}", &file)).collect();
            if !parts.iter().any(|part| part.contains("{0}")) {
                line.push(file);
            }
            line
        }
    }
}

/// The command line of a shell that is typed into.
pub(crate) fn interactive_line(shell: &Shell, typist: Typist, path: &str) -> Vec<String> {
    let words: &[&str] = match (&shell.kind, typist) {
        (ShellKind::Bash, Typist::Person) => &["bash"],
        (ShellKind::Bash, Typist::Pipe) => &["bash", "--noediting"],
        (ShellKind::Sh, _) => &["sh"],
        (ShellKind::Pwsh, _) => &["pwsh", "-NoLogo"],
        (ShellKind::Detect | ShellKind::Custom(_), _) => {
            let kind = if has_bash(path) { ShellKind::Bash } else { ShellKind::Sh };
            return interactive_line(&Shell { kind, login: false }, typist, path);
        }
    };
    words.iter().map(|&word| word.to_owned()).collect()
}

fn has_bash(path: &str) -> bool {
    BASHES.iter().any(|bash| Path::new(bash).exists())
        && path.split(':').any(|folder| Path::new(folder).join("bash").exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_has_its_command_line() {
        let check = |kind: ShellKind, login: bool, wanted: &[&str]| {
            assert_eq!(command_line(&Shell { kind, login }, "/bin", Path::new("/t/s")), wanted);
        };
        check(ShellKind::Bash, false, &["bash", "/t/s"]);
        check(ShellKind::Bash, true, &["bash", "--login", "/t/s"]);
        check(ShellKind::Sh, true, &["sh", "-l", "/t/s"]);
        check(
            ShellKind::Custom(vec!["python3".to_owned()]),
            false,
            &["python3", "/t/s"],
        );
        check(
            ShellKind::Custom(vec!["x".to_owned(), "-f={0}".to_owned()]),
            false,
            &["x", "-f=/t/s"],
        );
    }

    #[test]
    fn a_shell_that_is_typed_into_has_its_command_line() {
        let check = |kind: ShellKind, typist, wanted: &[&str]| {
            let shell = Shell { kind, login: false };
            assert_eq!(interactive_line(&shell, typist, "/nowhere"), wanted);
        };
        check(ShellKind::Bash, Typist::Person, &["bash"]);
        check(ShellKind::Bash, Typist::Pipe, &["bash", "--noediting"]);
        check(ShellKind::Sh, Typist::Pipe, &["sh"]);
        check(ShellKind::Detect, Typist::Person, &["sh"]);
        check(ShellKind::Custom(vec!["python3".to_owned()]), Typist::Person, &["sh"]);
    }

    #[test]
    fn quotes_survive_the_export() {
        let script = write(&Shell::default(), 1, "echo", &[("K".to_owned(), "it's\n".to_owned())]);
        let wanted = Script {
            file_name: "script.1".to_owned(),
            text: "export K='it'\\''s\n'\necho".to_owned(),
        };
        assert_eq!(script.expect("is exportable"), wanted);
        write(&Shell::default(), 1, "", &[("a-b".to_owned(), String::new())]).expect_err("no name for a shell");
    }
}
