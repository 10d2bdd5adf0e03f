//! The operator's commands: `theater send` and `theater request` to actors of a running program.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use theater_plugin_api::{Bytes, Host};

use crate::directory::{Directory, Lookup};
use crate::endpoint::Endpoint;
use crate::message::check_send;
use crate::request::{Requester, ask};
use crate::wait::{Deadline, WaitError, within};

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
        Lookup::Present(receiver) => receiver,
        Lookup::Restarting(_) => return Err(format!("actor {actor:?} is being restarted: try again")),
    };
    match name {
        "send" => send(host, &receiver, &message).await,
        "request" => request(host, &receiver, &message).await,
        _ => Err(format!("message-server has no command {name:?}: it has send and request")),
    }
}

async fn send(host: &Host, receiver: &Endpoint, message: &Bytes) -> Result<Value, String> {
    let invocation = check_send(receiver, message)?;
    let deadline = Deadline::of_ms(receiver.limits.send_timeout_ms);
    let posted = receiver.host.post(invocation, SOURCE, None, false);
    within(host, deadline, posted)
        .await
        .map_err(|short| describe_wait_error(short, &format!("the mailbox of {receiver} was still full"), deadline))?
        .map_err(|error| receiver.failed("handle-send", &error))?;
    receiver.host.count("received", 1.0);
    Ok(json!({ "sent": true }))
}

fn describe_wait_error(short: WaitError, what: &str, deadline: Deadline) -> String {
    match short {
        WaitError::TimedOut => format!("{what} after {} ms", deadline.ms),
        WaitError::Stopping => format!("{what} when the program was stopped"),
    }
}

async fn request(host: &Host, receiver: &Endpoint, message: &Bytes) -> Result<Value, String> {
    let deadline = Deadline::of_ms(receiver.limits.request_timeout_ms);
    let requester = Requester { source: SOURCE, from: None, waiting: host, deadline };
    let answer = ask(receiver, message, requester).await.map_err(|error| error.to_string())?;
    Ok(serde_json::from_slice(&answer).unwrap_or_else(|_| String::from_utf8_lossy(&answer).into_owned().into()))
}
