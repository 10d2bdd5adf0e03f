//! The `store` plugin: content-addressed storage on disk, with labels that point to content.
//!
//! | file | what |
//! |---|---|
//! | [`names`], [`hash`] | validation of store ids, labels, `store:` URLs and hashes |
//! | [`rights`] | the config: which stores a caller can see, and quotas |
//! | [`depot`] | the operations behind functions and commands, on top of the next two rows |
//! | [`index`], [`tables`], [`view`], [`changes`], [`references`] | stores, labels and sizes in one redb file, with group commit |
//! | [`contents`] | the bytes: one file per content |
//! | [`command`] | `theater store ...` |
//!
//! Content is kept in files, not as values in the index. Measured with 100 MB: storing takes 0.5 s instead of 0.7 s,
//! reading 0.2 s instead of 0.4 s, and peak memory is 198 MB instead of 363 MB. The price is paid by small content:
//! storing a new 1 KiB content takes three fsyncs instead of one (13 ms instead of 4 ms).
//!
//! A store is owned by the actor that created it, identified by the actor's id. It outlives the actor, so a restarted
//! or resumed actor finds it again. Content that several stores share is one file, but counts towards the size of each
//! store. Operators may use every store.
//!
//! Functions that change the disk are declared `effect`, although repeating one (except `new`) changes nothing more: a
//! replay has to know which changes were made outside the chain.

#![forbid(unsafe_code)]

mod changes;
mod command;
mod contents;
mod depot;
mod error;
mod hash;
mod index;
mod label_update;
mod names;
mod references;
mod rights;
mod tables;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use blocking::unblock;
use serde_json::Value;
use theater_plugin_api::{Attachment, Bytes, Call, Handler, Host, Plugin, Recovered};

use depot::Depot;
use error::Error;
use hash::Hash;
use label_update::Place;
use names::Target;
use rights::Rights;
use theater::simple::store::ContentRef;

theater_plugin_api::bindings! {
    plugin: Stores,
    handler: Shelf,
    name: "store",
    wit: "../../wit",
    provides: { "theater:simple/store": {
        "new": async effect, "store": async effect, "get": async read, "exists": async read,
        "label": async effect, "get-by-label": async read,
        "remove-label": async effect, "remove-from-label": async effect,
        "store-at-label": async effect, "replace-content-at-label": async effect, "replace-at-label": async effect,
        "list-labels": async read, "list-all-content": async read, "calculate-total-size": async read,
    } },
    config: "config.schema.json",
    schemes: ["store"],
    commands: { "store": "Creates, fills, lists and clears stores: new, put, get, ls, label, rm, gc, help" },
}

/// The plugin: owns all stores in the data folder.
pub struct Stores {
    depot: Arc<Depot>,
}

impl Plugin for Stores {
    type Handler = Shelf;

    fn init(host: Host) -> Result<Self, String> {
        Ok(Self { depot: Arc::new(Depot::new(host)) })
    }

    async fn attach(&self, host: Host, attachment: Attachment) -> Result<Shelf, String> {
        let rights = Rights::of_actor(host.whose()?.actor, attachment.config()?).map_err(|error| {
            format!("in the handler store, config = {{ stores = [...] }} has an invalid name: {error}")
        })?;
        Ok(Shelf { depot: Arc::clone(&self.depot), rights: Arc::new(rights) })
    }

    fn narrow(&self, _: &str, ceiling: &Value, requested: &Value) -> Result<Value, String> {
        rights::narrow(ceiling, requested)
    }

    async fn resolve(&self, url: &str, actor: &str, ceiling: &Value) -> Result<Vec<u8>, String> {
        let (store, target) = Target::of_url(url)?;
        let rights = Rights::under(actor, ceiling).map_err(|error| format!("{url}: {error}"))?;
        let depot = Arc::clone(&self.depot);
        unblock(move || depot.named(&rights, &store, &target)).await.map_err(|error| format!("{url}: {error}"))
    }

    async fn command(&self, name: &str, arguments: Value) -> Result<Value, String> {
        if name != "store" {
            return Err(format!("there is no command {name}: this plugin has the command store"));
        }
        let depot = Arc::clone(&self.depot);
        unblock(move || command::run(&depot, &arguments)).await
    }
}

