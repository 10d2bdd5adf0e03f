//! Sends numbered messages to other chatters, and checks the numbers of the messages that it receives.
//!
//! - send `{"type": "go", "payload": {"to": [ids], "count": N, "seed": S, "batch": B}}`: sends N messages, each to
//!   a random actor of the list. After B (64) of them it queues the rest of the order in its own mailbox, so that
//!   it receives messages in between.
//! - request `{"type": "report"}`: answers `{"sent": N, "refused": N, "accepted": {id: N}, "received": {id: N},
//!   "out_of_order": N}`. `sent` counts all attempts and `refused` those that returned `err`. `accepted` is by
//!   target, `received` by sender.
//!
//! The numbers of a pair of sender and target begin with 1. A refused message does not use up a number.

mod ledger;

use ledger::{Id, Ledger};
use message::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use theater_sdk::{State, actor, message_server, message_server_host};

struct Chatter;

#[derive(Serialize, Deserialize)]
struct Go {
    to: Vec<String>,
    count: u64,
    #[serde(default)]
    seed: u64,
    #[serde(default = "batch")]
    batch: u64,
}

fn batch() -> u64 {
    64
}

#[actor::export]
impl actor::Actor for Chatter {
    fn init(state: State, (id,): (String,)) -> Result<(State,), String> {
        match state {
            Some(kept) if !kept.is_empty() => Ok((None,)),
            _ => Ok((Some(Ledger::new(&ledger::id(&id)?).into_state()),)),
        }
    }
}

#[message_server::export]
impl message_server::MessageServerClient for Chatter {
    fn handle_send(state: State, (bytes,): (Vec<u8>,)) -> Result<(State,), String> {
        let mut ledger = Ledger::of(state)?;
        match ledger::read_chat(&bytes) {
            Some((sender, number)) => ledger.received(&sender, number),
            None => go(&mut ledger, &bytes)?,
        }
        Ok((Some(ledger.into_state()),))
    }

    fn handle_request(state: State, (bytes,): (Vec<u8>,)) -> Result<(State, (Vec<u8>,)), String> {
        let ledger = Ledger::of(state)?;
        let message = Message::read(&bytes)?;
        let result = match message.kind.as_str() {
            "report" => Ok(report(&ledger)),
            _ => message.unknown("report"),
        };
        Ok((None, (message.answer(result),)))
    }
}

fn go(ledger: &mut Ledger, bytes: &[u8]) -> Result<(), String> {
    let message = Message::read(bytes)?;
    if message.kind != "go" {
        return message.unknown("go");
    }
    let mut go: Go = message.payload()?;
    let targets = go.to.iter().map(|to| ledger::id(to)).collect::<Result<Vec<_>, _>>()?;
    if targets.is_empty() {
        return Err("\"to\" should name at least one actor".to_owned());
    }
    while go.count > 0 {
        let now = go.count.min(go.batch.max(1));
        for _ in 0..now {
            chat(ledger, &targets[chance(&mut go.seed, targets.len())])?;
        }
        go.count -= now;
        // If its own mailbox is full, it continues right away.
        if go.count > 0 && later(ledger, &go).is_ok() {
            break;
        }
    }
    Ok(())
}

fn chat(ledger: &mut Ledger, target: &Id) -> Result<(), String> {
    let message = ledger::chat(&ledger.own_id(), ledger.next_to(target));
    let accepted = message_server_host::send(ledger::text(target)?, &message).is_ok();
    ledger.sent(target, accepted);
    Ok(())
}

fn later(ledger: &Ledger, go: &Go) -> Result<(), String> {
    let rest = message::write("go", "", json!(go));
    message_server_host::send(ledger::text(&ledger.own_id())?, &rest)
}

/// A linear congruential generator (Knuth, MMIX), of which the upper bits are used.
fn chance(seed: &mut u64, below: usize) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    ((*seed >> 33) % below as u64) as usize
}

fn report(ledger: &Ledger) -> Value {
    let mut accepted = serde_json::Map::new();
    let mut received = serde_json::Map::new();
    for pair in ledger.pairs() {
        let id = String::from_utf8_lossy(&pair.id).into_owned();
        for (counts, count) in [(&mut accepted, pair.accepted), (&mut received, pair.received)] {
            if count > 0 {
                counts.insert(id.clone(), json!(count));
            }
        }
    }
    json!({
        "sent": ledger.count(ledger::SENT),
        "refused": ledger.count(ledger::REFUSED),
        "accepted": accepted,
        "received": received,
        "out_of_order": ledger.count(ledger::OUT_OF_ORDER),
    })
}
