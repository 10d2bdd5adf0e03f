//! The JSON envelope of the messages between these actors. It is their own convention: the host accepts any
//! bytes.
//!
//! A message is `{"type": .., "action": .., "payload": {..}, "metadata": {..}}`, where everything except the type is
//! optional. An answer is `{"type": "response", "status": .., "payload": .., "metadata": ..}` with the status
//! `success`, or `error` and the reason in `payload.message`. Its metadata is that of the message.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A parsed message.
#[derive(Deserialize)]
pub struct Message {
    /// The type of the message.
    #[serde(rename = "type")]
    pub kind: String,
    /// The action, for types that have more than one.
    #[serde(default)]
    pub action: String,
    #[serde(default)]
    payload: Value,
    #[serde(default)]
    metadata: Value,
}

impl Message {
    /// Parses a message.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("no message of ours: {error}"))
    }

    /// Parses the payload as the type that this kind of message carries.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, String> {
        // A missing payload counts as an empty object, which parses as a type without required fields.
        let payload = match &self.payload {
            Value::Null => &json!({}),
            payload => payload,
        };
        T::deserialize(payload).map_err(|error| format!("payload of \"{}\": {error}", self.kind))
    }

    /// Writes the answer to this message, with the payload or the reason of the error.
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

    /// The error for an unknown message. `known` lists the known types.
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

/// Parses an answer into its payload or its reason.
pub fn read_answer(bytes: &[u8]) -> Result<Value, String> {
    let mut answer: Value = serde_json::from_slice(bytes).map_err(|error| format!("no answer of ours: {error}"))?;
    let payload = answer["payload"].take();
    match (answer["status"].as_str(), &payload["message"]) {
        (Some("success"), _) => Ok(payload),
        (_, Value::String(reason)) => Err(reason.clone()),
        _ => Err(format!("no answer of ours: {answer}")),
    }
}

/// Parses a state from JSON. Returns the default if there is none.
pub fn state<T: DeserializeOwned + Default>(state: Option<Vec<u8>>) -> Result<T, String> {
    let Some(state) = state else {
        return Ok(T::default());
    };
    serde_json::from_slice(&state).map_err(|error| format!("the state: {error}"))
}

/// Writes a state as JSON.
pub fn keep(state: &impl Serialize) -> Result<Option<Vec<u8>>, String> {
    serde_json::to_vec(state).map(Some).map_err(|error| error.to_string())
}

/// A message handler: changes the state and returns the payload of the answer.
pub type Act<S> = fn(&mut S, &Message) -> Result<Value, String>;

/// `handle_send` for an actor with a JSON state. There is no answer.
pub fn handle_send<S>(old: Option<Vec<u8>>, bytes: &[u8], act: Act<S>) -> Result<(Option<Vec<u8>>,), String>
where
    S: DeserializeOwned + Serialize + Default,
{
    let mut new = state(old)?;
    act(&mut new, &Message::read(bytes)?)?;
    Ok((keep(&new)?,))
}

/// `handle_request` for an actor with a JSON state. An error leaves the state unchanged.
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
