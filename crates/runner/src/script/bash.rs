//! Scripts for bash and for POSIX `sh`.

use std::fmt::Write as _;

use super::quote::quote;

const GREEN: &str = "\u{1b}[32;1m";
const RESET: &str = "\u{1b}[0;m";

/// Bash has the option: there the shell need not be copied (1 ms of each job's start) to find out.
const PIPEFAIL: &str = r#"if [ -n "${BASH_VERSION-}" ] || (set -o pipefail) 2>/dev/null; then set -o pipefail; fi"#;

/// What is put around the user's lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// `CI_DEBUG_TRACE`: print every command with its values.
    pub trace: bool,
    /// `FF_SCRIPT_SECTIONS` where the server folds sections: each multi-line command is a section of its own.
    pub sections: bool,
    /// `FF_ENABLE_BASH_EXIT_CODE_CHECK`: test the exit code after each line, for shells whose `errexit` is off.
    pub check_exit_codes: bool,
    /// File of `KEY=value` lines that earlier scripts of the job left (`GITLAB_ENV`).
    pub env_file: Option<String>,
}

/// The script of one stage: `lines` run one after the other in one shell, each printed in green before it runs.
///
/// The first command that fails ends the script with its exit code (`errexit`, `pipefail`). The lines stand in a
/// quoted string given to `eval`: an open quotation mark or here-document in them cannot swallow what is around
/// them, and the last one's exit code is the script's.
#[must_use]
pub fn script(lines: &[String], options: &Options) -> String {
    let mut body = String::new();
    for (index, line) in lines.iter().enumerate() {
        command(&mut body, index, line, options);
    }
    let mut text = format!("{PIPEFAIL}\nset -o errexit\nset +o noclobber\n");
    if let Some(file) = &options.env_file {
        // Values are taken as they stand: a line is never run.
        let _ = writeln!(
            text,
            "if [ -r {file} ]; then while IFS= read -r _line || [ -n \"$_line\" ]; do \
             case \"$_line\" in [A-Za-z_]*=*) export \"$_line\" ;; esac; done < {file}; unset _line; fi",
            file = quote(file)
        );
    }
    if options.trace {
        text.push_str("set -o xtrace\n");
    }
    let _ = writeln!(text, "eval {}", quote(&body));
    text
}

/// The user's text as it stands, in a shell that ends at the first command that fails (`-eo pipefail`).
#[must_use]
pub fn strict(text: &str) -> String {
    format!("{PIPEFAIL}\nset -o errexit\n{text}\n")
}

fn command(body: &mut String, index: usize, line: &str, options: &Options) {
    let line = line.trim_end_matches(['\n', '\r']);
    let first = line.lines().next().unwrap_or("");
    let multi = line.contains('\n');
    let section = format!("section_script_step_{index}");
    if multi && options.sections {
        let shown = format!("{GREEN}$ {first}{RESET}");
        let _ = writeln!(
            body,
            "printf 'section_start:%s:{section}[hide_duration=true,collapsed=true]\\r\\033[0K%s\\n' \"$(date +%s)\" {}",
            quote(&shown)
        );
        let rest = line.lines().skip(1).collect::<Vec<_>>().join("\n");
        let _ = writeln!(body, "printf '%s\\n' {}", quote(&rest));
    } else {
        let note = if multi { " # collapsed multi-line command" } else { "" };
        let shown = format!("{GREEN}$ {first}{note}{RESET}");
        if !line.trim().is_empty() {
            let _ = writeln!(body, "printf '%s\\n' {}", quote(&shown));
        }
    }
    body.push_str(line);
    body.push('\n');
    if options.check_exit_codes {
        body.push_str("_status=$?; if [ $_status -ne 0 ]; then exit $_status; fi\n");
    }
    if multi && options.sections {
        let _ = writeln!(body, "printf 'section_end:%s:{section}\\r\\033[0K\\n' \"$(date +%s)\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the script with a real shell through the crate's own door and gives exit code and output.
    fn run(shell: &str, lines: &[&str], options: &Options) -> (i32, String) {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let text = script(&lines, options);
        #[expect(clippy::disallowed_methods, reason = "a test of the text alone, without a sandbox")]
        let output = std::process::Command::new(shell)
            .arg("-c")
            .arg(&text)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&output.stdout)
            .replace(GREEN, "<")
            .replace(RESET, ">");
        (output.status.code().unwrap(), shown)
    }

    #[test]
    fn semantics() {
        let cases: &[(&[&str], i32, &str)] = &[
            (&["echo a", "echo b"], 0, "<$ echo a>\na\n<$ echo b>\nb\n"),
            (&["false", "echo never"], 1, "<$ false>\n"),
            (&["exit 7"], 7, "<$ exit 7>\n"),
            (
                &["(exit 3) || true", "x=5", "echo $x"],
                0,
                "<$ (exit 3) || true>\n<$ x=5>\n<$ echo $x>\n5\n",
            ),
            (&["echo 'it''s'"], 0, "<$ echo 'it''s'>\nits\n"),
            (
                &["for i in 1 2\ndo echo $i\ndone"],
                0,
                "<$ for i in 1 2 # collapsed multi-line command>\n1\n2\n",
            ),
            (&["set +e", "false"], 1, "<$ set +e>\n<$ false>\n"),
            (
                &["cat <<E\nhi\nE"],
                0,
                "<$ cat <<E # collapsed multi-line command>\nhi\n",
            ),
            (&["read x || echo empty"], 0, "<$ read x || echo empty>\nempty\n"),
            (&[""], 0, ""),
            (&["cd /; pwd", "pwd"], 0, "<$ cd /; pwd>\n/\n<$ pwd>\n/\n"),
        ];
        for shell in ["bash", "sh"] {
            for (lines, code, output) in cases {
                let (got, shown) = run(shell, lines, &Options::default());
                assert_eq!((got, shown.as_str()), (*code, *output), "{shell}: {lines:?}");
            }
        }
    }

    #[test]
    fn a_failed_part_of_a_pipe_counts_in_bash() {
        assert_eq!(run("bash", &["false | cat"], &Options::default()).0, 1);
    }

    #[test]
    fn an_open_quotation_mark_is_a_failure_of_the_script() {
        let (code, _) = run("bash", &["echo 'open"], &Options::default());
        assert_ne!(code, 0);
    }

    #[test]
    fn variables_that_an_earlier_script_left() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("env");
        std::fs::write(&file, "A=1 2\nB=$(touch pwned)\nnot a variable\nC='x'").unwrap();
        let options = Options {
            env_file: Some(file.display().to_string()),
            ..Options::default()
        };
        let (code, shown) = run("sh", &["echo \"$A|$B|$C\""], &options);
        assert_eq!((code, shown.lines().nth(1)), (0, Some("1 2|$(touch pwned)|'x'")));
    }

    #[test]
    fn multi_line_commands_as_sections() {
        let options = Options {
            sections: true,
            ..Options::default()
        };
        let (code, shown) = run("bash", &["echo a\necho b"], &options);
        assert_eq!(code, 0);
        assert!(
            shown.contains(":section_script_step_0[hide_duration=true,collapsed=true]\r\u{1b}[0K<$ echo a>\n"),
            "{shown}"
        );
        assert!(shown.contains("section_end:"), "{shown}");
    }
}
