//! Supervises the children that it is told to spawn, and counts how they end.
//!
//! Requests and sends, where `child` is an id:
//!
//! - `{"type": "grow", "payload": {"children": N, "depth": D}}`: spawns N children. With depth 1, the default,
//!   they are workers; otherwise they are trees that spawn N children of depth D - 1 in their `init`. Answers
//!   `{"children": [ids]}`
//! - `{"type": "report"}`: answers `{"children": [running], "spawned": N, "errors": N, "exits": N,
//!   "external_stops": N, "last": {"kind": .., "child": .., "data": ..}}`, with `null` before the first end
//! - `{"type": "tell", "payload": {"child": .., "message": {..}}}`: sends the message to the child, or to all
//!   without `child`; answers `{"told": N}`
//! - `{"type": "ask", "payload": {"child": .., "message": {..}}}`: sends a request and returns the child's answer
//! - `{"type": "stop" | "restart", "payload": {"child": ..}}`
//! - `{"type": "state", "payload": {"child": ..}}`: answers `{"state": text or null}`
//! - `{"type": "events", "payload": {"child": ..}}`: answers `{"types": [event types]}`
//! - `{"type": "resume", "payload": {"manifest": .., "state": text or null}}`: answers `{"child": ..}`
//!
//! - `{"type": "shutdown"}`: shuts the tree down
//!
//! `grow` may have manifests for its children, `worker` and `tree`, as paths or as TOML. The defaults are those
//! of the state, or else `worker.toml` and `tree.toml`.

use message::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use theater_sdk::supervisor_handlers::{SupervisorHandlers, WitActorError};
use theater_sdk::{State, actor, message_server, message_server_host, runtime, supervisor, supervisor_handlers};

#[derive(Serialize, Deserialize)]
#[serde(default)]
struct Tree {
    worker: String,
    tree: String,
    /// The children to spawn at the start.
    grow: Option<Grow>,
    spawned: u64,
    errors: u64,
    exits: u64,
    external_stops: u64,
    last: Option<Death>,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            worker: "worker.toml".to_owned(),
            tree: "tree.toml".to_owned(),
            grow: None,
            spawned: 0,
            errors: 0,
            exits: 0,
            external_stops: 0,
            last: None,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Grow {
    children: u64,
    #[serde(default = "one")]
    depth: u64,
    worker: Option<String>,
    tree: Option<String>,
}

fn one() -> u64 {
    1
}

#[derive(Serialize, Deserialize)]
struct Death {
    kind: String,
    child: String,
    data: Option<String>,
}

#[derive(Deserialize)]
struct Child {
    child: String,
}

#[derive(Deserialize)]
struct Tell {
    child: Option<String>,
    message: Value,
}

#[derive(Deserialize)]
struct Ask {
    child: String,
    message: Value,
}

#[derive(Deserialize)]
struct Resume {
    manifest: String,
    state: Option<String>,
}

#[actor::export]
impl actor::Actor for Tree {
    fn init(state: State, (_id,): (String,)) -> Result<(State,), String> {
        let mut tree: Self = message::state(state)?;
        if let Some(wanted) = tree.grow.take() {
            grow(&mut tree, &wanted)?;
            tree.grow = Some(wanted);
        }
        Ok((message::keep(&tree)?,))
    }
}

#[message_server::export]
impl message_server::MessageServerClient for Tree {
    fn handle_send(state: State, (bytes,): (Vec<u8>,)) -> Result<(State,), String> {
        message::handle_send(state, &bytes, act)
    }

    fn handle_request(state: State, (bytes,): (Vec<u8>,)) -> Result<(State, (Vec<u8>,)), String> {
        message::handle_request(state, &bytes, act)
    }
}

#[supervisor_handlers::export]
impl SupervisorHandlers for Tree {
    fn handle_child_error(state: State, (child, error): (String, WitActorError)) -> Result<(State,), String> {
        let kind = format!("error {:?}", error.error_type);
        died(state, kind, child, error.data, |tree| &mut tree.errors)
    }

    fn handle_child_exit(state: State, (child, data): (String, Option<Vec<u8>>)) -> Result<(State,), String> {
        died(state, "exit".to_owned(), child, data, |tree| &mut tree.exits)
    }

    fn handle_child_external_stop(state: State, (child,): (String,)) -> Result<(State,), String> {
        died(state, "external-stop".to_owned(), child, None, |tree| &mut tree.external_stops)
    }
}

fn died(
    state: State,
    kind: String,
    child: String,
    data: Option<Vec<u8>>,
    count: fn(&mut Tree) -> &mut u64,
) -> Result<(State,), String> {
    let mut tree: Tree = message::state(state)?;
    *count(&mut tree) += 1;
    tree.last = Some(Death { kind, child, data: data.map(text) });
    Ok((message::keep(&tree)?,))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn act(tree: &mut Tree, message: &Message) -> Result<Value, String> {
    match message.kind.as_str() {
        "grow" => grow(tree, &message.payload()?),
        "report" => Ok(report(tree)),
        "tell" => tell(message.payload()?),
        "ask" => {
            let Ask { child, message } = message.payload()?;
            let answer = message_server_host::request(&child, message.to_string().as_bytes())?;
            message::read_answer(&answer)
        }
        "stop" => supervisor::stop_child(&child(message)?).map(|()| json!({})),
        "restart" => supervisor::restart_child(&child(message)?).map(|()| json!({})),
        "state" => Ok(json!({ "state": supervisor::get_child_state(&child(message)?)?.map(text) })),
        "events" => events(&child(message)?),
        "shutdown" => runtime::shutdown(None).map(|()| json!({})),
        "resume" => {
            let Resume { manifest, state } = message.payload()?;
            let state = state.as_ref().map(|state| state.as_bytes());
            Ok(json!({ "child": supervisor::resume(&manifest, state)? }))
        }
        _ => message.unknown("grow, report, tell, ask, stop, restart, state, events, resume"),
    }
}

fn child(message: &Message) -> Result<String, String> {
    message.payload::<Child>().map(|Child { child }| child)
}

fn grow(tree: &mut Tree, wanted: &Grow) -> Result<Value, String> {
    let worker = wanted.worker.as_ref().unwrap_or(&tree.worker);
    let manifest = wanted.tree.as_ref().unwrap_or(&tree.tree);
    let subtree = json!({
        "worker": worker,
        "tree": manifest,
        "grow": { "children": wanted.children, "depth": wanted.depth.saturating_sub(1) },
    })
    .to_string();
    let mut children = Vec::new();
    for _ in 0..wanted.children {
        children.push(match wanted.depth {
            0 | 1 => supervisor::spawn(worker, None)?,
            _ => supervisor::spawn(manifest, Some(subtree.as_bytes()))?,
        });
    }
    tree.spawned += wanted.children;
    Ok(json!({ "children": children }))
}

fn report(tree: &Tree) -> Value {
    json!({
        "children": supervisor::list_children(),
        "spawned": tree.spawned,
        "errors": tree.errors,
        "exits": tree.exits,
        "external_stops": tree.external_stops,
        "last": tree.last,
    })
}

fn tell(Tell { child, message }: Tell) -> Result<Value, String> {
    let children = child.map_or_else(supervisor::list_children, |child| vec![child]);
    let message = message.to_string();
    for child in &children {
        message_server_host::send(child, message.as_bytes())?;
    }
    Ok(json!({ "told": children.len() }))
}

fn events(child: &str) -> Result<Value, String> {
    let events = supervisor::get_child_events(child)?;
    let types: Vec<_> = events.into_iter().map(|event| event.event_type).collect();
    Ok(json!({ "types": types }))
}
