//! Cut anywhere, the result is the same; and no cut lets a secret through.

use std::path::Path;

use proptest::prelude::*;
use tasuki_rt::Clock;

use super::{Chain, Log, LogOptions, MASK, Masks, Source};
use crate::executor::Stream;

fn masked(masks: &Masks, pieces: &[&[u8]]) -> Vec<u8> {
    let mut chain = Chain::new(masks.clone());
    let mut out = Vec::new();
    for piece in pieces {
        chain.write(piece, &mut out);
    }
    chain.finish(&mut out);
    out
}

/// One shot gives `expected`, and so does every cut into two and into single bytes.
fn check(masks: &Masks, text: &[u8], expected: &str) {
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(shown(&masked(masks, &[text])), expected, "{}", shown(text));
    for cut in 0..=text.len() {
        let (a, b) = text.split_at(cut);
        assert_eq!(
            shown(&masked(masks, &[a, b])),
            expected,
            "cut at {cut}: {}",
            shown(text)
        );
    }
    let single: Vec<&[u8]> = text.chunks(1).collect();
    assert_eq!(
        shown(&masked(masks, &single)),
        expected,
        "byte by byte: {}",
        shown(text)
    );
}

#[test]
fn phrases() {
    let masks = Masks::new(
        [
            "hunter2",
            "abc",
            "bcdef",
            "secret",
            "secretlong",
            " trimmed\n",
            "",
            "aba",
        ],
        true,
        &[],
    );
    for (text, expected) in [
        ("no match", "no match"),
        ("x hunter2 y", "x [MASKED] y"),
        ("hunter", "hunter"),
        ("hunterhunter2", "hunter[MASKED]"),
        ("abcdef", "[MASKED]"),
        ("abcabc", "[MASKED][MASKED]"),
        ("secretlong secretlo secret", "[MASKED] [MASKED]lo [MASKED]"),
        ("ababa", "[MASKED]"),
        ("trimmed", "[MASKED]"),
        ("[MASKED]", "[MASKED]"),
        ("hunter2hunter2\n", "[MASKED][MASKED]\n"),
        ("ä hunter2 é", "ä [MASKED] é"),
        ("", ""),
    ] {
        check(&masks, text.as_bytes(), expected);
    }
}

#[test]
fn prefixes_of_tokens() {
    let masks = Masks::new([], true, &["own_".to_owned()]);
    for (text, expected) in [
        ("glpat-abc.d_e=f-1 x", "glpat-[MASKED] x"),
        ("glpat- x", "glpat- x"),
        ("glrt-t1_abc,glrtr-x", "glrt-[MASKED],glrtr-[MASKED]"),
        ("_gitlab_session=12", "_gitlab_session=[MASKED]"),
        ("own_key!", "own_[MASKED]!"),
        ("xglpat-y", "xglpat-[MASKED]"),
        ("glpa-y", "glpa-y"),
    ] {
        check(&masks, text.as_bytes(), expected);
    }
    check(&Masks::new([], false, &[]), b"glpat-a glrt-b", "glpat-[MASKED] glrt-b");
}

#[test]
fn query_parameters() {
    let masks = Masks::default();
    for (text, expected) in [
        (
            "http://x/?private_token=abc&a=b",
            "http://x/?private_token=[MASKED]&a=b",
        ),
        ("?a=b&X-Amz-Signature=0f&x=1", "?a=b&X-Amz-Signature=[MASKED]&x=1"),
        ("?RSS_TOKEN=a\n", "?RSS_TOKEN=[MASKED]\n"),
        ("?private_token=", "?private_token="),
        ("?not_private_token=abc", "?not_private_token=abc"),
        ("?a&authenticity_token=\"x\"", "?a&authenticity_token=\"x\""),
        ("what? private_token=x", "what? private_token=x"),
    ] {
        check(&masks, text.as_bytes(), expected);
    }
}

#[test]
fn what_is_not_utf8() {
    let masks = Masks::default();
    check(&masks, b"a\xff\xfeb", "a\u{fffd}\u{fffd}b");
    check(&masks, b"\xe2\x82", "\u{fffd}");
    check(&masks, "€".as_bytes(), "€");
}

/// A whole log from pieces, at a fixed time.
fn log_of(limit: u64, timestamps: bool, pieces: &[&[u8]]) -> Vec<u8> {
    let options = LogOptions {
        limit,
        timestamps,
        masks: Masks::new(["hunter2"], true, &[]),
    };
    let log = Log::create(Path::new("/tmp"), Clock::manual(1_767_323_045_678), options).unwrap();
    let stream = log.stream(Source::Work);
    for piece in pieces {
        stream.put(Stream::Stdout, piece);
    }
    drop(stream);
    let bytes = log.read(0, usize::MAX).unwrap();
    let (size, crc) = log.checksum();
    assert_eq!((size, crc), (bytes.len() as u64, crc32fast::hash(&bytes)));
    bytes.to_vec()
}

#[test]
fn line_heads() {
    const HEAD: &str = "2026-01-02T03:04:05.678000Z 01O";
    let long = "x".repeat(9000);
    let split = format!("{HEAD} {}\n{HEAD}+{}\n", &long[..8192], &long[8192..]);
    for (text, expected) in [
        ("a\nb\n", format!("{HEAD} a\n{HEAD} b\n")),
        ("a", format!("{HEAD} a\n")),
        ("\n", format!("{HEAD} \n")),
        ("10%\r20%\r\nend\n", format!("{HEAD} 10%\r\n{HEAD}+20%\r\n{HEAD} end\n")),
        ("a\r", format!("{HEAD} a\r\n")),
        (&format!("{long}\n"), split),
    ] {
        let cuts = if text.len() > 100 {
            vec![0, 1, 8191, 8192, 8193]
        } else {
            (0..=text.len()).collect()
        };
        for cut in cuts {
            let (a, b) = text.as_bytes().split_at(cut);
            let got = log_of(1 << 20, true, &[a, b]);
            assert_eq!(String::from_utf8_lossy(&got), expected, "cut at {cut}");
        }
    }
}

