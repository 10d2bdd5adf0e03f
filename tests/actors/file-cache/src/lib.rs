//! Stores contents under labels. Its state is `{"store": id}`: a store that the manifest grants, or otherwise
//! a new one that it creates at the start.
//!
//! Requests and sends:
//!
//! - `{"type": "put", "payload": {"label": .., "content": text}}`: answers `{"hash": ..}`
//! - `{"type": "get", "payload": {"label": ..}}`: answers `{"hash": .., "content": text}`
//! - `{"type": "remove", "payload": {"label": ..}}`
//! - `{"type": "list"}`: answers `{"labels": [..], "contents": N, "bytes": N}`

use message::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use theater_sdk::{State, actor, message_server, store};

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct FileCache {
    store: String,
}

#[derive(Deserialize)]
struct Label {
    label: String,
}

#[derive(Deserialize)]
struct File {
    label: String,
    content: String,
}

#[actor::export]
impl actor::Actor for FileCache {
    fn init(state: State, (_id,): (String,)) -> Result<(State,), String> {
        let mut cache: Self = message::state(state)?;
        if cache.store.is_empty() {
            cache.store = store::new()?;
        }
        Ok((message::keep(&cache)?,))
    }
}

#[message_server::export]
impl message_server::MessageServerClient for FileCache {
    fn handle_send(state: State, (bytes,): (Vec<u8>,)) -> Result<(State,), String> {
        message::handle_send(state, &bytes, act)
    }

    fn handle_request(state: State, (bytes,): (Vec<u8>,)) -> Result<(State, (Vec<u8>,)), String> {
        message::handle_request(state, &bytes, act)
    }
}

fn act(cache: &mut FileCache, message: &Message) -> Result<Value, String> {
    let id = &cache.store;
    match message.kind.as_str() {
        "put" => {
            let File { label, content } = message.payload()?;
            let reference = store::replace_content_at_label(id, &label, content.as_bytes())?;
            Ok(json!({ "hash": reference.hash }))
        }
        "get" => get(id, message.payload()?),
        "remove" => {
            let Label { label } = message.payload()?;
            store::remove_label(id, &label).map(|()| json!({}))
        }
        "list" => Ok(json!({
            "labels": store::list_labels(id)?,
            "contents": store::list_all_content(id)?.len(),
            "bytes": store::calculate_total_size(id)?,
        })),
        _ => message.unknown("put, get, remove, list"),
    }
}

fn get(id: &str, Label { label }: Label) -> Result<Value, String> {
    let reference = store::get_by_label(id, &label)?.ok_or_else(|| format!("nothing at \"{label}\""))?;
    let content = String::from_utf8(store::get(id, &reference)?).map_err(|error| error.to_string())?;
    Ok(json!({ "hash": reference.hash, "content": content }))
}
