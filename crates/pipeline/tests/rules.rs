//! What rules and keywords are made of: globs, durations, slugs.

use tasuki_pipeline::lang::gitlab::duration;
use tasuki_pipeline::lang::gitlab::glob::Glob;
use tasuki_pipeline::lang::gitlab::slug::{environment_slug, group_name, guess_tier, slug};

fn glob(pattern: &str, matching: &[&str], others: &[&str]) {
    let glob = Glob::new(pattern);
    for path in matching {
        assert!(glob.matches(path), "{pattern} should match {path}");
    }
    for path in others {
        assert!(!glob.matches(path), "{pattern} should not match {path}");
    }
}

#[test]
fn globs_as_in_ruby() {
    glob(
        "Dockerfile",
        &["Dockerfile"],
        &["docker/Dockerfile", "Dockerfile.old", "dockerfile"],
    );
    glob("*.rb", &["a.rb", ".rb", ".hidden.rb"], &["lib/a.rb", "a.rbx"]);
    glob("lib/*", &["lib/a", "lib/.a"], &["lib/a/b", "lib"]);
    // Trap 8: `**` that no slash follows is a plain `*`.
    glob("lib/**", &["lib/a", "lib/.a"], &["lib/a/b"]);
    glob(
        "lib/**/*",
        &["lib/a", "lib/a/b", "lib/a/b/c.rb", "lib/.x/y"],
        &["a", "lib", "other/a"],
    );
    glob("**/*.rb", &["a.rb", "x/a.rb", "x/y/a.rb", ".x/a.rb"], &["a.py"]);
    glob("**/*", &["a", "a/b", "a/b/c"], &[]);
    glob(
        "**/spec/**/*.rb",
        &["spec/a.rb", "x/spec/a.rb", "x/spec/y/z.rb"],
        &["spec.rb", "x/a.rb"],
    );
    glob(
        "a/**/b/**/c",
        &["a/b/c", "a/x/b/c", "a/b/x/y/c", "a/b/b/c"],
        &["a/c", "b/c"],
    );
    glob("a**c", &["ac", "abc"], &["a/c"]);
    glob("**.rb", &["a.rb"], &["x/a.rb"]);
    glob("?.rb", &["a.rb", "é.rb"], &["ab.rb", "/.rb"]);
    glob("a?b", &["axb"], &["a/b"]);
    glob("[a-c]*.rb", &["a.rb", "cx.rb"], &["d.rb"]);
    glob("[!a-c].rb", &["d.rb"], &["a.rb", "/.rb"]);
    glob("[^a].rb", &["b.rb"], &["a.rb"]);
    glob("[a", &[], &["[a", "a"]);
    glob("{a,b}.{rb,py}", &["a.rb", "b.py"], &["c.rb", "a.js"]);
    glob("{a,{b,c}d}/x", &["a/x", "bd/x", "cd/x"], &["b/x", "{a/x"]);
    glob("src/{,sub/}x", &["src/x", "src/sub/x"], &["src/y/x"]);
    glob("{a", &["{a"], &["a"]);
    glob("\\*", &["*"], &["a"]);
    glob("a\\{b,c\\}", &["a{b,c}"], &["ab"]);
    glob("", &[""], &["a"]);
    glob("*a*b*", &["ab", "xaxbx", "aab"], &["ba", "a", "a/b"]);
    glob("./a", &[], &["a"]);
    glob("/a", &[], &["a"]);
    glob("docs/", &[], &["docs/a", "docs"]);
    glob("a/**/**/b", &["a/b", "a/x/b"], &["a"]);
}

#[test]
fn globs_stay_cheap() {
    let path = "a".repeat(200);
    assert!(!Glob::new(&format!("{}b", "*a".repeat(60))).matches(&path));
    let deep = vec!["a"; 100].join("/");
    assert!(!Glob::new(&format!("{}b", "**/a/".repeat(20))).matches(&deep));
    assert!(Glob::new(&"{a,b}".repeat(30)).matches(&"a".repeat(30)));
}

fn seconds(text: &str, expected: Option<u64>) {
    assert_eq!(duration::parse(text), expected, "{text:?}");
}

