//! The actor that uses the functions no other actor uses: reconfigured servers, content stores, deferred requests.

use std::net::SocketAddr;
use std::thread;

use serde_json::{Value as Json, json};
use theater_plugin_api::testing::Seeded;
use theater_tests::talk::try_post;
use theater_tests::{Response, try_get};

use crate::sockets::Client;
use crate::stage::{Stage, turns};

const NAME: &str = "switchboard";

pub fn all(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    for _ in 0..turns(chance, 120) {
        serve(stage, chance)?;
        keep(stage, chance)?;
        wait(stage, chance)?;
    }
    Ok(())
}

fn ask(stage: &Stage, kind: &str, payload: Json) -> Result<Json, String> {
    stage.ask(NAME, kind, payload).map(|mut answer| answer["ok"].take())
}

/// The life cycle of a server, from `create-server` to `destroy-server`.
fn serve(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    let ask = |kind: &str, payload: Json| ask(stage, kind, payload);
    let server = ask("create-server", json!({}))?;
    let handler = ask("register-handler", json!({ "name": format!("handler {}", chance.below(3)) }))?;
    let route = ask("add-route", json!({ "server": server, "handler": handler, "path": "/a/:b", "method": "GET" }))?;
    ask("enable-websocket", json!({ "server": server, "handler": handler, "path": "/ws" }))?;
    let port = ask("start-server", json!({ "server": server }))?.as_u64().unwrap_or_default() as u16;
    let at = SocketAddr::from(([127, 0, 0, 1], port));
    let gives = |status: u16| match try_get(at, "/a/b") {
        Ok(Response { status: given, .. }) if given == status => Ok(()),
        other => Err(format!("{NAME}: {other:?} instead of {status}")),
    };
    gives(200)?;
    let middleware = ask("add-middleware", json!({ "server": server, "handler": handler, "path": "/a" }))?;
    gives(403)?;
    ask("get-server-info", json!({ "server": server }))?;
    ask("remove-middleware", json!({ "middleware": middleware }))?;
    gives(200)?;
    let mut client = Client::open(at, "/ws")?;
    client.say("which?")?;
    let connection: u64 = client.hear()?.to_string().parse().map_err(|error| format!("{NAME}: {error}"))?;
    let to = json!({ "server": server, "connection": connection, "content": "to you" });
    ask("send-websocket-message", to.clone())?;
    client.hear()?;
    ask("close-websocket", to)?;
    client.close();
    ask("remove-route", json!({ "route": route }))?;
    gives(404)?;
    ask("stop-server", json!({ "server": server }))?;
    ask("destroy-server", json!({ "server": server }))?;
    stage.try_ask(NAME, "get-server-info", json!({ "server": server }));
    Ok(())
}

/// Every function of a new store.
fn keep(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    let store = ask(stage, "new", json!({}))?;
    let (content, other) = (chance.number().to_string(), chance.number().to_string());
    let ask = |kind: &str, hash: &Json, content: &str| {
        let hash = hash.as_str().unwrap_or_default();
        ask(stage, kind, json!({ "store": store, "label": "label", "hash": hash, "content": content }))
    };
    let nothing = Json::Null;
    let first = ask("store", &nothing, &content)?;
    if ask("exists", &first, "")? != true || ask("get", &first, "")? != content {
        return Err(format!("{NAME}: {store} does not have {first}"));
    }
    ask("label", &first, "")?;
    let second = ask("store-at-label", &nothing, &other)?;
    ask("replace-at-label", &first, "")?;
    ask("replace-content-at-label", &nothing, &other)?;
    if ask("get-by-label", &nothing, "")? != second {
        return Err(format!("{NAME}: the label of {store} is not at {second}"));
    }
    ask("remove-from-label", &second, "")?;
    ask("label", &first, "")?;
    for kind in ["list-labels", "list-all-content", "calculate-total-size", "remove-label"] {
        ask(kind, &nothing, "")?;
    }
    Ok(())
}

/// Two deferred requests: one is answered later, one is cancelled.
fn wait(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    for kind in ["respond-to-request", "cancel-request"] {
        let content = chance.number().to_string();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| try_post(stage.at(NAME), "/request", br#"{"type":"wait"}"#));
            stage.ask_until(NAME, "list-outstanding-requests", &json!({}), |listed| {
                listed["ok"].as_array().is_some_and(|requests| requests.len() > 1)
            })?;
            // The list also has the current request, after the deferred one.
            let listed = ask(stage, "list-outstanding-requests", json!({}))?;
            ask(stage, kind, json!({ "request": listed[0], "content": content }))?;
            let answer = waiting.join().expect("no panic").map_err(|error| format!("{NAME}: {error}"))?;
            let is_answer = answer.text() == content;
            if is_answer != (kind == "respond-to-request") {
                return Err(format!("{NAME}: {kind} gave {} {}", answer.status, answer.text()));
            }
            Ok(())
        })?;
    }
    Ok(())
}
