//! The `store` plugin: content-addressed storage on disk, with labels that point to content.
//!
//! | file | what |
//! |---|---|
//! | [`names`], [`hash`] | validation of store ids, labels, `store:` URLs and hashes |
//! | [`caller`] | the config: which stores a caller can see, and quotas |
//! | [`repository`] | the operations behind functions and commands, on top of the next two rows |
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

mod caller;
mod changes;
mod command;
mod contents;
mod error;
mod hash;
mod index;
mod label_update;
mod names;
mod references;
mod repository;
mod tables;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use blocking::unblock;
use serde_json::Value;
use theater_plugin_api::{Attachment, Bytes, Call, Handler, Host, Plugin, Recovered};

use caller::Caller;
use error::Error;
use hash::Hash;
use label_update::LabelUpdate;
use names::ContentName;
use repository::Repository;
use theater::simple::store::ContentRef;

theater_plugin_api::bindings! {
    plugin: Stores,
    handler: StoreHandler,
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
    repository: Arc<Repository>,
}

impl Plugin for Stores {
    type Handler = StoreHandler;

    fn init(host: Host) -> Result<Self, String> {
        Ok(Self { repository: Arc::new(Repository::new(host)) })
    }

    async fn attach(&self, host: Host, attachment: Attachment) -> Result<StoreHandler, String> {
        let caller = Caller::of_actor(host.whose()?.actor, attachment.config()?).map_err(|error| {
            format!("in the handler store, config = {{ stores = [...] }} has an invalid name: {error}")
        })?;
        Ok(StoreHandler { repository: Arc::clone(&self.repository), caller: Arc::new(caller) })
    }

    fn narrow(&self, _: &str, ceiling: &Value, requested: &Value) -> Result<Value, String> {
        caller::narrow(ceiling, requested)
    }

    async fn resolve(&self, url: &str, actor: &str, ceiling: &Value) -> Result<Vec<u8>, String> {
        let (store, target) = ContentName::of_url(url)?;
        let caller = Caller::under_ceiling(actor, ceiling).map_err(|error| format!("{url}: {error}"))?;
        let repository = Arc::clone(&self.repository);
        unblock(move || repository.get_named(&caller, &store, &target)).await.map_err(|error| format!("{url}: {error}"))
    }

    async fn command(&self, name: &str, arguments: Value) -> Result<Value, String> {
        if name != "store" {
            return Err(format!("there is no command {name}: this plugin has the command store"));
        }
        let repository = Arc::clone(&self.repository);
        unblock(move || command::run(&repository, &arguments)).await
    }
}

/// One actor's stores.
pub struct StoreHandler {
    repository: Arc<Repository>,
    caller: Arc<Caller>,
}

impl Handler for StoreHandler {
    /// Rebuilds nothing: the index on disk has every store that a recorded `new` created, with its owner.
    fn recover(&self, _: Recovered<'_>) -> Result<(), String> {
        Ok(())
    }
}

impl StoreHandler {
    /// Runs `work` on the repository, on a thread that may block.
    async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Repository, &Arc<Caller>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, String> {
        let (repository, caller) = (Arc::clone(&self.repository), Arc::clone(&self.caller));
        unblock(move || work(&repository, &caller)).await.map_err(String::from)
    }

    async fn put(&self, store: String, content: Bytes, update: LabelUpdate) -> Result<ContentRef, String> {
        self.run_blocking(move |repository, caller| repository.put(caller, &store, &content, update))
            .await
            .map(reference)
    }

    async fn add_to_label(&self, store: String, update: LabelUpdate, content: ContentRef) -> Result<(), String> {
        self.run_blocking(move |repository, caller| {
            repository.add_to_label(caller, &store, update, Hash::parse(&content.hash)?)
        })
        .await
    }
}

fn reference(hash: Hash) -> ContentRef {
    ContentRef { hash: hash.to_string() }
}

impl theater::simple::store::Store for StoreHandler {
    async fn new(&self, _: &Call) -> Result<String, String> {
        self.run_blocking(|repository, caller| repository.create(caller, None)).await
    }

    async fn store(&self, _: &Call, store: String, content: Bytes) -> Result<ContentRef, String> {
        self.put(store, content, LabelUpdate::Unlabelled).await
    }

    async fn get(&self, _: &Call, store: String, content: ContentRef) -> Result<Bytes, String> {
        self.run_blocking(move |repository, caller| repository.get(caller, &store, &Hash::parse(&content.hash)?))
            .await
            .map(Bytes::from)
    }

    async fn exists(&self, _: &Call, store: String, content: ContentRef) -> Result<bool, String> {
        self.run_blocking(move |repository, caller| repository.exists(caller, &store, &Hash::parse(&content.hash)?))
            .await
    }

    async fn label(&self, _: &Call, store: String, label: String, content: ContentRef) -> Result<(), String> {
        self.add_to_label(store, LabelUpdate::Newest(label), content).await
    }

    async fn get_by_label(&self, _: &Call, store: String, label: String) -> Result<Option<ContentRef>, String> {
        let newest = self.run_blocking(move |repository, caller| repository.newest(caller, &store, &label)).await?;
        Ok(newest.map(reference))
    }

    async fn remove_label(&self, _: &Call, store: String, label: String) -> Result<(), String> {
        self.run_blocking(move |repository, caller| repository.remove_label(caller, &store, &label)).await
    }

    async fn remove_from_label(
        &self,
        _: &Call,
        store: String,
        label: String,
        content: ContentRef,
    ) -> Result<(), String> {
        self.run_blocking(move |repository, caller| {
            repository.remove_reference(caller, &store, &label, Hash::parse(&content.hash)?)
        })
        .await
    }

    async fn store_at_label(
        &self,
        _: &Call,
        store: String,
        label: String,
        content: Bytes,
    ) -> Result<ContentRef, String> {
        self.put(store, content, LabelUpdate::Newest(label)).await
    }

    async fn replace_content_at_label(
        &self,
        _: &Call,
        store: String,
        label: String,
        content: Bytes,
    ) -> Result<ContentRef, String> {
        self.put(store, content, LabelUpdate::Only(label)).await
    }

    async fn replace_at_label(
        &self,
        _: &Call,
        store: String,
        label: String,
        content: ContentRef,
    ) -> Result<(), String> {
        self.add_to_label(store, LabelUpdate::Only(label), content).await
    }

    async fn list_labels(&self, _: &Call, store: String) -> Result<Vec<String>, String> {
        self.run_blocking(move |repository, caller| repository.labels(caller, &store)).await
    }

    async fn list_all_content(&self, _: &Call, store: String) -> Result<Vec<ContentRef>, String> {
        self.run_blocking(move |repository, caller| repository.contents(caller, &store, reference)).await
    }

    async fn calculate_total_size(&self, _: &Call, store: String) -> Result<u64, String> {
        self.run_blocking(move |repository, caller| repository.bytes(caller, &store)).await
    }
}
