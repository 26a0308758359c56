//! The tree that YAML text becomes: places, merge keys, limits.

use std::fmt::Write as _;

use tasuki_pipeline::diag::Problem;
use tasuki_pipeline::yaml::{Document, FileId, Limits, MergeKeys, Node, Options, Schema, parse};

fn options() -> Options {
    Options {
        file: FileId(0),
        schema: Schema::Yaml11,
        merge: MergeKeys::InPlace,
        limits: Limits::default(),
    }
}

fn read(text: &str, options: Options) -> Result<Node, Box<Problem>> {
    let mut problems = Vec::new();
    let node = parse(Document { text, line: 0 }, options, &mut problems)?;
    Ok(node.expect("a document"))
}

/// Every scalar with its place.
fn places(node: &Node, out: &mut String) {
    if let Some(text) = node.text() {
        let _ = writeln!(
            out,
            "{}:{}+{} {text:?}",
            node.span.line, node.span.column, node.span.length
        );
    }
    for (key, value) in node.as_map().into_iter().flat_map(|map| map.iter()) {
        places(key, out);
        places(value, out);
    }
    node.as_seq()
        .into_iter()
        .flat_map(|seq| seq.iter())
        .for_each(|item| places(item, out));
}

#[test]
fn places_are_lines_and_characters() {
    let mut found = String::new();
    let text =
        "\u{feff}a: b\nünïcode: 'x y'\nlist:\n  - one # comment\n  - |\n    block\n    text\n  - {k: \"v\"}\nend:\n";
    places(&read(text, options()).expect("good"), &mut found);
    let expected = "\
1:1+1 \"a\"
1:4+1 \"b\"
2:1+7 \"ünïcode\"
2:10+5 \"x y\"
3:1+4 \"list\"
4:5+3 \"one\"
6:5+1 \"block\\ntext\\n\"
8:6+1 \"k\"
8:9+3 \"v\"
9:1+3 \"end\"
9:4+1 \"\"
";
    assert_eq!(found, expected);
}

fn check_merge(merge: MergeKeys, text: &str, expected: &str) {
    let options = Options { merge, ..options() };
    let found = read(text, options).map(|node| node.to_json(Schema::Yaml11).to_string());
    assert_eq!(found.as_deref().ok(), Some(expected), "{merge:?} {text}");
}

#[test]
fn merge_keys_by_language() {
    let text = "[&a {x: 1, y: 1}, {x: 0, <<: *a, y: 0}]";
    check_merge(MergeKeys::InPlace, text, r#"[{"x":1,"y":1},{"x":1,"y":0}]"#);
    check_merge(MergeKeys::Below, text, r#"[{"x":1,"y":1},{"x":0,"y":0}]"#);
    check_merge(
        MergeKeys::Off,
        text,
        r#"[{"x":1,"y":1},{"x":0,"<<":{"x":1,"y":1},"y":0}]"#,
    );
    let text = "[&a {x: 1}, &b {x: 2}, {<<: [*a, *b]}]";
    check_merge(MergeKeys::InPlace, text, r#"[{"x":1},{"x":2},{"x":1}]"#);
    check_merge(MergeKeys::Below, text, r#"[{"x":1},{"x":2},{"x":1}]"#);
}

fn check_refused(text: &str, limits: Limits, expected: &str) {
    let error = read(text, Options { limits, ..options() }).expect_err("too much");
    assert_eq!(error.code.name, "yaml-too-big", "{}", error.message);
    assert!(error.message.contains(expected), "{}", error.message);
}

/// Aliases of aliases: 10^9 values in a few lines, padded to a megabyte. It is refused where the count passes the
/// limit, so the padding is never read.
#[test]
fn bombs_are_refused_where_they_grow() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let alias = format!("*a{}", level - 1);
        let _ = writeln!(bomb, "a{level}: &a{level} [{}]", [alias.as_str(); 10].join(", "));
    }
    bomb.push_str(&"pad: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n".repeat(25_000));
    check_refused(&bomb, Limits::default(), "more than 2000000 values");
    let merges: String = (1..40)
        .map(|n| format!("a{n}: &a{n} {{l: *a{0}, r: *a{0}}}\n", n - 1))
        .collect();
    check_refused(&format!("a0: &a0 {{x: 1}}\n{merges}"), Limits::default(), "more than");
    check_refused(&"[".repeat(1_000_000), Limits::default(), "nested deeper than 100");
    check_refused(&"- ".repeat(500_000), Limits::default(), "nested deeper than 100");
    check_refused(&"{a: ".repeat(1_000), Limits::default(), "nested deeper than 100");
    let small = Limits {
        bytes: 10,
        ..Limits::default()
    };
    check_refused("a: 123456789\n", small, "the limit is 10");
    let few = Limits {
        nodes: 10,
        ..Limits::default()
    };
    check_refused("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]", few, "more than 10 values");
}

#[test]
fn an_alias_inside_its_own_anchor_is_an_error() {
    let error = read("a: &a [*a]\n", options()).expect_err("a circle");
    assert_eq!(error.code.name, "yaml-syntax");
}

#[test]
fn large_maps_find_their_keys_and_keep_the_last() {
    let mut text: String = (0..5_000).map(|n| format!("key{n}: {n}\n")).collect();
    text.push_str("key17: again\n");
    let mut problems = Vec::new();
    let document = Document { text: &text, line: 0 };
    let node = parse(document, options(), &mut problems)
        .expect("good")
        .expect("a document");
    let map = node.as_map().expect("a map");
    assert_eq!(map.len(), 5_000);
    assert_eq!(
        map.get("key4999").and_then(Node::text).map(|text| &**text),
        Some("4999")
    );
    assert_eq!(map.get("key17").and_then(Node::text).map(|text| &**text), Some("again"));
    assert!(map.get("key5000").is_none());
    assert_eq!(problems.len(), 1);
    assert_eq!(
        (problems[0].code.name, problems[0].span.line),
        ("yaml-duplicate-key", 5_001)
    );
}
