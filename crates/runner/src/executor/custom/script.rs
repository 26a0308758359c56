//! The files that `run_exec` gets: POSIX shell text that can be executed, named to a shell or fed into one.
//!
//! Each exports the job's variables and becomes what it is for. It answers the runner by a line that begins with the
//! script's own mark ([`super::sift`]).

use std::fmt::Write as _;
use std::path::Path;

use crate::executor::shell::environment::Environment;
use crate::executor::shell::script;
use crate::executor::{Paths, PushedFile, Result, Shell, ShellKind};
use crate::guest;
use crate::script::quote;

/// Words of answers.
pub(super) const FAILED: &str = "failed";
pub(super) const LACKS: &str = "lacks";
pub(super) const ANSWER: &str = "answer";
pub(super) const FILE: &str = "file";
pub(super) const ABSENT: &str = "absent";

/// Names that bash lets nobody assign to: they can only be passed on.
const FIXED: [&str; 6] = ["UID", "EUID", "PPID", "BASHOPTS", "SHELLOPTS", "BASH_VERSINFO"];

/// What all scripts have in common.
pub(super) struct Head<'a> {
    pub(super) mark: &'a str,
    pub(super) paths: &'a Paths,
    pub(super) environment: &'a Environment,
}

/// A user's script.
pub(super) struct User<'a> {
    pub(super) shell: &'a Shell,
    pub(super) text: &'a str,
    pub(super) number: u64,
    /// Absolute.
    pub(super) folder: &'a Path,
}

