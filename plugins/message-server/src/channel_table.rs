//! The channels of an actor, and an actor with its channels.
//!
//! These types refer to each other: a channel knows its two actors, and an actor's table holds its channels. What is
//! done with them is in `channel`.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use theater_plugin_api::Bytes;

use crate::endpoint::Endpoint;
use crate::wait::{OnceValue, lock};

/// A channel between two actors.
pub(crate) struct Channel {
    pub(crate) id: String,
    pub(crate) initiator: Member,
    pub(crate) acceptor: Member,
    /// For the initiator: the message of the acceptance, or why the channel did not open.
    pub(crate) verdict: OnceValue<Result<Option<Bytes>, String>>,
    pub(crate) closed: OnceValue<()>,
}

/// The channels that an actor is part of, by id.
#[derive(Default)]
pub(crate) struct Channels(Mutex<OpenChannels>);

#[derive(Default)]
struct OpenChannels {
    by_id: HashMap<String, Arc<Channel>>,
    /// Closed channels of whose close the actor has not been notified yet.
    leaving: HashSet<String>,
    ended: bool,
}

impl Channels {
    /// Adds a channel to the table of `of`.
    ///
    /// # Errors
    /// Returns a sentence if `of` has ended or has as many channels as it may.
    pub(crate) fn insert(&self, channel: &Arc<Channel>, of: &Endpoint) -> Result<(), String> {
        let mut table = lock(&self.0);
        let most = of.limits.max_channels;
        if table.ended {
            return Err(format!("{of} has ended"));
        }
        // A closed channel counts until the actor has been notified.
        if table.by_id.len() + table.leaving.len() >= most {
            return Err(format!(
                "{of} has {most} channels, as many as max_channels of its handler message-server allows"
            ));
        }
        table.by_id.insert(channel.id.clone(), Arc::clone(channel));
        Ok(())
    }

    /// Returns the ids of all channels that the actor does not know to be closed.
    pub(crate) fn ids(&self) -> Vec<String> {
        let table = lock(&self.0);
        table.by_id.keys().chain(&table.leaving).cloned().collect()
    }

    /// Marks a closed channel of whose close the actor is about to be notified.
    pub(crate) fn start_close_notice(&self, id: &str) {
        lock(&self.0).leaving.insert(id.to_owned());
    }

    /// Removes a closed channel of whose close the actor has been notified.
    pub(crate) fn close_notified(&self, id: &str) {
        lock(&self.0).leaving.remove(id);
    }

    pub(crate) fn remove(&self, id: &str) {
        lock(&self.0).by_id.remove(id);
    }

    /// Returns the channel `id`, open or not decided yet.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Channel>> {
        lock(&self.0).by_id.get(id).cloned()
    }

    /// Removes and returns all channels of the actor, which has ended, and prevents new ones.
    pub(crate) fn end(&self) -> Vec<Arc<Channel>> {
        let mut table = lock(&self.0);
        table.ended = true;
        table.by_id.drain().map(|(_, channel)| channel).collect()
    }
}

/// An actor with its channels. Clones share both.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) channels: Arc<Channels>,
}

impl Member {
    pub(crate) fn new(endpoint: Arc<Endpoint>) -> Self {
        Self { endpoint, channels: Arc::default() }
    }
}

impl Deref for Member {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}
