//! What an actor is started from.

use std::any::Any;
use std::sync::Arc;

use theater_chain::record::FunctionRecord;
use theater_chain::value_type::ValueType;

use crate::manifest::{Ceilings, Manifest};

/// What an actor was started from, and is restarted from.
#[derive(Clone)]
pub struct ActorSpec {
    /// Its manifest.
    pub manifest: Arc<Manifest>,
    /// Its component and handlers as the core prepared them; the type belongs to a higher floor.
    pub prepared: Arc<dyn Any + Send + Sync>,
    /// Its exports and the functions that its events name.
    pub interface: Arc<Interface>,
    /// Whether its instances come from the pool.
    pub pooled: bool,
    /// The permissions of its children.
    pub below: Ceilings,
    /// The state that `init` gets.
    pub state: Option<Arc<Vec<u8>>>,
}

/// The exports of an actor's component and the functions that its events name.
#[derive(Debug, Default)]
pub struct Interface {
    /// The exports that may be called.
    pub exports: Vec<Export>,
    /// The functions that events name by index.
    pub functions: Vec<FunctionRecord>,
    /// The index of `init` among the exports.
    pub init: usize,
}

/// An export that may be called.
#[derive(Debug)]
pub struct Export {
    /// `interface/function`.
    pub label: String,
    /// The types of its params, without the state.
    pub params: Vec<ValueType>,
    /// The index into [`Interface::functions`].
    pub function: u32,
}
