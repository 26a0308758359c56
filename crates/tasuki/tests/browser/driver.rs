//! Chromium through chromedriver's JSON over HTTP (W3C WebDriver), as much of it as the tests need.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::Server;

const DRIVER: &str = "/usr/bin/chromedriver";
/// The name under which an element's id stands in WebDriver's answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub(crate) struct Browser {
    driver: Child,
    session: String,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.runtime.block_on(self.http.delete(&self.session).send()));
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

impl Browser {
    /// A fresh browser; `None`, said loudly, where there is no chromedriver.
    pub(crate) fn start() -> Option<Self> {
        Self::with(&json!({}))
    }

    pub(crate) fn without_scripts() -> Option<Self> {
        Self::with(&json!({"profile.managed_default_content_settings.javascript": 2}))
    }

    fn with(preferences: &Value) -> Option<Self> {
        if !std::path::Path::new(DRIVER).is_file() {
            println!("SKIPPED: {DRIVER} is not installed (Debian packages chromium and chromium-driver)");
            return None;
        }
        tasuki_proto::tls::install();
        let mut driver = program(DRIVER)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver starts");
        let out = BufReader::new(driver.stdout.take().expect("its output"));
        let port = out
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                line.split("successfully on port ")
                    .nth(1)?
                    .trim_end_matches('.')
                    .parse::<u16>()
                    .ok()
            })
            .expect("chromedriver tells its port");
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,860",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let options = json!({"args": arguments, "binary": "/usr/bin/chromium", "prefs": preferences});
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}});
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let mut browser = Self {
            driver,
            session: format!("http://127.0.0.1:{port}/session"),
            http: reqwest::Client::new(),
            runtime,
            _profile: profile,
        };
        let answer = browser.post("", &wanted);
        let id = answer["sessionId"].as_str().expect("a session").to_owned();
        browser.session = format!("{}/{id}", browser.session);
        Some(browser)
    }

    fn ask(&self, request: reqwest::RequestBuilder) -> Result<Value, String> {
        let (status, text) = self
            .runtime
            .block_on(async {
                let response = request.send().await?;
                let status = response.status();
                Ok::<_, reqwest::Error>((status, response.text().await?))
            })
            .map_err(|error| error.to_string())?;
        let body: Value = serde_json::from_str(&text).map_err(|error| format!("{error} in {text}"))?;
        if status.is_success() {
            Ok(body["value"].clone())
        } else {
            Err(body["value"]["message"].to_string())
        }
    }

    fn try_post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.ask(self.http.post(format!("{}{path}", self.session)).json(body))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.try_post(path, body)
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}{path}", self.session));
        self.ask(request).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn find(&self, using: &str, value: &str) -> Result<String, String> {
        let found = self.try_post("/element", &json!({"using": using, "value": value}))?;
        found[ELEMENT]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| format!("no element in {found}"))
    }

    fn element(&self, selector: &str) -> String {
        self.find("css selector", selector)
            .unwrap_or_else(|error| panic!("{selector}: {error}\n{}", self.text("body")))
    }

    pub(crate) fn open(&mut self, url: &str) {
        self.post("/url", &json!({"url": url}));
    }

    pub(crate) fn address(&self) -> String {
        self.get("/url").as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn log_in(&mut self, server: &Server) {
        self.open(&server.url("/login"));
        self.fill("#token", server.token());
        self.click("button.primary");
    }

    pub(crate) fn fill(&mut self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/clear"), &json!({}));
        self.post(&format!("/element/{element}/value"), &json!({"text": text}));
    }

    pub(crate) fn click(&mut self, selector: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Clicks the first link whose text holds `text`. A page that renews itself may take it away in between.
    pub(crate) fn click_link(&mut self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let clicked = self
                .find("partial link text", text)
                .and_then(|element| self.try_post(&format!("/element/{element}/click"), &json!({})));
            match clicked {
                Ok(_) => return,
                Err(error) => assert!(
                    Instant::now() < deadline,
                    "no link {text:?}: {error}\n{}",
                    self.text("body")
                ),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What a person reads in the element.
    pub(crate) fn text(&self, selector: &str) -> String {
        let Ok(element) = self.find("css selector", selector) else {
            return String::new();
        };
        let request = self.http.get(format!("{}/element/{element}/text", self.session));
        self.ask(request)
            .ok()
            .and_then(|text| text.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    pub(crate) fn wait_for_text(&mut self, selector: &str, text: &str, patience: Duration) {
        let deadline = Instant::now() + patience;
        loop {
            let seen = self.text(selector);
            if !seen.is_empty() && seen.contains(text) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{text:?} did not appear in {selector}; seen: {seen}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn evaluate(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Errors on the browser's console, blocked content included. A refused log-in is not one of the page's.
    pub(crate) fn errors(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({"type": "browser"}));
        entries
            .as_array()
            .into_iter()
            .flatten()
            .filter(|entry| entry["level"] == "SEVERE")
            .map(|entry| entry["message"].to_string())
            .filter(|message| !message.contains("/login"))
            .collect()
    }

    pub(crate) fn screenshot(&self, name: &str) {
        use base64::Engine as _;
        let picture = self.get("/screenshot");
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(picture.as_str().unwrap_or_default())
            .expect("a picture in base64");
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("browser");
        std::fs::create_dir_all(&folder).expect("a folder for pictures");
        std::fs::write(folder.join(format!("{name}.png")), bytes).expect("a picture");
    }
}

#[expect(clippy::disallowed_methods, reason = "the browser is a process")]
fn program(name: &str) -> Command {
    Command::new(name)
}
