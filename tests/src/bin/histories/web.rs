//! Actors with a web server, and HTTP requests to them.

use std::net::SocketAddr;

use serde_json::json;
use theater_plugin_api::testing::Seeded;
use theater_tests::{Response, exchange, try_get};

use crate::stage::{Stage, turns};

/// The bearer token of the to-do list.
pub const TOKEN: &str = "secret";

/// Requests paths, each of which takes the actor `events` events, until there is a history.
fn visit(
    stage: &Stage,
    name: &str,
    chance: &mut Seeded,
    events: u64,
    mut path: impl FnMut(&mut Seeded) -> String,
) -> Result<(), String> {
    for _ in 0..turns(chance, events) {
        let path = path(chance);
        answered(name, &path, try_get(stage.at(name), &path))?;
    }
    Ok(())
}

fn answered(name: &str, path: &str, answer: std::io::Result<Response>) -> Result<Response, String> {
    let response = answer.map_err(|error| format!("{name}{path}: {error}"))?;
    // These may fail: the request asks for an error, or the actor lost its memory.
    let may_fail = path == "/err" || path == "/break" || name == "hidden-global";
    if response.status >= 500 && !may_fail {
        return Err(format!("{name}{path}: {} {}", response.status, response.text()));
    }
    Ok(response)
}

pub fn hello(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    visit(stage, "hello-http", chance, 3, |chance| format!("/{}", chance.below(100)))
}

pub fn clock(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    visit(stage, "clock", chance, 3, |chance| match chance.below(3) {
        0 => "/now".to_owned(),
        1 => format!("/sleep/{}", chance.below(4)),
        _ => format!("/deadline/{}", chance.below(1_000)),
    })
}

pub fn dice(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    visit(stage, "dice", chance, 3, |chance| match chance.below(4) {
        0 => format!("/bytes/{}", chance.below(100)),
        // Sometimes the maximum is below the minimum.
        1 => format!("/range/{}/{}", chance.below(100), chance.below(1_000)),
        2 => "/float".to_owned(),
        _ => "/uuid".to_owned(),
    })
}

pub fn env(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    visit(stage, "env", chance, 3, |chance| {
        chance.pick(&["/list", "/get/HOME", "/get/PATH", "/get/THEATER_ONE", "/exists/THEATER_TWO"]).to_owned()
    })
}

pub fn big_state(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    visit(stage, "big-state", chance, 2, |chance| match chance.below(10) {
        0 => format!("/set/{}", chance.below(30_000)),
        1..6 => "/touch".to_owned(),
        _ => "/read".to_owned(),
    })
}

pub fn files(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    visit(stage, "files", chance, 3, |chance| {
        chance.pick(&["/", "/index.html", "/a%20b.txt", "/missing", "/..%2fsecret"]).to_owned()
    })
}

pub fn hidden_global(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    visit(stage, "hidden-global", chance, 2, |_| "/".to_owned())
}

pub fn runtime_probe(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    answered("runtime-probe", "/chain", try_get(stage.at("runtime-probe"), "/chain"))?;
    visit(stage, "runtime-probe", chance, 3, |chance| format!("/log/{}", chance.number()))
}

pub fn trapper(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    visit(stage, "trapper", chance, 2, |chance| chance.pick(&["/", "/err"]).to_owned())
}

pub fn looper(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    visit(stage, "looper", chance, 2, |_| "/".to_owned())
}

pub fn allocator(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    visit(stage, "allocator", chance, 2, |_| "/".to_owned())
}

pub fn hello_routes(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    visit(stage, "hello-routes", chance, 2, |_| "/".to_owned())
}

pub fn proxy(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    visit(stage, "proxy", chance, 4, |chance| chance.pick(&["/", "/a?b", "/missing", "/break"]).to_owned())
}

pub fn todo(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    let at = stage.at("todo");
    for _ in 0..turns(chance, 24) {
        let text = json!({ "text": format!("number {}", chance.number()) }).to_string();
        let made = asked(at, "POST", "/todos", &text)?;
        let made: serde_json::Value = serde_json::from_str(&made.text()).map_err(|error| error.to_string())?;
        let item = format!("/todos/{}", made["id"]);
        asked(at, "PATCH", &item, r#"{"done":true}"#)?;
        asked(at, "GET", &item, "")?;
        if chance.one_in(2) {
            asked(at, "DELETE", &item, "")?;
        }
    }
    answered("todo", "/todos", try_get(at, "/todos")).map(drop)
}

fn asked(at: SocketAddr, method: &str, path: &str, body: &str) -> Result<Response, String> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {at}\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    answered("todo", path, exchange(at, format!("{head}{body}").as_bytes()))
}
