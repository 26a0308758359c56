//! The expression language of `rules:if`.

use std::collections::HashMap;

use tasuki_pipeline::lang::gitlab::expr::{holds, parse};

fn variables() -> HashMap<String, String> {
    [
        ("A", "a"),
        ("B", "b"),
        ("EMPTY", ""),
        ("BLANK", " \t\n"),
        ("FALSE", "false"),
        ("TRUE", "true"),
        ("ZERO", "0"),
        ("BRANCH", "feature/login-12"),
        ("PATTERN", "/^feature\\/.*$/"),
        ("PATTERN_I", "/FEATURE/i"),
        ("DOT", "/./"),
        ("TEXT", "the feature/login-12 branch"),
        ("BAD", "/(?=x)/"),
        ("NESTED", "$A"),
        ("LINES", "one\ntwo"),
        ("VERSION", "v1.2.3"),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .collect()
}

/// `+` holds, `-` does not, `!text` is refused with that text.
fn check(table: &str) {
    let variables = variables();
    for line in table
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (expected, text) = line.split_once("  ").unwrap_or_else(|| panic!("{line}"));
        let found = match parse(text) {
            Ok(expr) if holds(&expr, &variables) => "+".to_owned(),
            Ok(_) => "-".to_owned(),
            Err(err) => format!("!{err}; {}", err.hint().unwrap_or_default()),
        };
        match expected.strip_prefix('!') {
            Some(words) => assert!(found.starts_with('!') && found.contains(words), "{text}: {found}"),
            None => assert_eq!(found, expected, "{text}"),
        }
    }
}

#[test]
fn presence() {
    check(
        r#"
        +  $A
        -  $UNDEFINED
        -  $EMPTY
        -  $BLANK
        # Trap 12: only blank text is false.
        +  $FALSE
        +  $ZERO
        +  "x"
        -  ""
        -  "  "
        +  true
        -  false
        -  null
        -  !$A
        +  !$UNDEFINED
        +  !$EMPTY
        +  !$BLANK
        -  !$FALSE
        +  !!$A
        +  ($A)
        +  /ab/
        "#,
    );
}

#[test]
fn and_or_return_operands() {
    check(
        r#"
        # Trap 12: empty but defined wins `||` and passes `&&`.
        -  $EMPTY || $A
        +  $UNDEFINED || $A
        +  $EMPTY && $B
        -  $UNDEFINED && $B
        -  $A && $EMPTY
        -  $A && $UNDEFINED
        +  $A || $UNDEFINED
        -  $EMPTY || $UNDEFINED
        +  false || "x"
        -  null && "x"
        +  $A && $B || $UNDEFINED
        +  $UNDEFINED && $A || $B
        -  $UNDEFINED && ($A || $B)
        +  $A == "a" && $B == "b"
        +  $A == "x" || $B == "b"
        "#,
    );
}

#[test]
fn comparison() {
    check(
        r#"
        +  $A == "a"
        +  "a" == $A
        +  $A == 'a'
        -  $A == "A"
        -  $A == $B
        +  $A != $B
        +  $UNDEFINED == null
        +  null == null
        -  $EMPTY == null
        +  $EMPTY == ""
        -  $UNDEFINED == ""
        +  $UNDEFINED != ""
        +  $TRUE == true
        +  $FALSE == false
        -  $A == true
        -  $UNDEFINED == false
        # Comparison binds stronger than `&&`, `!` stronger than comparison, all to the left.
        -  !$A == "a"
        +  !$A == false
        +  !$UNDEFINED == true
        +  ($A == "a") == true
        +  $A == "a" == true
        +  ($A) == "a"
        +  $A=="a"&&$B=="b"
        # Trap 14: values are compared as they were set.
        +  $NESTED == "$A"
        -  $NESTED == "a"
        +  "it's" == "it's"
        +  'say "a"' == 'say "a"'
        "#,
    );
}