impl Head<'_> {
    /// The beginning, with the folders that everything needs.
    fn begin(&self) -> String {
        format!(
            "#!/bin/sh\numask 022\n\
             answer() {{ printf '%s%s\\n' {mark} \"$1\"; exit \"${{2:-1}}\"; }}\n\
             for folder in {temp} {project}; do\n  \
             mkdir -p \"$folder\" || answer \"{FAILED} the folder $folder cannot be made\"\n\
             done\n\
             chmod 700 {temp}\n",
            mark = quote(self.mark),
            temp = word(&self.paths.temp),
            project = word(&self.paths.project),
        )
    }

    /// Exports what has a shell's name; the rest as arguments of `env`.
    fn exports(&self, text: &mut String) -> String {
        let mut passed = String::new();
        for (key, value) in &self.environment.passed {
            if is_name(key) && !FIXED.contains(&key.as_str()) {
                let _ = writeln!(text, "export {key}={}", quote(value));
            } else {
                let _ = write!(passed, " {}", quote(&format!("{key}={value}")));
            }
        }
        if passed.is_empty() {
            passed
        } else {
            format!("env{passed} ")
        }
    }

    /// Puts `body` into a file of the place and becomes the shell that runs it.
    ///
    /// # Errors
    /// A variable that is too large to be passed on and that this shell cannot export itself.
    pub(super) fn user(&self, user: &User<'_>) -> Result<String> {
        let written = script::write(user.shell, user.number, user.text, &self.environment.exported)?;
        let file = self.paths.temp.join(&written.file_name);
        let mut text = self.begin();
        here_document(&mut text, &format!("cat > {}", word(&file)), &written.text, self.mark);
        let passed = self.exports(&mut text);
        let _ = writeln!(
            text,
            "cd {folder} 2>/dev/null || answer {failed}",
            folder = word(user.folder),
            failed = quote(&format!("{FAILED} there is no folder {}", user.folder.display())),
        );
        let line = |kind: ShellKind| {
            let shell = Shell {
                kind,
                login: user.shell.login,
            };
            let words: Vec<String> = script::command_line(&shell, "", &file)
                .iter()
                .map(|word| quote(word))
                .collect();
            words.join(" ")
        };
        match &user.shell.kind {
            ShellKind::Detect => {
                let _ = writeln!(
                    text,
                    "if command -v bash >/dev/null 2>&1; then\n  exec {passed}{} </dev/null\nfi\n\
                     exec {passed}{} </dev/null",
                    line(ShellKind::Bash),
                    line(ShellKind::Sh)
                );
            }
            kind => {
                let words = line(kind.clone());
                let program = words.split(' ').next().unwrap_or_default();
                let _ = writeln!(
                    text,
                    "command -v {program} >/dev/null 2>&1 || answer {}\nexec {passed}{words} </dev/null",
                    quote(&format!("{FAILED} there is no program {program} in the driver's place")),
                );
            }
        }
        Ok(text)
    }

    /// Lets the guest do a request and answers with its response. `beside` is where the runner's own program is on
    /// this machine: a driver whose place is on it needs no other.
    pub(super) fn guest(&self, request: &guest::Request, beside: &Path) -> serde_json::Result<String> {
        let request = serde_json::to_string(request)?;
        let mut text = self.begin();
        here_document(&mut text, "exec 3", &request, self.mark);
        let passed = self.exports(&mut text);
        let lacks = "there is no program tasuki in the driver's place";
        let _ = writeln!(
            text,
            "_guest=\nfor _program in {beside} tasuki; do\n  \
             if command -v \"$_program\" >/dev/null 2>&1; then _guest=$_program; break; fi\ndone\n\
             [ -n \"$_guest\" ] || answer {lacks}\n\
             _response=$({passed}\"$_guest\" guest <&3)\n_code=$?\n\
             answer \"{ANSWER} $_response\" \"$_code\"",
            beside = word(beside),
            lacks = quote(&format!("{LACKS} {lacks}")),
        );
        Ok(text)
    }

    /// Stage `prepare_script`: says where it runs, and writes files.
    pub(super) fn prepare(&self, hostname: Option<&str>, files: &[PushedFile]) -> String {
        let mut text = self.begin();
        let via = hostname.map(|name| format!(" via {name}")).unwrap_or_default();
        let _ = writeln!(
            text,
            "printf 'Running on %s%s...\\n' \"$(hostname 2>/dev/null || uname -n)\" {}",
            quote(&via)
        );
        for file in files {
            let path = word(&file.path);
            let _ = writeln!(
                text,
                "mkdir -p \"$(dirname {path})\" && rm -f {path} && (umask 077; printf '%b' '{bytes}' > {path}) && chmod {mode:o} {path} \
                 || answer {failed}",
                bytes = octal(&file.bytes),
                mode = file.mode & 0o7777,
                failed = quote(&format!("{FAILED} {} cannot be written", file.path.display())),
            );
        }
        text
    }

    /// Answers with a file's content in base64.
    pub(super) fn read(&self, path: &Path, limit: u64) -> String {
        let name = path.display();
        let refuse = |why: &str| quote(&format!("{FAILED} {name} {why}"));
        format!(
            "{begin}file={path}\n\
             [ -L \"$file\" ] && answer {link}\n\
             [ -e \"$file\" ] || answer {ABSENT} 0\n\
             [ -f \"$file\" ] || answer {odd}\n\
             [ \"$(wc -c < \"$file\")\" -le {limit} ] || answer {large}\n\
             answer \"{FILE} $(base64 < \"$file\" | tr -d '\\n')\" 0\n",
            begin = self.begin(),
            path = word(path),
            link = refuse("is a link"),
            odd = refuse("is no regular file"),
            large = refuse(&format!("is larger than {limit} bytes")),
        )
    }

    /// Stage `cleanup_file_variables`: removes what the job has, also where it took its own rights away.
    pub(super) fn cleanup(&self) -> String {
        let parents: String = self
            .paths
            .project
            .ancestors()
            .skip(1)
            .take_while(|folder| *folder != self.paths.builds)
            .fold(String::new(), |text, folder| format!("{text} {}", word(folder)));
        format!(
            "#!/bin/sh\ncd /\nfor folder in {temp} {project}; do\n  \
             rm -rf \"$folder\" 2>/dev/null || {{ chmod -R u+rwx \"$folder\"; rm -rf \"$folder\"; }} || exit 1\ndone\n\
             for folder in{parents}; do rmdir \"$folder\" 2>/dev/null || break; done\nexit 0\n",
            temp = word(&self.paths.temp),
            project = word(&self.paths.project),
        )
    }
}

/// `command` with `body` as its input. The mark is random: no body holds its line.
fn here_document(text: &mut String, command: &str, body: &str, mark: &str) {
    let end = mark.trim_end();
    let line = if body.ends_with('\n') { "" } else { "\n" };
    let _ = write!(text, "{command}<<'{end}'\n{body}{line}{end}\n");
}

