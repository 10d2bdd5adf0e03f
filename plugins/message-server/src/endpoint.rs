//! One actor as the others see it, and how one reaches another.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use theater_plugin_api::{Attachment, CallError, Host, encoding};

use crate::channel::Channels;
use crate::config::{Config, Limits};
use crate::directory::{Directory, Found, Numbers};
use crate::request::Requests;
use crate::rules::{self, Rules};
use crate::schemas::{Schema, Schemas};
use crate::wait::{CutShort, Limit, within};

/// How often an actor that is being restarted is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// One actor's side of all messages.
pub(crate) struct Endpoint {
    pub(crate) host: Host,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) rules: Rules,
    pub(crate) limits: Limits,
    pub(crate) schemas: Schemas,
    pub(crate) numbers: Arc<Numbers>,
    pub(crate) requests: Requests,
    pub(crate) channels: Channels,
    pub(crate) directory: Arc<Directory>,
    pub(crate) sources: Sources,
    /// What a function that gives `result<_, string>` answers when this actor has ended, encoded.
    pub(crate) ended: Vec<u8>,
    label: String,
}

/// What the events of a receiver say about where a call comes from; made once.
pub(crate) struct Sources {
    pub(crate) message: String,
    pub(crate) request: String,
    pub(crate) channel: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl Endpoint {
    pub(crate) fn new(
        directory: &Arc<Directory>,
        host: Host,
        attachment: &Attachment,
    ) -> Result<(Arc<Self>, theater_http_listener::Config), String> {
        let config: Config = attachment.config()?;
        let about = host.whose()?;
        let short = about.actor.get(..8).unwrap_or(&about.actor);
        let who = format!("{:?} ({short})", about.name);
        let label = format!("actor {who}");
        let ended = encoding::encode(&Err::<(), _>(format!("{label} has ended"))).map_err(|error| error.to_string())?;
        let endpoint = Self {
            rules: config.rules,
            limits: config.limits,
            schemas: Schemas::new(&config.schemas)?,
            numbers: directory.numbers(&about.actor),
            requests: Requests::default(),
            channels: Channels::default(),
            directory: Arc::clone(directory),
            sources: Sources {
                message: format!("message from {who}"),
                request: format!("request from {who}"),
                channel: format!("channel with {who}"),
            },
            ended,
            label,
            host,
            id: about.actor,
            name: about.name,
        };
        Ok((Arc::new(endpoint), config.listen))
    }

    /// The actor that `wanted` stands for, if this one may reach it. Waits for one that is being restarted.
    ///
    /// # Errors
    /// A sentence: nobody is there, it takes no messages, or one of the two has the other not on its list.
    pub(crate) async fn receiver(&self, wanted: &str, limit: Limit) -> Result<Arc<Self>, String> {
        let receiver = match self.directory.find(&self.host, wanted)? {
            Found::Here(receiver) => receiver,
            Found::Restarting(id) => self.returned(&id, limit).await?,
        };
        rules::check(self, &receiver)?;
        Ok(receiver)
    }

    async fn returned(&self, id: &str, limit: Limit) -> Result<Arc<Self>, String> {
        let _edge = self.host.wait_for(id, "its restart")?;
        let back = async {
            loop {
                match self.directory.find(&self.host, id)? {
                    Found::Here(receiver) => return Ok(receiver),
                    Found::Restarting(_) => self.host.sleep(LOOK).await,
                }
            }
        };
        let late = |short| self.cut_short(short, &format!("actor {id}, which is being restarted, was not back"), limit);
        within(&self.host, limit, back).await.unwrap_or_else(|short| Err(late(short)))
    }

    /// A sentence on a wait of this actor: `what` had not happened.
    pub(crate) fn cut_short(&self, short: CutShort, what: &str, limit: Limit) -> String {
        match short {
            CutShort::TimedOut => format!("{what} after {} ms", limit.ms),
            CutShort::Stopping => format!("{what} when {self} was stopped"),
        }
    }

    /// A sentence on a call of `function` of this actor that gave no result.
    pub(crate) fn failed(&self, function: &str, error: &CallError) -> String {
        match error {
            CallError::Actor(text) => format!("{self} answered err: {text}"),
            CallError::Gone(text) => format!("{self} takes no more calls: {text}"),
            CallError::Absent(_) => self.lacks(function),
            error => format!("{self} failed in {function}: {error}"),
        }
    }

    /// A sentence on an export that is missing.
    pub(crate) fn lacks(&self, function: &str) -> String {
        format!("{self} does not export {function} of theater:simple/message-server-client")
    }

    /// # Errors
    /// A sentence when the message does not fit this actor's schema for `function`.
    pub(crate) fn fits(&self, function: &str, schema: &Schema, message: &[u8]) -> Result<(), String> {
        schema
            .check(message)
            .map_err(|what| format!("the message does not fit the schema of {self} for {function}: {what}"))
    }
}
