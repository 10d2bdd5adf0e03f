//! The recorded description of a start: the data of `created`, `restarted` and `swapped` events.
//!
//! Everything the description names by digest (manifest, component, WIT texts, first state) is in `objects/` before the
//! event is recorded, so a chain never names an object that was not stored.

use theater_plugin_api::encoding::encode;

use theater_chain::event::NewEvent;
use theater_chain::record::{HandlerRecord, Kind, Setup, created};

use crate::actor::{ActorHandle, ActorSpec};
use crate::core::Core;
use crate::core::prepared::{Prepared, prepared_of};
use crate::manifest::Manifest;
use crate::support::error::Error;

impl Core {
    /// Returns the encoded [`Setup`] and stores everything it names in `objects/`.
    fn setup<'a>(&self, manifest: &Manifest, prepared: &'a Prepared) -> Result<&'a [u8], Error> {
        if let Some(setup) = prepared.setup.get() {
            return Ok(setup);
        }
        let stored = |digest: &str, bytes: &[u8]| self.objects.put_known(digest, bytes).map_err(|e| self.not_stored(e));
        let component = &prepared.linked.component;
        let handlers = prepared.handlers.iter().map(|handler| {
            Ok(HandlerRecord {
                handler_type: handler.handler_type.clone(),
                plugin: handler.plugin.descriptor.name.clone(),
                version: handler.plugin.descriptor.version.clone(),
                digest: handler.plugin.digest.clone(),
                wit: stored(&handler.plugin.wit_digest, handler.plugin.wit.as_bytes())?,
                config: handler.texts[0].clone(),
            })
        });
        let setup = Setup {
            manifest: self.store_object(manifest.text.as_bytes())?,
            path: manifest.path.display().to_string(),
            folder: manifest.folder.display().to_string(),
            component: stored(&component.digest, &component.bytes)?,
            handlers: handlers.collect::<Result<_, Error>>()?,
            functions: prepared.linked.interface.functions.clone(),
            limits: manifest.limits.list(),
            instance: manifest.instance.name().to_owned(),
        };
        let setup = encode(&setup).unwrap_or_default();
        Ok(prepared.setup.get_or_init(|| setup))
    }

    /// Returns the data of a `created`, `restarted` or `swapped` event.
    pub(super) fn created_data(&self, handle: &ActorHandle) -> Result<Vec<u8>, Error> {
        let parent = handle.parent().map(|parent| parent.id_text());
        self.start_data(handle.name(), parent, handle.origin())
    }

    /// Returns the data of the start of an actor with that name and parent, and stores everything it names in
    /// `objects/`.
    pub(super) fn start_data(&self, name: &str, parent: Option<&str>, spec: &ActorSpec) -> Result<Vec<u8>, Error> {
        let ActorSpec { manifest, state, .. } = spec;
        let prepared = prepared_of(spec);
        let init_state = state.as_deref().map(|state| self.store_object(state)).transpose()?;
        let engine = format!("theater {}, {}", env!("CARGO_PKG_VERSION"), crate::wasm::engine::VERSION);
        let setup = self.setup(manifest, &prepared)?;
        Ok(created(name, parent, setup, init_state.as_deref(), &engine).unwrap_or_default())
    }

    /// Records `created` or `restarted`.
    pub(super) fn record_start(&self, handle: &ActorHandle, kind: Kind) -> Result<(), Error> {
        let data = self.created_data(handle)?;
        match kind {
            Kind::Restarted => handle.record_restarted(&data)?,
            _ => handle.record(&NewEvent::plain(kind, &data))?,
        };
        Ok(())
    }

    /// Stores bytes in `objects/` and returns their digest.
    fn store_object(&self, bytes: &[u8]) -> Result<String, Error> {
        self.objects.put(bytes).map_err(|error| self.not_stored(error))
    }

    fn not_stored(&self, source: std::io::Error) -> Error {
        theater_chain::Error::DataDir { path: self.data().join("objects"), source }.into()
    }
}
