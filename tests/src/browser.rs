//! A headless Chromium, controlled over the DevTools protocol.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tungstenite::{Message, WebSocket};

use crate::{PATIENCE, Scratch, wait_until};

/// A running browser, closed on drop.
pub struct Browser {
    process: Child,
    socket: WebSocket<TcpStream>,
    last: u64,
    _profile: Scratch,
}

/// A tab, by its session id.
#[derive(Debug, Clone)]
pub struct Tab(String);

impl Browser {
    /// Starts a browser with a fresh profile.
    ///
    /// # Panics
    /// If Chromium is not installed or does not announce its port.
    #[must_use]
    pub fn start() -> Self {
        let profile = Scratch::new();
        let mut process = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-networking", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("these tests need Debian's chromium: install it, as `.ci/run` does");
        let errors = BufReader::new(process.stderr.take().expect("it is piped"));
        let (sender, receiver) = std::sync::mpsc::channel();
        // Read stderr to its end: the browser would block once the pipe is full.
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                if let Some(url) = line.strip_prefix("DevTools listening on ") {
                    sender.send(url.trim().to_owned()).ok();
                }
            }
        });
        let url = receiver.recv_timeout(PATIENCE).expect("the browser says where it listens");
        let address = url.trim_start_matches("ws://").split('/').next().unwrap_or_default().to_owned();
        let stream = TcpStream::connect(address).expect("the browser listens there");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let (socket, _) = tungstenite::client(url, stream).expect("it speaks the protocol");
        Self { process, socket, last: 0, _profile: profile }
    }

    /// Sends a command, to a tab if one is given, and waits for its result.
    fn command(&mut self, tab: Option<&Tab>, method: &str, params: &Json) -> Json {
        self.last += 1;
        let mut command = json!({ "id": self.last, "method": method, "params": params });
        if let Some(Tab(session)) = tab {
            command["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(command.to_string())).expect("the browser takes commands");
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let message = self.socket.read().expect("the browser answers");
            let answer: Json = serde_json::from_str(message.to_text().unwrap_or("null")).unwrap_or_default();
            if answer["id"] == self.last {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
        }
        panic!("{method}: no answer in {PATIENCE:?}");
    }

    /// Opens a page in a new tab and waits until it has loaded.
    ///
    /// # Panics
    /// If it does not load within [`PATIENCE`].
    pub fn open(&mut self, url: &str) -> Tab {
        let target = self.command(None, "Target.createTarget", &json!({ "url": url }))["targetId"].clone();
        let attached = self.command(None, "Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        let tab = Tab(attached["sessionId"].as_str().expect("a tab has a session").to_owned());
        self.wait(&tab, &format!("document.readyState === 'complete' && location.href.startsWith({})", json!(url)));
        tab
    }

    /// Evaluates a JavaScript expression in a tab's page.
    ///
    /// # Panics
    /// If the expression throws.
    pub fn evaluate(&mut self, tab: &Tab, expression: &str) -> Json {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let result = self.command(Some(tab), "Runtime.evaluate", &params);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    /// Waits until a JavaScript expression is true.
    ///
    /// # Panics
    /// If it does not become true within [`PATIENCE`].
    pub fn wait(&mut self, tab: &Tab, expression: &str) {
        wait_until(expression, || (self.evaluate(tab, expression) == true).then_some(()));
    }

    /// Types a text into the focused element, followed by Enter.
    pub fn enter(&mut self, tab: &Tab, text: &str) {
        self.command(Some(tab), "Input.insertText", &json!({ "text": text }));
        for kind in ["keyDown", "keyUp"] {
            let key = json!({
                "type": kind, "key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13,
            });
            self.command(Some(tab), "Input.dispatchKeyEvent", &key);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let close = json!({ "id": 0, "method": "Browser.close" }).to_string();
        let asked = self.socket.send(Message::text(close)).is_ok();
        let start = Instant::now();
        while asked && start.elapsed() < Duration::from_secs(5) {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
