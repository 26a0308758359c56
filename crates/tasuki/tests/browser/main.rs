//! The web UI as a person sees it: a headless Chromium, driven through chromedriver, against the real program.
//!
//! `cargo test -p tasuki --test browser -- --ignored`; needs Debian's `chromium` and `chromium-driver`.
//! Screenshots land in `target/browser/`.

#![expect(clippy::print_stdout, reason = "a skipped suite says so")]

mod driver;
mod server;

use std::time::Duration;

use driver::Browser;
use server::Server;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs Chromium; run by `cargo xtask test browser`"]
fn browser_a_newcomer_watches_the_example_go_green() {
    let Some(mut browser) = Browser::start() else { return };
    let server = Server::example();
    browser.open(&server.url("/"));
    browser.fill("#token", "wrong");
    browser.click("button.primary");
    browser.wait_for_text("[role=alert]", "", PATIENCE);
    browser.fill("#token", server.token());
    browser.click("button.primary");

    // From the projects to the running pipeline by following links only.
    browser.wait_for_text("main", "relay", PATIENCE);
    browser.click_link("relay");
    browser.wait_for_text("main", "Relay at", PATIENCE);
    browser.screenshot("pipelines");
    browser.click_link("Relay at");
    browser.wait_for_text(".graph", "leg: [aoki, 1]", PATIENCE);
    browser.screenshot("pipeline-running");
    // No reload: the page follows by itself.
    browser.wait_for_text("#head", "passed", PATIENCE);
    browser.screenshot("pipeline");

    browser.click_link("leg: [aoki, 2]");
    browser.wait_for_text("#log", "aoki passes kilometre 2", PATIENCE);
    browser.wait_for_text("#log", "hands the sash on", PATIENCE);
    let coloured = browser.evaluate("return getComputedStyle([...document.querySelectorAll('#log *')].filter(s => s.textContent.includes('hands the sash on')).pop()).color !== getComputedStyle(document.querySelector('#log')).color");
    assert_eq!(coloured, true, "the green line is coloured");
    browser.screenshot("job");

    browser.open(&(browser.address() + "#L3"));
    let marked =
        browser.evaluate("return document.querySelector(':target') !== null && document.querySelector(':target').id");
    assert_eq!(marked, "L3", "a line can be linked to");
    assert_eq!(browser.errors(), Vec::<String>::new(), "the browser's console is clean");
}

#[test]
#[ignore = "needs Chromium; run by `cargo xtask test browser`"]
fn browser_text_of_jobs_never_becomes_markup() {
    let Some(mut browser) = Browser::start() else { return };
    let attack = r#"<img src=x onerror=document.title=1><script>document.title=2</script>"#;
    let config = format!(
        "workflow: {{name: '{attack}'}}\n'{attack}':\n  script:\n    - cat attack.txt\n    - 'printf \"section_start:1:<b>x\\r\\033[0K{attack}\\n\"'\n"
    );
    let server = Server::project("attack", &[(".gitlab-ci.yml", &config), ("attack.txt", attack)]);
    browser.log_in(&server);
    browser.open(&server.url("/pipelines"));
    browser.wait_for_text("main", "onerror", PATIENCE);
    browser.click_link("onerror");
    browser.wait_for_text("#head", "passed", PATIENCE);
    browser.click_link("onerror");
    browser.wait_for_text("#log", "onerror", PATIENCE);
    assert_eq!(
        browser.evaluate("return document.querySelectorAll('main img, main script, #log b').length"),
        0
    );
    let title = browser.evaluate("return document.title");
    assert!(title != "1" && title != "2", "the page's title was taken over: {title}");
}

#[test]
#[ignore = "needs Chromium; run by `cargo xtask test browser`"]
fn browser_an_environment_is_found_and_stopped() {
    let Some(mut browser) = Browser::start() else { return };
    let config = "review:\n  script: [echo deployed]\n  \
        environment: {name: review/topic, url: 'https://topic.example.com/', on_stop: stop review, auto_stop_in: 2 days}\n\
        stop review:\n  script: [echo stopped]\n  when: manual\n  environment: {name: review/topic, action: stop}\n\
        bad address:\n  script: [echo deployed]\n  environment: {name: staging, url: 'javascript:document.title=1'}\n";
    let server = Server::project("places", &[(".gitlab-ci.yml", config)]);
    browser.log_in(&server);
    browser.open(&server.url("/"));
    browser.wait_for_text("main", "places", PATIENCE);
    browser.click_link("places");
    browser.click_link("Environments");
    // No reload: the page follows by itself.
    browser.wait_for_text("#environments", "https://topic.example.com", PATIENCE);
    browser.wait_for_text("#environments", "javascript:document.title=1", PATIENCE);
    browser.screenshot("environments");
    let links = "return document.querySelectorAll('main a[href^=javascript]').length";
    assert_eq!(browser.evaluate(links), 0, "that address is a text");
    browser.click_link("review/topic");
    browser.wait_for_text("#deployments", "review", PATIENCE);
    browser.screenshot("environment");
    browser.click("form[action$='/stop'] button");
    browser.wait_for_text("#head", "stopped", PATIENCE);
    browser.click_link("review");
    browser.wait_for_text("#facts", "review/topic", PATIENCE);
    browser.screenshot("job-of-environment");
    assert_eq!(browser.errors(), Vec::<String>::new(), "the browser's console is clean");
}

#[test]
#[ignore = "needs Chromium; run by `cargo xtask test browser`"]
fn browser_pages_are_readable_without_scripts_and_small() {
    let Some(mut browser) = Browser::without_scripts() else {
        return;
    };
    let server = Server::project(
        "plain",
        &[(".gitlab-ci.yml", "hello:\n  script: [echo 'read me without scripts']\n")],
    );
    browser.log_in(&server);
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        browser.open(&server.url("/pipelines"));
        if browser.text("main").contains("passed") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{}", browser.text("main"));
        std::thread::sleep(Duration::from_millis(300));
    }
    browser.click("main a[href*='/pipelines/']");
    browser.click_link("hello");
    assert!(browser.text("#log").contains("read me without scripts"));
    let bytes: usize = ["/login", "/assets/app.css", "/assets/app.js"]
        .iter()
        .map(|path| server.size_of(path))
        .sum();
    assert!(bytes > 0 && bytes <= 100 * 1024, "the first page weighs {bytes} bytes");
}
