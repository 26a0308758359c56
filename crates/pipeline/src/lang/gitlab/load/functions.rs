//! The functions of `$[[ … | function ]]`.

use crate::lang::gitlab::variables::{Scope, expand_existing, references};

/// Applies a function as written, e.g. `truncate(0, 5)`, to a text.
///
/// # Errors
/// What is wrong with the function or the text.
pub(super) fn apply(call: &str, text: &str, scope: &Scope<'_>) -> Result<String, String> {
    let (name, arguments) = match call.split_once('(') {
        Some((name, rest)) => {
            let inner = rest.trim_end().strip_suffix(')');
            (
                name.trim(),
                Some(inner.ok_or_else(|| format!("`{call}` has no closing bracket"))?),
            )
        }
        None => (call.trim(), None),
    };
    match (name, arguments.map(str::trim)) {
        ("expand_vars", None | Some("")) => expand_vars(text, scope),
        ("posix_escape", None | Some("")) => Ok(posix_escape(text)),
        ("truncate", Some(arguments)) => {
            let numbers = arguments.split_once(',').and_then(|(offset, length)| {
                let offset: usize = offset.trim().parse().ok()?;
                let length: usize = length.trim().parse().ok()?;
                Some((offset, length))
            });
            let (offset, length) = numbers.ok_or("truncate takes two numbers: truncate(offset, length)")?;
            Ok(text.chars().skip(offset).take(length).collect())
        }
        ("expand_vars" | "posix_escape", Some(_)) => Err(format!("{name} takes no arguments")),
        ("truncate", None) => Err("truncate takes two numbers: truncate(offset, length)".to_owned()),
        _ => Err(format!(
            "no function matching `{call}`: the functions are expand_vars, truncate(offset, length) and posix_escape"
        )),
    }
}

/// One pass; what is not known stays.
fn expand_vars(text: &str, scope: &Scope<'_>) -> Result<String, String> {
    for name in references(text) {
        if scope.variable(name).is_some_and(|variable| variable.masked) {
            return Err(format!(
                "variable expansion error: masked variables cannot be expanded (`{name}`)"
            ));
        }
    }
    Ok(expand_existing(text, |name| {
        scope.variable(name).map(|v| v.value.as_str().into())
    }))
}

/// Ruby's `Shellwords.escape`.
fn posix_escape(text: &str) -> String {
    if text.is_empty() {
        return "''".to_owned();
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("'\n'"),
            c if c.is_ascii_alphanumeric() || "_-.,:+/@".contains(c) => escaped.push(c),
            c => {
                escaped.push('\\');
                escaped.push(c);
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use tasuki_model::plan::Variable;

    use super::apply;
    use crate::lang::gitlab::variables::{Layer, Scope};

    fn check(call: &str, text: &str, expected: Result<&str, &str>) {
        let secret = Variable {
            masked: true,
            ..Variable::plain("SECRET", "hidden-value")
        };
        let layer = Layer::new(vec![
            Variable::plain("A", "one $B"),
            Variable::plain("B", "two"),
            secret,
        ]);
        let found = apply(call, text, &Scope::new(vec![&layer]));
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{call}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{call}: {found}"),
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => panic!("{call}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn functions() {
        check("expand_vars", "$A ${B} %B% $C", Ok("one $B two two $C"));
        check("expand_vars()", "$B", Ok("two"));
        check("expand_vars", "x$SECRET", Err("masked variables cannot be expanded"));
        check("truncate(1, 3)", "äbcdef", Ok("bcd"));
        check("truncate(9,1)", "abc", Ok(""));
        check("truncate", "abc", Err("two numbers"));
        check("truncate(-1,2)", "abc", Err("two numbers"));
        check("posix_escape", "a b'c\n$d", Ok("a\\ b\\'c'\n'\\$d"));
        check("posix_escape", "", Ok("''"));
        check("upcase", "abc", Err("no function matching"));
        check("truncate(1, 2", "abc", Err("closing bracket"));
    }
}
