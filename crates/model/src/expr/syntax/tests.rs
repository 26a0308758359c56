//! What reads as what, and what is refused where. The public conformance cases are in `tests/expressions.rs`.

use super::*;
use crate::expr::{Context, Value, evaluate};

struct World;

impl Context for World {
    fn root(&self, name: &str) -> Option<Value> {
        let json = serde_json::json!({"github": {"ref": "refs/heads/main", "list": [1, 2]}, "env": {"A": "x"}});
        json.get(name).map(Value::from)
    }

    fn call(&self, name: &str, _: &[Value]) -> Option<Result<Value, String>> {
        (name == "success").then_some(Ok(Value::Bool(true)))
    }
}

const NAMES: Names<'static> = Names {
    contexts: &["github", "env"],
    functions: &["success"],
};

/// `text → value` by line, or `text → position: message`; `¶` is a line feed.
fn check(cases: &str) {
    for line in cases.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (text, wanted) = line.rsplit_once(" → ").unwrap_or_else(|| panic!("no arrow in {line}"));
        let text = text.replace('¶', "\n");
        let found = match template(&text, &NAMES) {
            Ok(None) => "no expression".to_owned(),
            Ok(Some(expr)) => match evaluate(&expr, &World) {
                Ok(value) => value.to_text().to_string(),
                Err(error) => error.to_string(),
            },
            Err(error) => format!("{}+{}: {error}", error.at, error.length),
        };
        assert_eq!(found, wanted, "{text}");
    }
}

#[test]
fn texts_with_expressions() {
    check(
        "
        plain → no expression
        ${{ 1 }} → 1
        a ${{ 'b' }} c${{env.a}}d → a b cxd
        ${{ '}}' }}! → }}!
        ${{ 'it''s' }} → it's
        ${{ github.ref == 'REFS/heads/main'¶ && success() }} → true
        ${{ GITHUB.Ref }} → refs/heads/main
        ${{ join(github.list.*, '-') }}${{ format('{0}', -1) }} → 1-2-1
        ${{ !(true && false || true) }} → false
        ${{ 1 < 2 == true }} → true
        ",
    );
}

#[test]
fn faults_have_a_place() {
    check(
        "
        ${{ 1 → 0+5: `${{` is not closed by `}}`
        a ${{ }} → 5+1: there is nothing between the braces
        ${{ secrets.x }} → 4+7: `secrets` is not available here; these are: github, env
        ${{ always() }} → 4+6: the function `always` is not available here
        ${{ nothing() }} → 4+7: there is no function `nothing`
        ${{ contains('a') }} → 4+8: `contains` takes 2 arguments, not 1
        ${{ case(true, 1) }} → 4+4: `case` takes an odd number of at least 3 arguments, not 2
        ${{ \"a\" }} → 4+3: `\"a\"` is no part of an expression
        ${{ 1 + 2 }} → 6+1: `+` is no part of an expression
        ${{ env. }} → 7+1: the expression ends after `.`, where more must follow
        ${{ env.A == }} → 10+2: the expression ends after `==`, where more must follow
        ${{ (1 }} → 5+1: the expression ends after `1`, where more must follow
        ${{ 1) }} → 5+1: `)` cannot stand here
        ",
    );
}

#[test]
fn size_is_bounded() {
    let fault = |text: &str| parse(text, &NAMES).map(drop).unwrap_err().problem;
    assert_eq!(fault(&"(".repeat(20_000)), Problem::TooDeep);
    assert_eq!(fault(&"!".repeat(20_000)), Problem::TooDeep);
    assert_eq!(fault(&format!("env{}", ".a".repeat(10_000))), Problem::TooDeep);
    assert_eq!(fault(&format!("1{}", " == 1".repeat(4_000))), Problem::TooDeep);
    assert_eq!(fault(&" ".repeat(21_001)), Problem::TooLong);
    // A long chain of one operator is one level.
    let chain = parse(&format!("0{}", " || 0".repeat(4_000)), &NAMES).unwrap();
    assert_eq!(&*evaluate(&chain, &World).unwrap().to_text(), "0");
}