#[test]
fn patterns() {
    check(
        r#"
        +  $BRANCH =~ /^feature/
        +  $BRANCH =~ /login/
        -  $BRANCH =~ /^login/
        +  $BRANCH =~ /^feature\/login-[0-9]+$/
        -  $BRANCH =~ /FEATURE/
        +  $BRANCH =~ /FEATURE/i
        +  $BRANCH !~ /^release/
        -  $BRANCH !~ /^feature/
        # Null on the right is no match, null on the left is empty text.
        -  $A =~ $UNDEFINED
        +  $A !~ $UNDEFINED
        +  $UNDEFINED =~ /.*/
        -  $UNDEFINED =~ /ab+/
        +  $UNDEFINED !~ /ab+/
        # A variable may hold a pattern; any other text is searched for the left side (trap 13).
        +  $BRANCH =~ $PATTERN
        +  $BRANCH =~ $PATTERN_I
        +  $BRANCH =~ $DOT
        +  $BRANCH =~ $TEXT
        -  $TEXT =~ $BRANCH
        +  "x" =~ $BAD
        -  "y" =~ $BAD
        +  "a" =~ "cat"
        +  $UNDEFINED =~ "cat"
        # Nothing is expanded in a pattern.
        -  $A =~ /^$A$/
        -  $A =~ true
        -  $A !~ true
        -  $A =~ null
        +  $LINES =~ /^two$/m
        -  $LINES =~ /^two$/
        +  $LINES =~ /one.two/s
        -  $LINES =~ /one.two/
        +  $VERSION =~ /^v\d+\.\d+(\.\d+)?$/
        +  $VERSION =~ /^v\d+\.\d+/ && $A
        +  "a/b//" =~ /b\/\//
        +  "x[y" =~ /[[]y/
        +  "a{b" =~ /a{b/
        +  "aab" =~ /^a{2}b$/
        +  "x-y" =~ /^[\w-]+$/
        +  "a&&b" =~ /^[a&&b]+$/
        -  "é" =~ /^\w+$/
        +  "٣" =~ /^\D$/
        +  "a<b" =~ /a\<b/
        +  "a.b" =~ /a\Q.\Eb/
        "#,
    );
}

#[test]
fn refused() {
    check(
        r#"
        # Trap 13.
        !braces are not allowed  ${A} == "a"
        !two characters or more  $A =~ /a/
        !two characters or more  $A =~ /./
        !`%NAME%` is not allowed  %A% == "a"
        !compare with `==`  $A = "a"
        !write text in quotes  $A == a
        !no closing quote  $A == "a
        !no closing quote  $A == "a'
        !two characters or more  $A =~ /abc
        !no look-around  $A =~ /(?!x)/
        !no look-around  $A =~ /(a)\1/
        "#,
    );
    check(
        r#"
        !needs a value on its right  $A ==
        !needs a value on its left  == $A
        !needs a value on its right  $A &&
        !needs a value on its left  $A && || $B
        !operator is missing before `$B`  $A $B
        !operator is missing before `"x"`  ($A) "x"
        !`(` has no counterpart  ($A
        !`)` has no counterpart  $A)
        !needs a value on its right  ()
        !needs a value on its right  !
        !unknown word at `&  $A & $B
        !declare the input  $[[ inputs.x ]] == "a"
        !unknown word at `>  $A > 3
        "#,
    );
}

#[test]
fn at_most_99_words() {
    let words = |n: usize| vec!["$A"; n].join(" && ");
    assert!(parse("").unwrap_err().to_string().contains("empty"));
    assert!(parse(&words(50)).is_ok(), "50 values and 49 operators");
    let err = parse(&words(51)).unwrap_err();
    assert!(err.to_string().contains("99"), "{err}");
    assert!(parse(&format!("{}$A", "!".repeat(98))).is_ok());
}

#[test]
fn white_space_means_nothing() {
    let variables = variables();
    let expr = parse("\n  $A\n  ==\t\"a\"\n  && $B == \"b\"\n").unwrap();
    assert!(holds(&expr, &variables));
}
