//! A bank account. Its state is `{"balance": N, "applied": {transfer: amount}}`; the initial one comes from its start.
//!
//! Requests, all answered with `{"balance": N}`:
//!
//! - `{"type": "deposit", "payload": {"transfer": id, "amount": N}}`
//! - `{"type": "withdraw", "payload": {"transfer": id, "amount": N}}`: the status is `error` if the balance is too low
//! - `{"type": "balance"}`
//!
//! A transfer is applied only once. Repeating it succeeds without a change.

use std::collections::BTreeMap;

use message::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use theater_sdk::{State, actor, message_server};

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Account {
    balance: i64,
    applied: BTreeMap<String, i64>,
}

#[derive(Deserialize)]
struct Change {
    transfer: String,
    amount: u32,
}

#[actor::export]
impl actor::Actor for Account {
    fn init(state: State, (_id,): (String,)) -> Result<(State,), String> {
        let account: Self = message::state(state)?;
        Ok((message::keep(&account)?,))
    }
}

#[message_server::export]
impl message_server::MessageServerClient for Account {
    fn handle_send(state: State, (bytes,): (Vec<u8>,)) -> Result<(State,), String> {
        message::handle_send(state, &bytes, act)
    }

    fn handle_request(state: State, (bytes,): (Vec<u8>,)) -> Result<(State, (Vec<u8>,)), String> {
        message::handle_request(state, &bytes, act)
    }
}

fn act(account: &mut Account, message: &Message) -> Result<Value, String> {
    match message.kind.as_str() {
        "deposit" => account.apply(message.payload()?, 1)?,
        "withdraw" => account.apply(message.payload()?, -1)?,
        "balance" => {}
        _ => return message.unknown("deposit, withdraw, balance"),
    }
    Ok(json!({ "balance": account.balance }))
}

impl Account {
    fn apply(&mut self, Change { transfer, amount }: Change, sign: i64) -> Result<(), String> {
        let amount = sign * i64::from(amount);
        match self.applied.get(&transfer) {
            Some(applied) if *applied == amount => return Ok(()),
            Some(applied) => return Err(format!("{transfer} was applied here with {applied}")),
            None => {}
        }
        if self.balance + amount < 0 {
            return Err(format!("{} is too little for {transfer}", self.balance));
        }
        self.balance += amount;
        self.applied.insert(transfer, amount);
        Ok(())
    }
}
