//! The operator's commands: `theater send` and `theater request` to actors of a running program.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use theater_plugin_api::{Bytes, Host};

use crate::directory::{Directory, Found};
use crate::endpoint::Endpoint;
use crate::message::check_send;
use crate::request::{Asking, ask};
use crate::wait::{CutShort, Limit, within};

const SOURCE: &str = "operator";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    actor: String,
    value: Value,
}

/// Runs a command of the descriptor. Allow lists do not apply to the operator; schemas do.
///
/// # Errors
/// Returns a sentence for the operator.
pub(crate) async fn run(
    host: &Host,
    directory: &Arc<Directory>,
    name: &str,
    arguments: Value,
) -> Result<Value, String> {
    if arguments.get("args").is_some() {
        return Err(format!("{name} reaches running actors only: theater run MANIFEST --{name} NAME=JSON"));
    }
    let Arguments { actor, value } = serde_json::from_value(arguments)
        .map_err(|error| format!("{name} takes {{\"actor\": ID OR NAME, \"value\": JSON}}: {error}"))?;
    let message = Bytes::from(value.to_string());
    let receiver = match directory.find(host, &actor)? {
        Found::Here(receiver) => receiver,
        Found::Restarting(_) => return Err(format!("actor {actor:?} is being restarted: try again")),
    };
    match name {
        "send" => send(host, &receiver, &message).await,
        "request" => request(host, &receiver, &message).await,
        _ => Err(format!("message-server has no command {name:?}: it has send and request")),
    }
}

async fn send(host: &Host, receiver: &Endpoint, message: &Bytes) -> Result<Value, String> {
    let invocation = check_send(receiver, message)?;
    let limit = Limit::of_ms(receiver.limits.send_timeout_ms);
    let posted = receiver.host.post(invocation, SOURCE, None, false);
    within(host, limit, posted)
        .await
        .map_err(|short| cut_short(short, &format!("the mailbox of {receiver} was still full"), limit))?
        .map_err(|error| receiver.failed("handle-send", &error))?;
    receiver.host.count("received", 1.0);
    Ok(json!({ "sent": true }))
}

fn cut_short(short: CutShort, what: &str, limit: Limit) -> String {
    match short {
        CutShort::TimedOut => format!("{what} after {} ms", limit.ms),
        CutShort::Stopping => format!("{what} when the program was stopped"),
    }
}

async fn request(host: &Host, receiver: &Endpoint, message: &Bytes) -> Result<Value, String> {
    let limit = Limit::of_ms(receiver.limits.request_timeout_ms);
    let asking = Asking { source: SOURCE, from: None, waiting: host, limit };
    let answer = ask(receiver, message, asking).await.map_err(|error| error.to_string())?;
    Ok(serde_json::from_slice(&answer).unwrap_or_else(|_| String::from_utf8_lossy(&answer).into_owned().into()))
}
