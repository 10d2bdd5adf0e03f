//! Moves money between two accounts. Its state is the order, `{"transfer": id, "from": actor, "to": actor,
//! "amount": N}`, and never changes.
//!
//! Send `{"type": "run", "payload": {"crash": false}}`: withdraws, deposits, and shuts itself down with
//! `{"transfer": id, "error": null or text}`. With `crash` it traps between the two. Both accounts deduplicate the
//! transfer by its id, so that another run completes what the first one began.

use message::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use theater_sdk::{State, actor, message_server, message_server_host, runtime};

#[derive(Serialize, Deserialize, Default)]
struct Transfer {
    transfer: String,
    from: String,
    to: String,
    amount: u32,
}

#[derive(Deserialize)]
struct Run {
    #[serde(default)]
    crash: bool,
}

#[actor::export]
impl actor::Actor for Transfer {
    fn init(state: State, (_id,): (String,)) -> Result<(State,), String> {
        if state.is_none() {
            return Err("a transfer starts with an order as its state".to_owned());
        }
        let _order: Self = message::state(state)?;
        Ok((None,))
    }
}

#[message_server::export]
impl message_server::MessageServerClient for Transfer {
    fn handle_send(state: State, (bytes,): (Vec<u8>,)) -> Result<(State,), String> {
        message::handle_send(state, &bytes, act)
    }

    fn handle_request(state: State, (bytes,): (Vec<u8>,)) -> Result<(State, (Vec<u8>,)), String> {
        message::handle_request(state, &bytes, act)
    }
}

fn act(order: &mut Transfer, message: &Message) -> Result<Value, String> {
    let Run { crash } = match message.kind.as_str() {
        "run" => message.payload()?,
        _ => return message.unknown("run"),
    };
    let error = order.run(crash).err();
    let end = json!({ "transfer": order.transfer, "error": error });
    runtime::shutdown(Some(end.to_string().as_bytes()))?;
    Ok(end)
}

impl Transfer {
    fn run(&self, crash: bool) -> Result<(), String> {
        self.change("withdraw", &self.from)?;
        if crash {
            panic!("told to crash between withdraw and deposit");
        }
        self.change("deposit", &self.to)
    }

    fn change(&self, kind: &str, account: &str) -> Result<(), String> {
        let payload = json!({ "transfer": self.transfer, "amount": self.amount });
        let answer = message_server_host::request(account, &message::write(kind, "", payload))?;
        message::read_answer(&answer).map(|_| ())
    }
}