/// Trap 25.
#[test]
fn durations() {
    for (text, expected) in [
        ("30", 30),
        ("3600", 3_600),
        ("1h", 3_600),
        ("1h 30m", 5_400),
        ("1h30m", 5_400),
        ("1 hour 30 minutes", 5_400),
        ("1H 30M", 5_400),
        ("90 min", 5_400),
        ("1.5h", 5_400),
        (".5h", 1_800),
        ("2 days and 3 hours", 183_600),
        ("1 day, 1 hour", 90_000),
        ("3 mins 4 sec", 184),
        ("2 hrs 20 min", 8_400),
        ("2h20min", 8_400),
        ("6 mos 1 day", 15_638_400),
        ("47 yrs 6 mos and 4d", 1_483_207_200 + 15_552_000 + 345_600),
        ("3 weeks and 2 days", 1_987_200),
        ("1 mo", 2_592_000),
        ("1 year", 31_557_600),
        ("1w", 604_800),
        ("1 wk", 604_800),
        ("2 dy", 172_800),
        ("one week", 604_800),
        ("twenty-five minutes", 1_500),
        ("two hundred seconds", 200),
        ("1:20:30", 4_830),
        ("1:30", 90),
        ("day", 86_400),
        ("minute 30 sec", 90),
        ("1 hour plus 1 minute", 3_660),
        ("10 minutes with 5 seconds", 605),
    ] {
        seconds(text, Some(expected));
    }
    for text in [
        "",
        " ",
        "0",
        "0 seconds",
        "soon",
        "1 fortnight",
        "-5",
        "1:2:3:4:5:6:7",
        "never",
        "$TIMEOUT",
        "1 hour ago",
    ] {
        seconds(text, None);
    }
}

#[test]
fn slugs() {
    for (text, expected) in [
        ("main", "main"),
        ("Feature/Foo_Bar", "feature-foo-bar"),
        ("-a-", "a"),
        ("ünï", "n"),
        ("a//b", "a--b"),
    ] {
        assert_eq!(slug(text), expected, "{text}");
    }
    assert_eq!(slug(&"a".repeat(80)).len(), 63);
    assert_eq!(slug(&format!("{}-b", "a".repeat(62))), "a".repeat(62));
}

#[test]
fn environment_slugs() {
    for (name, expected) in [
        ("staging-12345678901234567", "staging-123456789-s729ne"),
        ("9-staging-123456789012345", "env-9-staging-123-f6hm7j"),
        ("staging-1234567890123456", "staging-1234567890123456"),
        ("staging-1234567890123456-", "staging-123456789-y52hkh"),
        ("production", "production"),
        ("PRODUCTION", "production-vl4voz"),
        ("review/1-foo", "review-1-foo-9tdj0u"),
        ("1-foo", "env-1-foo-1k46wz"),
        ("foo-", "foo"),
        ("foo--bar", "foo-bar-q006cp"),
        ("*-foo", "env-foo-i1o6om"),
        ("staging-12345678-01234567", "staging-12345678-f21q2q"),
    ] {
        assert_eq!(environment_slug(name), expected, "{name}");
    }
}

#[test]
fn tiers() {
    for (name, expected) in [
        ("review/x", "development"),
        ("dev", "development"),
        ("trunk", "development"),
        ("QA-2", "testing"),
        ("integration", "testing"),
        ("acceptance", "testing"),
        ("stg", "staging"),
        ("staging", "staging"),
        ("preprod", "staging"),
        ("demo", "staging"),
        ("nonprod", "staging"),
        ("production", "production"),
        ("prd", "production"),
        ("live", "production"),
        ("canary", "other"),
    ] {
        assert_eq!(guess_tier(name), expected, "{name}");
    }
}

#[test]
fn group_names() {
    for (job, expected) in [
        ("test", "test"),
        ("test 1/3", "test"),
        ("test: 1/3", "test"),
        ("test 1 3", "test"),
        ("test: [linux, stable]", "test"),
        ("test: [linux] 1/2", "test"),
        ("rspec:unit", "rspec:unit"),
        ("build [1]", "build"),
        ("[1]", "[1]"),
        ("1/2", "1/2"),
        ("v1/2", "v1/2"),
        ("deploy: [a]: [b]", "deploy"),
    ] {
        assert_eq!(group_name(job), expected, "{job}");
    }
}
