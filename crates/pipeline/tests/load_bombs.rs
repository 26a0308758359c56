//! Small files that would become enormous: each is refused, soon, without the memory being spent.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tasuki_model::plan::Language;
use tasuki_pipeline::{Answer, Context, Input, Mode, Request, compile_with};

/// Compiles in a thread with the stack of a server's worker: a recursion without bound would abort the test.
fn check(name: &'static str, text: String, included: &'static str, code: &'static str) {
    let body = move || {
        let context = Context::default();
        let input = Input {
            lang: Language::Gitlab,
            file: ".gitlab-ci.yml",
            text: &text,
            context: &context,
        };
        let started = Instant::now();
        let output = compile_with(&input, Mode::Create, |request| match request {
            Request::File { .. } => Answer::file(included),
            Request::Tree { .. } | Request::Changed { .. } | Request::LastCommits { .. } | Request::Orb { .. } => {
                Answer::Changed(None)
            }
        });
        let codes: Vec<&str> = output.diagnostics.iter().map(|d| d.code).collect();
        assert!(
            output.plan.is_none() && codes.contains(&code),
            "{name}: {:?}",
            output.diagnostics.first()
        );
        assert!(
            started.elapsed() < Duration::from_secs(300),
            "{name} took {:?}",
            started.elapsed()
        );
    };
    let thread = std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(2 << 20)
        .spawn(body);
    assert!(thread.expect("a thread").join().is_ok(), "{name} failed");
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut text, n| {
        let _ = writeln!(text, "{}", line(n));
        text
    })
}

#[test]
fn many_jobs_that_extend_a_large_one() {
    let keys = lines(100_000, |n| format!("  k{n}: 1"));
    let jobs = lines(2_000, |n| format!("j{n}: {{extends: .base, script: x}}"));
    check("wide base", format!(".base:\n{keys}{jobs}"), "", "yaml-too-big");
    let items = lines(50_000, |_| "    - x".to_owned());
    let jobs = lines(2_000, |n| format!("j{n}: {{extends: .base}}"));
    check(
        "long script",
        format!(".base:\n  script:\n{items}{jobs}"),
        "",
        "yaml-too-big",
    );
}

#[test]
fn a_chain_of_extends() {
    let jobs = lines(50_000, |n| format!("j{n}: {{extends: j{}}}", n + 1));
    check("chain", jobs, "", "gitlab-extends");
    let up = lines(20_000, |n| format!("j{}: {{extends: j{n}}}", n + 1));
    check(
        "chain upwards",
        format!("j0: {{script: x}}\n{up}"),
        "",
        "gitlab-extends",
    );
}

#[test]
fn references_that_multiply_or_pile_up() {
    let double = lines(40, |n| {
        format!(
            ".a{}: {{script: [!reference [.a{n}, script], !reference [.a{n}, script]]}}",
            n + 1
        )
    });
    let text = format!(".a0: {{script: [x]}}\n{double}job: {{script: !reference [.a40, script]}}\n");
    check("doubling", text, "", "yaml-too-big");
    let nested = |n: usize| {
        format!(
            ".a{}: {{script: {}!reference [.a{n}, script]{}}}",
            n + 1,
            "[".repeat(80),
            "]".repeat(80)
        )
    };
    let text = format!(
        ".a0: {{script: [x]}}\n{}job: {{script: !reference [.a90, script]}}\n",
        lines(90, nested)
    );
    check("piling up", text, "", "yaml-too-big");
}

#[test]
fn what_every_job_inherits() {
    let variables = lines(5_000, |n| format!("  V{n}: x"));
    let jobs = lines(10_000, |n| format!("j{n}: {{script: x}}"));
    check(
        "variables",
        format!("variables:\n{variables}{jobs}"),
        "",
        "yaml-too-big",
    );
    let jobs = lines(2_000, |n| format!("j{n}: {{script: x, parallel: 200}}"));
    check(
        "parallel",
        format!("default: {{before_script: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t]}}\n{jobs}"),
        "",
        "yaml-too-big",
    );
}

#[test]
fn inputs_that_grow_with_each_include() {
    let deeper =
        "spec: {inputs: {x: {type: array}}}\n---\ninclude: {local: a.yml, inputs: {x: [[[[\"$[[ inputs.x ]]\"]]]]}}\n";
    let start = "include: {local: a.yml, inputs: {x: [a]}}\n";
    check("deeper", start.to_owned(), deeper, "gitlab-interpolation");
    let double = "spec: {inputs: {x: {type: array}}}\n---\ninclude: {local: a.yml, inputs: {x: [\"$[[ inputs.x ]]\", \"$[[ inputs.x ]]\"]}}\n";
    check("doubling list", start.to_owned(), double, "gitlab-interpolation");
    let text =
        "spec: {inputs: {x: {}}}\n---\ninclude: {local: a.yml, inputs: {x: \"$[[ inputs.x ]]$[[ inputs.x ]]\"}}\n";
    check(
        "doubling text",
        "include: {local: a.yml, inputs: {x: ab}}\n".to_owned(),
        text,
        "gitlab-interpolation",
    );
}

#[test]
fn very_many_mistakes() {
    let jobs = lines(3_000, |n| format!("job-{n}: {{extends: job_{n}, script: x}}"));
    check("unknown bases", jobs, "", "gitlab-extends");
    let jobs = lines(3_000, |n| format!("job-{n}: {{needs: [jbo-{n}], script: x}}"));
    check("unknown needs", jobs, "", "gitlab-need");
}
