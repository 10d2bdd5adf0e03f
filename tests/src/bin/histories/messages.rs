//! Actors that receive messages, and actors that send them to each other.

use serde_json::{Value as Json, json};
use theater_plugin_api::testing::Seeded;
use theater_tests::talk::try_post;

use crate::cast::TWICE;
use crate::stage::{EVENTS, Stage, turns};

/// Sends a message that expects no answer.
fn tell(stage: &Stage, name: &str, message: &[u8]) -> Result<(), String> {
    match try_post(stage.at(name), "/send", message) {
        Ok(response) if response.status == 202 => Ok(()),
        Ok(response) => Err(format!("{name}: {} {}", response.status, response.text())),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

pub fn fetch(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    for _ in 0..turns(chance, 4) {
        let path = chance.pick(&["", "a/b?c=d", "missing", "break"]);
        let method = chance.pick(&["GET", "POST", "HEAD"]);
        let body = (method == "POST").then(|| chance.number().to_string());
        let asked = json!({ "method": method, "uri": format!("http://{}/{path}", stage.upstream), "body": body });
        match path {
            "break" => stage.try_ask("fetch", "send", asked),
            _ => drop(stage.ask("fetch", "send", asked)?),
        }
    }
    stage.try_ask("fetch", "send", json!({ "uri": "http://example.com/" }));
    Ok(())
}

pub fn file_cache(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    for _ in 0..turns(chance, 17) {
        let label = format!("label {}", chance.below(5));
        let content = chance.number().to_string();
        stage.ask("file-cache", "put", json!({ "label": label, "content": content }))?;
        let got = stage.ask("file-cache", "get", json!({ "label": label }))?;
        if got["content"] != content {
            return Err(format!("file-cache: {got} instead of {content}"));
        }
        stage.ask("file-cache", "list", json!({}))?;
        stage.ask("file-cache", "remove", json!({ "label": label }))?;
    }
    Ok(())
}

pub fn counter(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    for _ in 0..turns(chance, 4) {
        let message = json!({ "type": "increment", "payload": { "by": chance.below(10) } });
        tell(stage, "counter", message.to_string().as_bytes())?;
        stage.ask("counter", "get", json!({}))?;
    }
    tell(stage, "counter", b"no message of its kind")
}

pub fn echo(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    for _ in 0..turns(chance, 2) {
        let mut message = vec![chance.below(5) as u8];
        message.extend((0..chance.below(100)).map(|_| chance.below(256) as u8));
        if chance.one_in(3) {
            tell(stage, "echo", &message)?;
            continue;
        }
        let answer = try_post(stage.at("echo"), "/request", &message).map_err(|error| error.to_string())?;
        if answer.body != message {
            return Err(format!("echo: {:?} instead of {message:?}", answer.body));
        }
    }
    Ok(())
}

pub fn steps(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    for _ in 0..turns(chance, 4) {
        let note = chance.number().to_string();
        let step = json!({ "note": note, "sleep": chance.below(3), "turns": chance.below(10_000) });
        stage.ask("steps", "step", step)?;
    }
    stage.report("steps").map(drop)
}

/// Uses requests, each of which is one call of `ping` and many of `pong`, and messages that go back and forth.
pub fn ping(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    let to = stage.id("pong");
    // An exchange that a previous run began has to finish first.
    stage.ask_until("ping", "report", &json!({}), |report| report["done"] == true)?;
    for _ in 0..4 {
        let report = stage.ask("ping", "start", json!({ "to": to, "count": 10 + chance.below(20) }))?;
        if report["wrong"] != 0 {
            return Err(format!("ping: {report}"));
        }
    }
    let count = turns(chance, 3);
    let message = json!({ "type": "start", "action": "send", "payload": { "to": to, "count": count } });
    tell(stage, "ping", message.to_string().as_bytes())?;
    stage.ask_until("ping", "report", &json!({}), |report| report["right"] == count).map(drop)
}

pub fn subscriber(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    let ask = |kind: &str, payload: Json| stage.ask("subscriber", kind, payload);
    let topics = [1, 2].map(|_| format!("topic {}", chance.number()));
    for topic in &topics {
        ask("subscribe", json!({ "broker": stage.id("broker"), "topic": topic }))?;
    }
    // `pong` accepts no channels.
    stage.try_ask("subscriber", "subscribe", json!({ "broker": stage.id("pong"), "topic": "refused" }));
    for _ in 0..turns(chance, 3) {
        let data = chance.number();
        ask("publish", json!({ "topic": chance.pick(&topics), "data": data }))?;
        if chance.one_in(20) {
            stage.ask_until("subscriber", "report", &json!({}), |report| {
                report["events"].as_array().is_some_and(|events| events.iter().any(|event| event["data"] == data))
            })?;
        }
    }
    stage.ask("broker", "topics", json!({}))?;
    for topic in topics {
        ask("unsubscribe", json!({ "topic": topic }))?;
        stage.ask_until("subscriber", "report", &json!({}), |report| {
            report["closed"].as_array().is_some_and(|closed| closed.contains(&json!(topic)))
        })?;
    }
    Ok(())
}

/// Both chatters send to each other and to themselves.
pub fn chatters(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    let names = [TWICE.to_owned(), format!("{TWICE}#2")];
    let ids: Vec<_> = names.iter().map(|name| stage.id(name)).collect();
    for name in &names {
        let before = sent(&stage.report(name)?);
        let payload = json!({
            "to": ids, "count": EVENTS, "seed": chance.below(1 << 32), "batch": 1 + chance.below(40),
        });
        tell(stage, name, json!({ "type": "go", "payload": payload }).to_string().as_bytes())?;
        stage.ask_until(name, "report", &json!({}), |report| sent(report) >= before + EVENTS)?;
    }
    Ok(())
}

fn sent(report: &Json) -> u64 {
    report["sent"].as_u64().unwrap_or_default()
}