/// One actor's stores.
pub struct Shelf {
    depot: Arc<Depot>,
    rights: Arc<Rights>,
}

impl Handler for Shelf {
    /// Rebuilds nothing: the index on disk has every store that a recorded `new` created, with its owner.
    fn recover(&self, _: Recovered<'_>) -> Result<(), String> {
        Ok(())
    }
}

impl Shelf {
    /// Runs `work` on the depot, on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Depot, &Arc<Rights>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, String> {
        let (depot, rights) = (Arc::clone(&self.depot), Arc::clone(&self.rights));
        unblock(move || work(&depot, &rights)).await.map_err(String::from)
    }

    async fn put(&self, store: String, content: Bytes, place: Place) -> Result<ContentRef, String> {
        self.ask(move |depot, rights| depot.put(rights, &store, &content, place)).await.map(reference)
    }

    async fn point(&self, store: String, place: Place, content: ContentRef) -> Result<(), String> {
        self.ask(move |depot, rights| depot.point(rights, &store, place, Hash::parse(&content.hash)?)).await
    }
}

fn reference(hash: Hash) -> ContentRef {
    ContentRef { hash: hash.to_string() }
}

impl theater::simple::store::Store for Shelf {
    async fn new(&self, _: &Call) -> Result<String, String> {
        self.ask(|depot, rights| depot.make(rights, None)).await
    }

    async fn store(&self, _: &Call, store: String, content: Bytes) -> Result<ContentRef, String> {
        self.put(store, content, Place::Unlabelled).await
    }

    async fn get(&self, _: &Call, store: String, content: ContentRef) -> Result<Bytes, String> {
        self.ask(move |depot, rights| depot.get(rights, &store, &Hash::parse(&content.hash)?)).await.map(Bytes::from)
    }

    async fn exists(&self, _: &Call, store: String, content: ContentRef) -> Result<bool, String> {
        self.ask(move |depot, rights| depot.exists(rights, &store, &Hash::parse(&content.hash)?)).await
    }

    async fn label(&self, _: &Call, store: String, label: String, content: ContentRef) -> Result<(), String> {
        self.point(store, Place::Newest(label), content).await
    }

    async fn get_by_label(&self, _: &Call, store: String, label: String) -> Result<Option<ContentRef>, String> {
        let newest = self.ask(move |depot, rights| depot.newest(rights, &store, &label)).await?;
        Ok(newest.map(reference))
    }

    async fn remove_label(&self, _: &Call, store: String, label: String) -> Result<(), String> {
        self.ask(move |depot, rights| depot.remove_label(rights, &store, &label)).await
    }

    async fn remove_from_label(
        &self,
        _: &Call,
        store: String,
        label: String,
        content: ContentRef,
    ) -> Result<(), String> {
        self.ask(move |depot, rights| depot.remove_reference(rights, &store, &label, Hash::parse(&content.hash)?)).await
    }

    async fn store_at_label(
        &self,
        _: &Call,
        store: String,
        label: String,
        content: Bytes,
    ) -> Result<ContentRef, String> {
        self.put(store, content, Place::Newest(label)).await
    }

    async fn replace_content_at_label(
        &self,
        _: &Call,
        store: String,
        label: String,
        content: Bytes,
    ) -> Result<ContentRef, String> {
        self.put(store, content, Place::Only(label)).await
    }

    async fn replace_at_label(
        &self,
        _: &Call,
        store: String,
        label: String,
        content: ContentRef,
    ) -> Result<(), String> {
        self.point(store, Place::Only(label), content).await
    }

    async fn list_labels(&self, _: &Call, store: String) -> Result<Vec<String>, String> {
        self.ask(move |depot, rights| depot.labels(rights, &store)).await
    }

    async fn list_all_content(&self, _: &Call, store: String) -> Result<Vec<ContentRef>, String> {
        self.ask(move |depot, rights| depot.contents(rights, &store, reference)).await
    }

    async fn calculate_total_size(&self, _: &Call, store: String) -> Result<u64, String> {
        self.ask(move |depot, rights| depot.bytes(rights, &store)).await
    }
}
