//! Actors with websockets, and a client for them.

use std::net::{SocketAddr, TcpStream};

use serde_json::{Value as Json, json};
use theater_plugin_api::testing::Seeded;
use theater_tests::PATIENCE;
use tungstenite::{Message, WebSocket};

use crate::stage::{Stage, turns};

/// A connected websocket client.
pub struct Client(WebSocket<TcpStream>);

impl Client {
    pub fn open(address: SocketAddr, target: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|error| format!("{target}: {error}"))?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
        let client = tungstenite::client(format!("ws://{address}{target}"), stream);
        client.map(|(client, _)| Self(client)).map_err(|error| format!("{target}: {error}"))
    }

    pub fn say(&mut self, message: impl Into<Message>) -> Result<(), String> {
        self.0.send(message.into()).map_err(|error| error.to_string())
    }

    /// Waits for the next message. Returns an error once the server has closed the connection.
    pub fn hear(&mut self) -> Result<Message, String> {
        self.0.read().map_err(|error| error.to_string())
    }

    fn hear_json(&mut self) -> Result<Json, String> {
        let heard = self.hear()?;
        serde_json::from_slice(&heard.clone().into_data()).map_err(|error| format!("{heard}: {error}"))
    }

    /// Closes the connection and waits until the server has closed it too.
    pub fn close(mut self) {
        // An error means that it is already closed.
        drop(self.0.close(None));
        while self.0.read().is_ok() {}
    }
}

pub fn chat(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    let at = stage.at("chat");
    let names = [1, 2].map(|_| format!("n{}", chance.number()));
    let mut clients = [
        Client::open(at, &format!("/chat?name={}", names[0]))?,
        Client::open(at, &format!("/chat?name={}", names[1]))?,
    ];
    let refused = Client::open(at, &format!("/chat?name={}", names[0]));
    if refused.is_ok() {
        return Err("chat: a name was taken twice".to_owned());
    }
    for _ in 0..turns(chance, 4) {
        let text = format!("{}", chance.number());
        clients[chance.below(2) as usize].say(text.as_str())?;
        for client in &mut clients {
            while client.hear_json()?["text"] != text.as_str() {}
        }
    }
    clients.into_iter().for_each(Client::close);
    Ok(())
}

pub fn parrot(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    let mut clients = Vec::new();
    for _ in 0..1 + chance.below(3) {
        let mut client = Client::open(stage.at("parrot"), "/ws")?;
        client.hear()?;
        clients.push(client);
    }
    for _ in 0..turns(chance, 2) {
        let at = chance.below(clients.len() as u64) as usize;
        let said = match chance.below(2) {
            0 => Message::text(chance.number().to_string()),
            _ => Message::binary(chance.number().to_le_bytes().to_vec()),
        };
        clients[at].say(said.clone())?;
        while clients[at].hear()? != said {}
    }
    clients.into_iter().for_each(Client::close);
    Ok(())
}

pub fn jobs(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    let mut client = Client::open(stage.at("jobs"), "/jobs")?;
    for _ in 0..turns(chance, 14) {
        let script = format!("echo one; echo two >&2; echo {}; exit {}", chance.number(), chance.below(4));
        client.say(json!({ "program": "sh", "args": ["-c", script] }).to_string())?;
        while client.hear_json()?["exit"].is_null() {}
    }
    client.say(json!({ "program": "make" }).to_string())?;
    while client.hear_json()?["error"].is_null() {}
    // This program is ended when its client disconnects.
    client.say(json!({ "program": "sh", "args": ["-c", "exec sleep 600"] }).to_string())?;
    while client.hear_json()?["started"].is_null() {}
    client.close();
    Ok(())
}
