//! Supervises accounts and the transfers between them. At the start it spawns its accounts from its state
//! `{"open": {name: balance}, "account": manifest, "transfer": manifest}`, where a manifest is a path or TOML.
//!
//! Requests:
//!
//! - `{"type": "balances"}`: answers `{name: balance}`
//! - `{"type": "transfer", "payload": {"from": name, "to": name, "amount": N, "crash": false}}`: starts a worker and
//!   answers `{"transfer": id}` without waiting for it. With `crash` the worker traps between withdraw and deposit.
//! - `{"type": "transfers"}`: answers `{id: {"status": "running", "done" or "refused", "crashes": N, "reason": null
//!   or text}}`
//!
//! The supervisor config restarts a crashed worker. The teller is notified of the crash and tells it to run again. If
//! the worker is not restarted, another one gets the same order.

use std::collections::BTreeMap;

use message::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use theater_sdk::supervisor_handlers::{SupervisorHandlers, WitActorError};
use theater_sdk::{State, actor, message_server, message_server_host, supervisor, supervisor_handlers};

#[derive(Serialize, Deserialize)]
#[serde(default)]
struct Teller {
    open: BTreeMap<String, i64>,
    account: String,
    transfer: String,
    /// The actor ids of the accounts, by name.
    accounts: BTreeMap<String, String>,
    transfers: BTreeMap<String, Transfer>,
}

#[derive(Serialize, Deserialize)]
struct Transfer {
    from: String,
    to: String,
    amount: u32,
    worker: String,
    crashes: u64,
    status: Status,
    reason: Option<String>,
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Status {
    Running,
    Done,
    Refused,
}

#[derive(Deserialize)]
struct Order {
    from: String,
    to: String,
    amount: u32,
    #[serde(default)]
    crash: bool,
}

/// The final data of a worker.
#[derive(Deserialize)]
struct End {
    transfer: String,
    error: Option<String>,
}

impl Default for Teller {
    fn default() -> Self {
        Self {
            open: BTreeMap::from([("alice".to_owned(), 100), ("bob".to_owned(), 100)]),
            account: "account.toml".to_owned(),
            transfer: "transfer.toml".to_owned(),
            accounts: BTreeMap::new(),
            transfers: BTreeMap::new(),
        }
    }
}

#[actor::export]
impl actor::Actor for Teller {
    fn init(state: State, (_id,): (String,)) -> Result<(State,), String> {
        let mut teller: Self = message::state(state)?;
        for (name, balance) in &teller.open {
            let state = json!({ "balance": balance }).to_string();
            let account = supervisor::spawn(&teller.account, Some(state.as_bytes()))?;
            teller.accounts.insert(name.clone(), account);
        }
        Ok((message::keep(&teller)?,))
    }
}

#[message_server::export]
impl message_server::MessageServerClient for Teller {
    fn handle_send(state: State, (bytes,): (Vec<u8>,)) -> Result<(State,), String> {
        message::handle_send(state, &bytes, act)
    }

    fn handle_request(state: State, (bytes,): (Vec<u8>,)) -> Result<(State, (Vec<u8>,)), String> {
        message::handle_request(state, &bytes, act)
    }
}

#[supervisor_handlers::export]
impl SupervisorHandlers for Teller {
    fn handle_child_error(state: State, (child, _error): (String, WitActorError)) -> Result<(State,), String> {
        let mut teller: Self = message::state(state)?;
        let Some(id) = teller.transfer_of(&child) else {
            return Ok((None,));
        };
        teller.run_again(&id)?;
        Ok((message::keep(&teller)?,))
    }

    fn handle_child_exit(state: State, (_child, data): (String, Option<Vec<u8>>)) -> Result<(State,), String> {
        let mut teller: Self = message::state(state)?;
        let end = serde_json::from_slice(&data.unwrap_or_default());
        teller.ended(end.map_err(|error| format!("the last word of a transfer: {error}"))?);
        Ok((message::keep(&teller)?,))
    }
}

fn act(teller: &mut Teller, message: &Message) -> Result<Value, String> {
    match message.kind.as_str() {
        "balances" => teller.balances(),
        "transfer" => teller.start(message.payload()?),
        "transfers" => Ok(teller.transfers()),
        _ => message.unknown("balances, transfer, transfers"),
    }
}

impl Teller {
    fn balances(&self) -> Result<Value, String> {
        let mut balances = Map::new();
        for (name, account) in &self.accounts {
            let answer = message_server_host::request(account, &message::write("balance", "", json!({})))?;
            balances.insert(name.clone(), message::read_answer(&answer)?["balance"].take());
        }
        Ok(Value::Object(balances))
    }

    fn start(&mut self, Order { from, to, amount, crash }: Order) -> Result<Value, String> {
        let id = format!("transfer-{}", self.transfers.len() + 1);
        let mut transfer =
            Transfer { worker: String::new(), crashes: 0, status: Status::Running, reason: None, from, to, amount };
        transfer.worker = self.spawn_worker(&id, &transfer)?;
        run(&transfer.worker, crash)?;
        self.transfers.insert(id.clone(), transfer);
        Ok(json!({ "transfer": id }))
    }

    fn spawn_worker(&self, id: &str, transfer: &Transfer) -> Result<String, String> {
        let order = json!({
            "transfer": id,
            "from": self.account(&transfer.from)?,
            "to": self.account(&transfer.to)?,
            "amount": transfer.amount,
        });
        supervisor::spawn(&self.transfer, Some(order.to_string().as_bytes()))
    }

    fn account(&self, name: &str) -> Result<&str, String> {
        self.accounts.get(name).map(String::as_str).ok_or_else(|| format!("no account of {name}"))
    }

    fn transfer_of(&self, worker: &str) -> Option<String> {
        let mut running = self.transfers.iter().filter(|(_, transfer)| transfer.status == Status::Running);
        running.find(|(_, transfer)| transfer.worker == worker).map(|(id, _)| id.clone())
    }

    fn run_again(&mut self, id: &str) -> Result<(), String> {
        let Some(mut transfer) = self.transfers.remove(id) else {
            return Ok(());
        };
        transfer.crashes += 1;
        if run(&transfer.worker, false).is_err() {
            transfer.worker = self.spawn_worker(id, &transfer)?;
            run(&transfer.worker, false)?;
        }
        self.transfers.insert(id.to_owned(), transfer);
        Ok(())
    }

    fn ended(&mut self, End { transfer, error }: End) {
        if let Some(transfer) = self.transfers.get_mut(&transfer) {
            transfer.status = if error.is_none() { Status::Done } else { Status::Refused };
            transfer.reason = error;
        }
    }

    fn transfers(&self) -> Value {
        let line = |(id, transfer): (&String, &Transfer)| {
            let Transfer { status, crashes, reason, .. } = transfer;
            (id.clone(), json!({ "status": status, "crashes": crashes, "reason": reason }))
        };
        self.transfers.iter().map(line).collect()
    }
}

fn run(worker: &str, crash: bool) -> Result<(), String> {
    message_server_host::send(worker, &message::write("run", "", json!({ "crash": crash })))
}
