//! `credentials` of containers.

use tasuki_model::expr::{Expr, Literal, Value};

use super::super::entry::Credentials;
use super::super::fold;
use super::scope::Scope;
use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::Span;

/// User and reference of the password: `$NAME` stands for a secret, `$$` for a dollar.
pub(super) fn of(session: &Session<'_>, given: &Credentials, scope: &Scope<'_>) -> Option<(String, String)> {
    match given {
        Credentials::Written(user, password) => {
            let user = scope.text(session, user, "`username`")?;
            let reference = scope.fold(session, password);
            match secret(&reference) {
                Some(name) => Some((user, format!("${name}"))),
                None => {
                    session.report(
                        Problem::new(&code::UNSUPPORTED, password.span, "`password` must be one secret")
                            .hint("write `${{ secrets.NAME }}`"),
                    );
                    None
                }
            }
        }
        Credentials::Computed(field) => {
            let folded = scope.fold(session, field);
            let Some(value) = fold::known(&folded) else {
                let message = "`credentials` as one expression must be known when the pipeline starts";
                let problem = Problem::new(&code::UNSUPPORTED, field.span, message);
                session.report(problem.hint("write `username` and `password: ${{ secrets.NAME }}`"));
                return None;
            };
            computed(session, field.span, &value)
        }
    }
}

/// What an expression gave: an object, or nothing.
fn computed(session: &Session<'_>, span: Span, value: &Value) -> Option<(String, String)> {
    let Value::Object(object) = value else {
        if value.is_truthy() {
            session.error(&code::GITHUB_VALUE, span, "`credentials` must be an object");
        }
        return None;
    };
    if object.is_empty() {
        return None;
    }
    let text = |key: &str| {
        let found = object.get(key).map(|value| value.to_text().to_string());
        if found.is_none() {
            session.error(&code::GITHUB_VALUE, span, format!("`credentials` has no `{key}`"));
        }
        found
    };
    let (user, password) = (text("username"), text("password"));
    let literal = |text: String| {
        if text.starts_with('$') {
            format!("${text}")
        } else {
            text
        }
    };
    Some((literal(user?), literal(password?)))
}

/// The name of the variable that has the secret that an expression is. The token is that of the job.
pub(super) fn secret(expr: &Expr) -> Option<&str> {
    const TOKEN: &str = "CI_JOB_TOKEN";
    let Expr::Index { of, index } = expr else { return None };
    let (Expr::Context(root), Expr::Literal(Literal::Text(name))) = (of.as_ref(), index.as_ref()) else {
        return None;
    };
    match (root.as_str(), name.as_str()) {
        ("github", name) if name.eq_ignore_ascii_case("token") => Some(TOKEN),
        ("secrets", name) if name.eq_ignore_ascii_case("github_token") => Some(TOKEN),
        ("secrets", name) => Some(name),
        _ => None,
    }
}
