//! The directory of the actors that can be reached; there is one per process.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use theater_plugin_api::Host;

use crate::channel_table::Member;
use crate::counters::{Gauges, NextNumbers};
use crate::endpoint::Endpoint;
use crate::rules;
use crate::wait::{Deadline, within};

/// The number of actors that have left above which those that have ended for good are removed.
const LEAST_SWEPT: usize = 64;

/// The polling interval for an actor that is being restarted.
const LOOK: Duration = Duration::from_millis(20);

/// The actors that are between `started` and `stopped`, by id.
pub(crate) struct Directory {
    /// The plugin's own host.
    host: Host,
    inner: RwLock<Inner>,
    pub(crate) gauges: Arc<Gauges>,
}

#[derive(Default)]
struct Inner {
    present: HashMap<String, Member>,
    /// Actors that have left and may come back, as in a supervised restart.
    left: HashMap<String, Arc<NextNumbers>>,
    sweep_at: usize,
}

/// The result of looking up an actor.
pub(crate) enum Lookup {
    /// The actor can be reached.
    Present(Member),
    /// The actor with this id is alive and was present before: it is being restarted.
    Restarting(String),
}

impl Directory {
    pub(crate) fn new(host: Host) -> Self {
        Self { host, inner: RwLock::default(), gauges: Arc::default() }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the numbers of the actor `id`, which continue those of its previous run.
    pub(crate) fn numbers(&self, id: &str) -> Arc<NextNumbers> {
        let inner = self.read();
        let present = inner.present.get(id).map(|member| &member.numbers);
        present.or_else(|| inner.left.get(id)).cloned().unwrap_or_default()
    }

    /// Adds an actor.
    ///
    /// # Errors
    /// Returns a sentence if the actor is present already.
    pub(crate) fn join(&self, member: &Member) -> Result<(), String> {
        let mut inner = self.write();
        if inner.present.contains_key(&member.id) {
            return Err("the actor already has a handler message-server: one [[handlers]] entry is enough".to_owned());
        }
        inner.left.remove(&member.id);
        inner.present.insert(member.id.clone(), member.clone());
        Ok(())
    }

    /// Removes an actor, unless `member` is not the one that is present.
    pub(crate) fn leave(&self, member: &Member) {
        let to_sweep = {
            let mut inner = self.write();
            if !inner.present.get(&member.id).is_some_and(|present| Arc::ptr_eq(&present.endpoint, &member.endpoint)) {
                return;
            }
            inner.present.remove(&member.id);
            inner.left.insert(member.id.clone(), Arc::clone(&member.numbers));
            let full = inner.left.len() > inner.sweep_at.max(LEAST_SWEPT);
            if full { inner.left.keys().cloned().collect() } else { Vec::new() }
        };
        if !to_sweep.is_empty() {
            self.sweep(to_sweep);
        }
    }

    /// Removes those of the given actors that have ended.
    fn sweep(&self, mut ended: Vec<String>) {
        // Call the core without holding our lock: it takes locks of its own.
        ended.retain(|id| self.host.find(id).is_err());
        let mut inner = self.write();
        for id in ended {
            inner.left.remove(&id);
        }
        inner.sweep_at = inner.left.len() * 2;
    }

    /// Finds the actor that `wanted` names: an id, a unique prefix of an id, or a name.
    ///
    /// # Errors
    /// Returns a sentence if there is no such actor, more than one matches, or it has no message-server handler.
    pub(crate) fn find(&self, host: &Host, wanted: &str) -> Result<Lookup, String> {
        // A complete id needs no search.
        if let Some(member) = self.read().present.get(wanted) {
            return Ok(Lookup::Present(member.clone()));
        }
        let id = host.find(wanted)?;
        let inner = self.read();
        match inner.present.get(&id) {
            Some(member) => Ok(Lookup::Present(member.clone())),
            None if inner.left.contains_key(&id) => Ok(Lookup::Restarting(id)),
            None => Err(format!(
                "actor {wanted:?} has no message-server handler that has started: it needs [[handlers]] with type = \
                 \"message-server\" in its manifest"
            )),
        }
    }

    /// Finds the actor that `wanted` names, if `sender` may reach it. Waits for an actor that is being restarted.
    ///
    /// # Errors
    /// Returns a sentence if there is no such actor, it has no message-server handler, or an allow list of one of the
    /// two does not contain the other.
    pub(crate) async fn member(&self, sender: &Endpoint, wanted: &str, deadline: Deadline) -> Result<Member, String> {
        let receiver = match self.find(&sender.host, wanted)? {
            Lookup::Present(receiver) => receiver,
            Lookup::Restarting(id) => self.wait_for_restart(sender, &id, deadline).await?,
        };
        rules::check(sender.party(), receiver.party())?;
        Ok(receiver)
    }

    async fn wait_for_restart(&self, sender: &Endpoint, id: &str, deadline: Deadline) -> Result<Member, String> {
        let _edge = sender.host.wait_for(id, "its restart")?;
        let back = async {
            loop {
                match self.find(&sender.host, id)? {
                    Lookup::Present(receiver) => return Ok(receiver),
                    Lookup::Restarting(_) => sender.host.sleep(LOOK).await,
                }
            }
        };
        let late = |short| {
            sender.describe_wait_error(short, &format!("actor {id}, which is being restarted, was not back"), deadline)
        };
        within(&sender.host, deadline, back).await.unwrap_or_else(|short| Err(late(short)))
    }

    /// Like [`Directory::member`], for callers that need no channels.
    ///
    /// # Errors
    /// As [`Directory::member`].
    pub(crate) async fn receiver(
        &self,
        sender: &Endpoint,
        wanted: &str,
        deadline: Deadline,
    ) -> Result<Arc<Endpoint>, String> {
        self.member(sender, wanted, deadline).await.map(|member| member.endpoint)
    }
}
