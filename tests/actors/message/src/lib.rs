//! The envelope of the messages that these actors send each other. It is a custom of theirs: the host takes any
//! bytes.
//!
//! A message is `{"type": .., "action": .., "payload": {..}, "metadata": {..}}`, where all but the type may be
//! missing. An answer is `{"type": "response", "status": .., "payload": .., "metadata": ..}` with the status
//! `success`, or `error` and the reason in `payload.message`; its metadata is that of the message.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A message, read.
#[derive(Deserialize)]
pub struct Message {
    /// What kind of message it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// What to do, where the type leaves that open.
    #[serde(default)]
    pub action: String,
    #[serde(default)]
    payload: Value,
    #[serde(default)]
    metadata: Value,
}

impl Message {
    /// Reads a message.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("no message of ours: {error}"))
    }

    /// The payload as what this type of message should carry.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, String> {
        // A message without payload carries nothing, which is an empty object to a type that needs nothing.
        let payload = match &self.payload {
            Value::Null => &json!({}),
            payload => payload,
        };
        T::deserialize(payload).map_err(|error| format!("payload of \"{}\": {error}", self.kind))
    }

    /// The answer with a payload, or with the reason why there is none.
    pub fn answer(&self, result: Result<Value, String>) -> Vec<u8> {
        let (status, payload) = match result {
            Ok(payload) => ("success", payload),
            Err(message) => ("error", json!({ "message": message })),
        };
        let answer = json!({
            "type": "response",
            "status": status,
            "payload": payload,
            "metadata": self.metadata,
        });
        answer.to_string().into_bytes()
    }

    /// The reason not to know this message; `known` lists the types that are known.
    pub fn unknown<T>(&self, known: &str) -> Result<T, String> {
        Err(format!("no type \"{}\" with action \"{}\"; there are {known}", self.kind, self.action))
    }
}

/// Writes a message.
pub fn write(kind: &str, action: &str, payload: Value) -> Vec<u8> {
    let message = json!({
        "type": kind,
        "action": action,
        "payload": payload,
        "metadata": {},
    });
    message.to_string().into_bytes()
}

/// The payload of an answer, or the reason it gives.
pub fn read_answer(bytes: &[u8]) -> Result<Value, String> {
    let mut answer: Value = serde_json::from_slice(bytes).map_err(|error| format!("no answer of ours: {error}"))?;
    let payload = answer["payload"].take();
    match (answer["status"].as_str(), &payload["message"]) {
        (Some("success"), _) => Ok(payload),
        (_, Value::String(reason)) => Err(reason.clone()),
        _ => Err(format!("no answer of ours: {answer}")),
    }
}

/// A state in JSON; the default for none.
pub fn state<T: DeserializeOwned + Default>(state: Option<Vec<u8>>) -> Result<T, String> {
    let Some(state) = state else {
        return Ok(T::default());
    };
    serde_json::from_slice(&state).map_err(|error| format!("the state: {error}"))
}

/// A state, written.
pub fn keep(state: &impl Serialize) -> Result<Option<Vec<u8>>, String> {
    serde_json::to_vec(state).map(Some).map_err(|error| error.to_string())
}

/// What an actor does with a message: changes its state and has a payload for the answer.
pub type Act<S> = fn(&mut S, &Message) -> Result<Value, String>;

/// `handle_send` of an actor with a state in JSON: acts, and answers nobody.
pub fn handle_send<S>(old: Option<Vec<u8>>, bytes: &[u8], act: Act<S>) -> Result<(Option<Vec<u8>>,), String>
where
    S: DeserializeOwned + Serialize + Default,
{
    let mut new = state(old)?;
    act(&mut new, &Message::read(bytes)?)?;
    Ok((keep(&new)?,))
}

/// `handle_request` of an actor with a state in JSON: acts and answers. After an error the old state stays.
pub fn handle_request<S>(
    old: Option<Vec<u8>>,
    bytes: &[u8],
    act: Act<S>,
) -> Result<(Option<Vec<u8>>, (Vec<u8>,)), String>
where
    S: DeserializeOwned + Serialize + Default,
{
    let mut new = state(old)?;
    let message = Message::read(bytes)?;
    let result = act(&mut new, &message);
    let kept = if result.is_ok() { keep(&new)? } else { None };
    Ok((kept, (message.answer(result),)))
}