#[test]
fn a_limit_is_a_visible_line() {
    for (limit, kept) in [(5, "aé"), (4, "aé"), (3, "aé"), (2, "a"), (0, "")] {
        let got = String::from_utf8(log_of(limit, false, &["aéé\nmore\n".as_bytes(), b"and more\n"])).unwrap();
        let kept = if limit == 5 { "aéé" } else { kept };
        let notice = got.strip_prefix(kept).unwrap_or_else(|| panic!("{limit}: {got:?}"));
        assert!(
            notice.starts_with("\n\u{1b}[33;1mJob's log exceeded limit of "),
            "{limit}: {got:?}"
        );
        assert_eq!(notice.matches("exceeded").count(), 1);
    }
    assert_eq!(log_of(3, false, &[b"abc"]), b"abc", "exactly the limit is no excess");
}

#[test]
fn an_unfinished_line_is_shown_and_goes_on() {
    let clock = Clock::manual(1_767_323_045_000);
    let options = LogOptions {
        limit: 1 << 20,
        timestamps: true,
        masks: Masks::default(),
    };
    let log = Log::create(Path::new("/tmp"), clock.clone(), options).unwrap();
    let stream = log.stream(Source::Work);
    stream.put(Stream::Stderr, b"prompt: ");
    assert!(log.show_unfinished(100), "too young");
    assert_eq!(log.size(), 0);
    clock.advance(std::time::Duration::from_millis(150));
    assert!(!log.show_unfinished(100));
    stream.put(Stream::Stderr, b"answer\nnext\n");
    drop(stream);
    let got = String::from_utf8(log.read(0, 1 << 20).unwrap().to_vec()).unwrap();
    let shown: Vec<_> = got.lines().map(|line| &line[28..]).collect();
    assert_eq!(shown, ["01E prompt: ", "01E+answer", "01E next"]);
}

/// The corpus of the public runner, where it is at hand: split at every byte (of its head), compared with one shot.
#[test]
fn corpus() {
    #[expect(clippy::disallowed_methods, reason = "the one switch of the conformance data")]
    let Ok(root) = std::env::var("TASUKI_CONFORMANCE") else {
        eprintln!("skipped: TASUKI_CONFORMANCE is not set, the log corpus is not at hand");
        return;
    };
    let dir = Path::new(&root).join("gitlab-runner/log-corpus");
    let masks = Masks::new(["the", "docker", "Lorem ipsum", "\u{1b}[0K", "step_script"], true, &[]);
    let mut files = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let once = masked(&masks, &[&bytes]);
        for size in [1, 2, 3, 7, 64, 1000, 4096, 65_536] {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            assert!(masked(&masks, &pieces) == once, "pieces of {size} bytes differ");
            if size >= 64 {
                assert!(
                    log_of(u64::MAX, true, &pieces) == log_of(u64::MAX, true, &[&bytes]),
                    "lines in pieces of {size} differ"
                );
            }
        }
        let head = &bytes[..bytes.len().min(2000)];
        let once = masked(&masks, &[head]);
        for cut in 0..=head.len() {
            assert!(
                masked(&masks, &[&head[..cut], &head[cut..]]) == once,
                "cut at {cut} differs"
            );
        }
        files += 1;
    }
    assert!(files > 3, "the corpus has files");
}

/// What the masks must hide, found the slow way: every byte that lies in an occurrence of a phrase.
fn slow(phrases: &[String], text: &[u8]) -> Vec<u8> {
    let mut covered = vec![false; text.len()];
    let mut starts = Vec::new();
    for phrase in phrases
        .iter()
        .map(|phrase| phrase.trim().as_bytes())
        .filter(|phrase| !phrase.is_empty())
    {
        for at in 0..text.len() {
            if text[at..].starts_with(phrase) {
                covered[at..at + phrase.len()].fill(true);
                starts.push((at, at + phrase.len()));
            }
        }
    }
    // Regions that only touch stay apart, those that overlap are one.
    starts.sort_unstable();
    let mut out = Vec::new();
    let mut at = 0;
    let mut region: Option<(usize, usize)> = None;
    let mut regions = Vec::new();
    for (from, to) in starts {
        match &mut region {
            Some((_, end)) if from < *end => *end = (*end).max(to),
            _ => regions.extend(region.replace((from, to))),
        }
    }
    regions.extend(region);
    for (from, to) in regions {
        out.extend_from_slice(&text[at..from]);
        out.extend_from_slice(MASK);
        at = to;
    }
    out.extend_from_slice(&text[at..]);
    out
}

proptest! {
    #[test]
    fn random_phrases_and_cuts(
        phrases in proptest::collection::vec("[ab]{1,5}", 0..5),
        text in "[abc]{0,40}",
        cuts in proptest::collection::vec(0_usize..41, 0..6),
    ) {
        let masks = Masks::new(phrases.iter().map(String::as_str), true, &[]);
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(masked(&masks, &pieces), slow(&phrases, bytes));
    }
}
