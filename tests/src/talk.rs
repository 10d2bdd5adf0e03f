//! Sends messages to an actor through the HTTP port of its message-server.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value as Json, json};

use crate::{PATIENCE, Response, Running, Scratch, component, exchange, read_response, wait_until};

/// A handler entry for a message-server on a port that the system assigns.
pub const TALK: &str = "[[handlers]]\ntype = \"message-server\"\nconfig = { port = 0 }\n";

/// Posts bytes to `/send` or `/request`.
///
/// # Panics
/// If there is no response.
#[must_use]
pub fn post(address: SocketAddr, path: &str, body: &[u8]) -> Response {
    try_post(address, path, body).unwrap_or_else(|error| panic!("POST {path}: {error}"))
}

/// Like [`post`], for a program that may be exiting.
///
/// # Errors
/// The errors of [`exchange`].
pub fn try_post(address: SocketAddr, path: &str, body: &[u8]) -> std::io::Result<Response> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    exchange(address, &[head.as_bytes(), body].concat())
}

/// Sends a request in the JSON envelope of our actors and returns the payload of the answer.
///
/// # Errors
/// The message of an error answer, the text of a response that is no envelope, or the I/O error.
pub fn try_ask(address: SocketAddr, kind: &str, payload: Json) -> Result<Json, String> {
    let message = json!({"type": kind, "payload": payload});
    let response = try_post(address, "/request", message.to_string().as_bytes());
    payload_of(&response.map_err(|error| error.to_string())?)
}

/// The payload of an answer in the envelope, or its error message.
fn payload_of(response: &Response) -> Result<Json, String> {
    let text = response.text();
    let answer: Json = serde_json::from_str(&text).map_err(|_| format!("{}: {text}", response.status))?;
    match answer["status"].as_str() {
        Some("success") => Ok(answer["payload"].clone()),
        _ => Err(answer["payload"]["message"].as_str().unwrap_or(&text).to_owned()),
    }
}

/// Like [`try_ask`], for a request that has to succeed.
///
/// # Panics
/// If it fails.
#[must_use]
pub fn ask(address: SocketAddr, kind: &str, payload: Json) -> Json {
    try_ask(address, kind, payload).unwrap_or_else(|error| panic!("{kind}: {error}"))
}

/// Sends a message that expects no answer.
///
/// # Panics
/// If it is not accepted with 202.
pub fn tell(address: SocketAddr, kind: &str, payload: Json) {
    let message = json!({"type": kind, "payload": payload});
    let response = post(address, "/send", message.to_string().as_bytes());
    assert_eq!(response.status, 202, "{}", response.text());
}

/// Repeats a request until `look` accepts the answer.
///
/// # Panics
/// If that does not happen within [`PATIENCE`].
pub fn ask_until<T>(address: SocketAddr, kind: &str, mut look: impl FnMut(&Json) -> Option<T>) -> T {
    wait_until(&format!("the right answer to {kind}"), || look(&ask(address, kind, json!({}))))
}

/// A keep-alive connection for many requests.
pub struct Line(BufReader<TcpStream>);

impl Line {
    /// Connects to an actor's port.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Like [`try_ask`], on this connection.
    ///
    /// # Errors
    /// The outer error means that the connection broke before the answer was complete.
    pub fn ask(&mut self, kind: &str, payload: Json) -> std::io::Result<Result<Json, String>> {
        let stream = self.0.get_mut();
        let (host, body) = (stream.peer_addr()?, json!({"type": kind, "payload": payload}).to_string());
        let head = format!("POST /request HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        read_response(&mut self.0).map(|response| payload_of(&response))
    }
}

/// Writes manifests into the scratch folder, each named after its actor and followed by TOML of its own. Copies their
/// components next to them, so that a supervisor can name these too.
///
/// # Panics
/// If a component cannot be copied.
pub fn manifests(scratch: &Scratch, all: &[(&str, &str)]) -> Vec<String> {
    all.iter()
        .map(|(actor, more)| {
            let beside = format!("{actor}.wasm");
            std::fs::copy(component(actor), scratch.path().join(&beside)).expect("the component is copied");
            let head = format!("name = {actor:?}\ncomponent_path = {beside:?}\n");
            scratch.write(&format!("{actor}.toml"), head + more).display().to_string()
        })
        .collect()
}

/// Starts actors from manifests that [`manifests`] writes, and returns the program and the address of each actor.
#[must_use]
pub fn start(scratch: &Scratch, all: &[(&str, &str)]) -> (Running, Vec<SocketAddr>) {
    let paths = manifests(scratch, all);
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let running = Running::start(&scratch.path().join("data"), &paths);
    let addresses = (0..all.len()).map(|number| running.address(number)).collect();
    (running, addresses)
}
