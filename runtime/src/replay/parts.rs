//! What the replays of one data folder share: the engine, and compiled components.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::component::InstancePre;

use theater_chain::objects::Objects;

use crate::replay::guest::{Guest, link};
use crate::wasm::component::{Component, Components};
use crate::wasm::engine::Engines;

/// Memory that sizes the engine of a replay, in bytes: one instance runs at a time.
pub(super) const MEMORY: u64 = 64 << 20;

/// What replays of chains of one data folder share.
pub(crate) struct Parts {
    pub(super) engines: Arc<Engines>,
    pub(super) objects: Objects,
    pub(super) components: Components,
    /// Linked components by digest.
    linked: Mutex<HashMap<String, InstancePre<Guest>>>,
}

impl Parts {
    /// Creates what replays of chains of a data folder share.
    pub(crate) fn new(engines: Arc<Engines>, data: &Path) -> Self {
        let (components, linked) = (Components::default(), Mutex::default());
        Self { engines, objects: Objects::new(data), components, linked }
    }

    /// Returns the component linked to host functions that answer from the chain.
    pub(super) fn linked(&self, component: &Component) -> wasmtime::Result<InstancePre<Guest>> {
        let mut linked = self.linked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = linked.get(&component.digest) {
            return Ok(known.clone());
        }
        let pre = link(&self.engines, component)?;
        linked.insert(component.digest.clone(), pre.clone());
        Ok(pre)
    }
}