fn word(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

fn is_name(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Bytes as `printf %b` takes them: letters and digits as they are, everything else as octal numbers.
fn octal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "\\0{byte:03o}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(root: &Path) -> Paths {
        let project = root.join("builds/t/1/it's a project");
        Paths {
            builds: root.join("builds"),
            temp: root.join("builds/t/1/it's a project.tmp"),
            project,
            cache: root.join("cache"),
            home: root.join("home"),
        }
    }

    /// Runs a text each way that a driver may: named to a shell, and fed into one.
    fn run(text: &str) -> Vec<(i32, String)> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("script");
        std::fs::write(&file, text).unwrap();
        let mut ends = Vec::new();
        for shell in ["bash", "sh"] {
            for fed in [true, false] {
                #[expect(clippy::disallowed_methods, reason = "a test of the text alone, without a driver")]
                let mut command = std::process::Command::new(shell);
                if fed {
                    command.stdin(std::fs::File::open(&file).unwrap());
                } else {
                    command.arg(&file).stdin(std::process::Stdio::null());
                }
                let output = command.env_clear().env("PATH", "/usr/bin:/bin").output().unwrap();
                let said = [output.stdout, output.stderr].concat();
                ends.push((output.status.code().unwrap_or(-1), String::from_utf8(said).unwrap()));
            }
        }
        ends
    }

    fn check(text: &str, code: i32, said: &str) {
        for end in run(text) {
            assert_eq!((end.0, end.1.as_str()), (code, said), "{text}");
        }
    }

    #[test]
    fn scripts_run_however_a_shell_gets_them() {
        let root = tempfile::tempdir().unwrap();
        let paths = paths(root.path());
        let value = "it's $HOME `x` \"\\\nend";
        let environment = Environment {
            passed: [("ODD", value), ("a-b", "dash"), ("UID", "x")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
            exported: vec![("LARGE".to_owned(), "l".to_owned())],
        };
        let head = Head {
            mark: "tasuki-0123 ",
            paths: &paths,
            environment: &environment,
        };
        let user = |shell: &Shell, text: &str, folder: &Path| {
            head.user(&User {
                shell,
                text,
                number: 1,
                folder,
            })
            .unwrap()
        };
        // Some shells pass no name on that they could not have set themselves.
        let odd_name = "a-b=dash\n";
        for (kind, odd_name) in [
            (ShellKind::Sh, ""),
            (ShellKind::Bash, odd_name),
            (ShellKind::Detect, odd_name),
        ] {
            let shell = Shell { kind, login: false };
            let text = if odd_name.is_empty() {
                "cat; printf '%s|%s|' \"$ODD\" $LARGE; pwd; exit 7"
            } else {
                "cat; printf '%s|%s|' \"$ODD\" $LARGE; env | grep ^a-b=; pwd; exit 7"
            };
            let said = format!("{value}|l|{odd_name}{}\n", paths.project.display());
            check(&user(&shell, text, &paths.project), 7, &said);
        }
        let sh = Shell {
            kind: ShellKind::Sh,
            login: false,
        };
        check(
            &user(&sh, "true", Path::new("/no/such")),
            1,
            "tasuki-0123 failed there is no folder /no/such\n",
        );
        let unknown = Shell {
            kind: ShellKind::Custom(vec!["no-such-shell".to_owned()]),
            login: false,
        };
        let plain = Environment {
            passed: Vec::new(),
            exported: Vec::new(),
        };
        let plain = Head {
            environment: &plain,
            ..head
        };
        let text = plain.user(&User {
            shell: &unknown,
            text: "true",
            number: 1,
            folder: &paths.project,
        });
        check(
            &text.unwrap(),
            1,
            "tasuki-0123 failed there is no program 'no-such-shell' in the driver's place\n",
        );
        check(&plain.cleanup(), 0, "");
        assert!(!root.path().join("builds/t").exists() && root.path().join("builds").exists());
    }

    #[test]
    fn files_go_in_and_out() {
        let root = tempfile::tempdir().unwrap();
        let paths = paths(root.path());
        let environment = Environment {
            passed: Vec::new(),
            exported: Vec::new(),
        };
        let head = Head {
            mark: "tasuki-0123 ",
            paths: &paths,
            environment: &environment,
        };
        let bytes: Vec<u8> = (0..=255).collect();
        let file = PushedFile {
            path: paths.temp.join("deep/KEY"),
            mode: 0o640,
            bytes: bytes.clone().into(),
        };
        for (code, said) in run(&head.prepare(Some("here"), std::slice::from_ref(&file))) {
            assert_eq!(code, 0, "{said}");
            assert!(
                said.starts_with("Running on ") && said.ends_with(" via here...\n"),
                "{said}"
            );
        }
        assert_eq!(std::fs::read(&file.path).unwrap(), bytes);
        use base64::Engine as _;
        let base64 = base64::prelude::BASE64_STANDARD.encode(&bytes);
        check(&head.read(&file.path, 256), 0, &format!("tasuki-0123 file {base64}\n"));
        let name = file.path.display();
        check(
            &head.read(&file.path, 255),
            1,
            &format!("tasuki-0123 failed {name} is larger than 255 bytes\n"),
        );
        check(&head.read(&paths.temp.join("none"), 1), 0, "tasuki-0123 absent\n");
        let folder = paths.temp.join("deep");
        check(
            &head.read(&folder, 1),
            1,
            &format!("tasuki-0123 failed {} is no regular file\n", folder.display()),
        );
    }
}
