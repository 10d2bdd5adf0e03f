//! One actor as the others see it.

use std::fmt;
use std::sync::Arc;

use theater_plugin_api::{Attachment, CallError, Host, encoding};

use crate::config::{Config, Limits};
use crate::counters::{Gauges, NextNumbers};
use crate::outstanding::OutstandingRequests;
use crate::rules::{AllowLists, Party};
use crate::schemas::{Schema, Schemas};
use crate::wait::{Deadline, WaitError};

/// One actor as a sender and receiver of messages.
pub(crate) struct Endpoint {
    pub(crate) host: Host,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) rules: AllowLists,
    pub(crate) limits: Limits,
    pub(crate) schemas: Schemas,
    pub(crate) numbers: Arc<NextNumbers>,
    pub(crate) requests: OutstandingRequests,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) sources: SourceNames,
    /// The encoded `result<_, string>` that a staged send returns to its sender if this actor has ended.
    pub(crate) ended: Vec<u8>,
    label: String,
}

/// The source of a call as a receiver's events name it; formatted once.
pub(crate) struct SourceNames {
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
    /// Creates the endpoint of the actor of `host`; `numbers` returns the numbers of an actor by its id.
    ///
    /// # Errors
    /// Returns a sentence about an invalid config.
    pub(crate) fn new(
        host: Host,
        attachment: &Attachment,
        gauges: Arc<Gauges>,
        numbers: impl FnOnce(&str) -> Arc<NextNumbers>,
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
            numbers: numbers(&about.actor),
            requests: OutstandingRequests::default(),
            gauges,
            sources: SourceNames {
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

    /// Returns this actor as one side of a check of the allow lists.
    pub(crate) fn party(&self) -> Party<'_> {
        Party { id: &self.id, name: &self.name, label: &self.label, rules: &self.rules }
    }

    /// Describes a wait of this actor that ended early; `what` says what had not happened.
    pub(crate) fn describe_wait_error(&self, short: WaitError, what: &str, deadline: Deadline) -> String {
        match short {
            WaitError::TimedOut => format!("{what} after {} ms", deadline.ms),
            WaitError::Stopping => format!("{what} when {self} was stopped"),
        }
    }

    /// Describes a call to `function` of this actor that returned no result.
    pub(crate) fn failed(&self, function: &str, error: &CallError) -> String {
        match error {
            CallError::Actor(text) => format!("{self} answered err: {text}"),
            CallError::Gone(text) => format!("{self} takes no more calls: {text}"),
            CallError::Absent(_) => self.missing_export(function),
            error => format!("{self} failed in {function}: {error}"),
        }
    }

    /// Describes a missing export.
    pub(crate) fn missing_export(&self, function: &str) -> String {
        format!("{self} does not export {function} of theater:simple/message-server-client")
    }

    /// Checks a message against this actor's schema for `function`.
    ///
    /// # Errors
    /// Returns a sentence if the message does not match.
    pub(crate) fn check_schema(&self, function: &str, schema: &Schema, message: &[u8]) -> Result<(), String> {
        schema
            .check(message)
            .map_err(|what| format!("the message does not fit the schema of {self} for {function}: {what}"))
    }
}
