//! The rules of GitHub's documentation and sources, case by case. Expressions are written in a small
//! notation for tests: each front end brings its own parser.

use super::*;

mod notation;

use notation::parse;

struct World;

impl Context for World {
    fn root(&self, name: &str) -> Option<Value> {
        let json = serde_json::json!({
            "a": [1, "two", true, null, [3, 4], {"x": "y"}],
            "o": {"Name": "n", "zero": 0, "list": ["p", "q"], "*": "star"},
            "deep": {"one": {"v": 1, "w": [10, 11]}, "two": {"v": 2}, "three": 3},
        });
        json.get(name).map(Value::from)
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        match name {
            "success" => Some(Ok(Value::Bool(true))),
            "failure" => Some(Ok(Value::Bool(arguments.is_empty()))),
            "broken" => Some(Err("on purpose".into())),
            _ => None,
        }
    }
}

/// The value as JSON on one line, or `error: …`.
fn check(text: &str, expected: &str) {
    let got = match evaluate(&parse(text), &World) {
        Ok(value) => {
            let mut json = String::new();
            json::write(&value, 0, &mut json);
            json.split('\n').map(str::trim).collect::<Vec<_>>().join("")
        }
        Err(error) => format!("error: {error}"),
    };
    assert_eq!(got, expected, "{text}");
}

fn check_all(cases: &str) {
    for line in cases.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (text, expected) = line.rsplit_once(" → ").unwrap_or_else(|| panic!("no arrow in {line}"));
        check(text.trim(), expected.trim());
    }
}

#[test]
fn truth_and_operands() {
    check_all(
        "
        !null → true
        !'' → true
        !' ' → false
        !0 → true
        !NaN → true
        !o → false
        'x' && 'y' → \"y\"
        '' && 'y' → \"\"
        null || 'd' → \"d\"
        0 || '' → \"\"
        1 || boom → 1
        0 && boom → 0
        ",
    );
}

#[test]
fn loose_comparisons() {
    check_all(
        "
        'ABC' == 'abc' → true
        'ÄÖ' == 'äö' → true
        'ß' == 'SS' → false
        null == '' → true
        null == 0 → true
        false == '' → true
        true == '1' → true
        true == 'true' → false
        1 == '1.0' → true
        '0x10' == 16 → true
        '0xFFFFFFFF' == -1 → true
        '0o17' == 15 → true
        ' 5 ' == 5 → true
        'x' == 0 → false
        NaN == NaN → false
        NaN != NaN → true
        Infinity == 'Infinity' → true
        o == o → false
        o != null → true
        a == 0 → false
        'a' < 'B' → true
        'b' < 'A' → false
        false < true → true
        '' < null → false
        -1 < null → true
        1 < NaN → false
        1 >= NaN → false
        null <= null → true
        null < null → false
        2 > '1' → true
        'abc' >= 'ABC' → true
        ",
    );
}

#[test]
fn strict_comparisons() {
    check_all(
        "
        'A' === 'a' → false
        'a' === 'a' → true
        1 === '1' → false
        null === '' → false
        null === null → true
        a === a → true
        o === o → true
        'a' !== 'b' → true
        1 <. 2 → true
        '1' <. 2 → false
        'a' <. 'b' → true
        'abc' =~ '^a.c$' → true
        'ABC' =~ 'abc' → false
        'ABC' =~ '(?i)abc' → true
        null =~ '' → false
        null !~ '' → true
        'a' =~ '(' → error: `(` is no regular expression that can be used
        'refs/heads' ^= 'refs/' → true
        'refs' ^= 'REFS' → false
        ",
    );
}

#[test]
fn access() {
    check_all(
        "
        o.name → \"n\"
        o['NAME'] → \"n\"
        o.missing → null
        o.missing.more → null
        o['*'] → \"star\"
        a[1] → \"two\"
        a['1'] → \"two\"
        a[1.9] → \"two\"
        a[true] → \"two\"
        a[null] → 1
        a[-1] → null
        a[99] → null
        a['x'] → null
        a[a] → null
        o[a] → null
        a.name → null
        'text'[0] → null
        boom → error: `boom` is not available here
        deep.*.v → [1,2]
        deep.*.w → [[10,11]]
        deep.*.w[0] → [10]
        deep.*.w.* → [10,11]
        deep.* → [{\"v\": 1,\"w\": [10,11]},{\"v\": 2},3]
        a.*.x → [\"y\"]
        null.* → []
        'text'.* → []
        o.list.* → [\"p\",\"q\"]
        ",
    );
}

#[test]
fn functions() {
    check_all(
        "
        contains('Hello', 'ell') → true
        contains('Hello', 'ELL') → true
        contains('Hello', '') → true
        contains(a, 'TWO') → true
        contains(a, '1') → true
        contains(a, 'x') → false
        contains(o, 'n') → false
        contains(123, 2) → true
        contains('x', a) → false
        startsWith('Hello', 'HE') → true
        endsWith('Hello', 'LO') → true
        startsWith(a, '') → false
        join(o.list) → \"p,q\"
        join(o.list, '-') → \"p-q\"
        join(a, ' ') → \"1 two true  Array Object\"
        join('x', '-') → \"x\"
        join(o) → \"\"
        join(o.list, a) → \"p,q\"
        format('{0} and {1}', 'x', 2) → \"x and 2\"
        format('{{{0}}}', 'x') → \"{x}\"
        format('plain') → \"plain\"
        format(null) → \"\"
        format('{0}{0}', a) → \"ArrayArray\"
        format('{1}', 1) → error: `format`: more arguments are used than given in `{1}`
        format('{x}', 1) → error: `format`: what stands between braces is no number in `{x}`
        format('{0', 1) → error: `format`: a `{` that is not closed in `{0`
        format('0}', 1) → error: `format`: a `}` that closes nothing in `0}`
        fromJSON('[1, {\"k\": null}]') → [1,{\"k\": null}]
        fromJSON('{\"K\": 1}').k → 1
        fromJSON('') → error: `fromJSON`: there is no text to read
        toJSON(fromJSON('[]')) → \"[]\"
        toJSON('a\"b') → \"\\\"a\\\\\\\"b\\\"\"
        case(false, 1, true, 2, 3) → 2
        case(false, 1, 3) → 3
        case('x', 1, 3) → error: `case`: its conditions must be true or false, not `x`
        case(true, 1) → error: `case` does not take 2 arguments
        CONTAINS('ab', 'B') → true
        success() → true
        failure('job') → false
        broken() → error: `broken`: on purpose
        nothing() → error: there is no function `nothing` here
        contains('x') → error: `contains` does not take 1 arguments
        ",
    );
}

#[test]
fn numbers_as_text() {
    check_all(
        "
        format('{0}', -0) → \"0\"
        format('{0}', 1.50) → \"1.5\"
        format('{0}', 0.1) → \"0.1\"
        format('{0}', 100000000000000) → \"100000000000000\"
        format('{0}', 1000000000000000) → \"1E+15\"
        format('{0}', 0.00001) → \"1E-05\"
        format('{0}', 0.0001) → \"0.0001\"
        format('{0}', 123456789012345678) → \"1.23456789012346E+17\"
        format('{0}', -12.5) → \"-12.5\"
        format('{0}', NaN) → \"NaN\"
        format('{0}', Infinity) → \"Infinity\"
        format('{0}', null) → \"\"
        format('{0}', true) → \"true\"
        ",
    );
}

#[test]
fn pretty_json() {
    let value = Value::from(&serde_json::json!({"a": [1, {"b": "x\n"}], "e": {}, "n": null}));
    let mut text = String::new();
    json::write(&value, 0, &mut text);
    let wanted = "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x\\n\"\n    }\n  ],\n  \"e\": {},\n  \"n\": null\n}";
    assert_eq!(text, wanted);
}

#[test]
fn keys_may_be_exact() {
    let env = Object::new(
        Keys::Exact,
        [("A".into(), Value::Null), ("a".into(), Value::Bool(true))],
    );
    assert!(env.len() == 2 && matches!(env.get("a"), Some(Value::Bool(true))));
    let loose = Object::new(
        Keys::IgnoreCase,
        [("A".into(), Value::Null), ("a".into(), Value::Bool(true))],
    );
    assert!(loose.len() == 1 && matches!(loose.get("A"), Some(Value::Bool(true))));
}

#[test]
fn what_is_too_much_is_refused() {
    let deep = (0..300).fold(parse("1"), |inner, _| Expr::Not(Box::new(inner)));
    assert_eq!(evaluate(&deep, &World).unwrap_err(), Error::TooDeep);
    let text = Expr::Literal(Literal::Text("x".repeat(1 << 20)));
    let wide = Expr::Concat(vec![text; 11]);
    assert_eq!(evaluate(&wide, &World).unwrap_err(), Error::TooLarge);
}

#[test]
fn trees_survive_their_stored_form() {
    for text in [
        "a[0].x == 'y' && !contains(o.*, NaN)",
        "Infinity",
        "-Infinity",
        "1.5",
        "'NaN'",
        "null",
    ] {
        let tree = parse(text);
        let json = serde_json::to_string(&tree).unwrap();
        let back: Expr = serde_json::from_str(&json).unwrap();
        assert_eq!(format!("{back:?}"), format!("{tree:?}"), "{json}");
    }
}
