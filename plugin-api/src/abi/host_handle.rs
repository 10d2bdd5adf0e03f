//! The core's host object as a plugin holds it: one safe method for each function of its tables.
//!
//! [`Host`] owns one count of the object, so `data` is valid for as long as any clone of it lives. Services are looked
//! up by id at each use; the core returns a table that lives as long as the process, or null when it does not offer the
//! service, which the methods report as an error. Answers are returned as they are: [`crate::host`] decodes them.

use std::future::Future;

use async_ffi::FfiFuture;
use theater_plugin_abi::{Answer, CallContext, HostObject, OK};

use crate::abi::plugin_guard::guarded;
use crate::service::{
    ChainService, ChildrenService, LifecycleService, MessagesService, RecordService, SERVICE_CHAIN, SERVICE_CHILDREN,
    SERVICE_LIFECYCLE, SERVICE_MESSAGES, SERVICE_RECORD,
};

/// The core, as a plugin calls it. The methods are in [`crate::host`].
pub struct Host(HostObject);

impl Clone for Host {
    fn clone(&self) -> Self {
        // SAFETY: data belongs to the table, and the count that self owns keeps it alive.
        unsafe { self.0.table.retain()(self.0.data) };
        Self(HostObject { data: self.0.data, table: self.0.table })
    }
}

impl From<HostObject> for Host {
    fn from(object: HostObject) -> Self {
        Self(object)
    }
}

impl Host {
    pub(crate) fn about(&self) -> Answer {
        // SAFETY: data belongs to the table and self owns a count of it; slices live for the call. The same holds for
        // all calls below.
        unsafe { self.0.table.about()(self.0.data) }
    }
    pub(crate) fn raw_call(&self, export: u32, params: &[u8], cause: &str) -> FfiFuture<Answer> {
        // SAFETY: as above.
        unsafe { self.0.table.call()(self.0.data, export, params.into(), cause.into()) }
    }
    pub(crate) fn raw_has_export(&self, export: u32) -> bool {
        // SAFETY: as above.
        unsafe { self.0.table.has_export()(self.0.data, export) }
    }
    pub(crate) fn raw_spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> u64 {
        let task = async move {
            future.await;
            Answer::ok(Vec::new())
        };
        // SAFETY: as above.
        unsafe { self.0.table.spawn()(self.0.data, guarded(task)) }
    }
    pub(crate) fn raw_abort(&self, task: u64) {
        // SAFETY: as above.
        unsafe { self.0.table.abort()(self.0.data, task) }
    }
    pub(crate) fn raw_sleep(&self, microseconds: u64) -> FfiFuture<Answer> {
        // SAFETY: as above.
        unsafe { self.0.table.sleep()(self.0.data, microseconds) }
    }
    pub(crate) fn raw_cancelled(&self) -> FfiFuture<Answer> {
        // SAFETY: as above.
        unsafe { self.0.table.cancelled()(self.0.data) }
    }
    pub(crate) fn raw_wait_for(&self, other: &str, why: &str) -> Result<u64, Answer> {
        let mut edge = 0;
        // SAFETY: as above; edge points to a number.
        let answer = unsafe { self.0.table.wait_for()(self.0.data, other.into(), why.into(), &raw mut edge) };
        if answer.status == OK { Ok(edge) } else { Err(answer) }
    }
    pub(crate) fn raw_wait_end(&self, edge: u64) {
        // SAFETY: as above.
        unsafe { self.0.table.wait_end()(self.0.data, edge) }
    }
    pub(crate) fn raw_log(&self, level: u32, target: &str, message: &str) {
        // SAFETY: as above.
        unsafe { self.0.table.log()(self.0.data, level, target.into(), message.into()) }
    }
    pub(crate) fn raw_metric(&self, name: &str, kind: u32, value: f64) {
        // SAFETY: as above.
        unsafe { self.0.table.metric()(self.0.data, name.into(), kind, value) }
    }
    pub(crate) fn raw_data_folder(&self) -> Answer {
        // SAFETY: as above.
        unsafe { self.0.table.data_folder()(self.0.data) }
    }

    /// The table of a service, if the core offers it.
    fn service(&self, id: &str, minimum_minor: u32) -> Option<*const ()> {
        // SAFETY: as above.
        let table = unsafe { self.0.table.service()(self.0.data, id.into(), minimum_minor) };
        (!table.is_null()).then_some(table)
    }

    pub(crate) fn chain_newest(&self, most: u64) -> Option<FfiFuture<Answer>> {
        let table = self.service(SERVICE_CHAIN, 0)?;
        // SAFETY: the core answers this id with a pointer to a ChainService that lives as long as the process.
        let newest = unsafe { (*table.cast::<ChainService>()).newest };
        // SAFETY: the service takes this host's data.
        Some(unsafe { newest(self.0.data, most) })
    }

    pub(crate) fn lifecycle_shutdown(&self, data: Option<&[u8]>) -> Option<Answer> {
        let table = self.service(SERVICE_LIFECYCLE, 0)?;
        // SAFETY: as in chain_newest, a LifecycleService.
        let shutdown = unsafe { (*table.cast::<LifecycleService>()).shutdown };
        // SAFETY: as in chain_newest.
        Some(unsafe { shutdown(self.0.data, data.is_some(), data.unwrap_or_default().into()) })
    }
}

impl Host {
    /// The table of the service `id`, whose type is `T`.
    fn table<T>(&self, id: &str) -> Result<&'static T, Answer> {
        match self.service(id, 0) {
            // SAFETY: the core answers an id with a pointer to the table of that id, which lives as long as the
            // process. The callers below pair each id with its table's type.
            Some(table) => Ok(unsafe { &*table.cast::<T>() }),
            None => Err(Answer::error(format!("this core does not offer the service {id}"))),
        }
    }

    fn message_table(&self) -> Result<&'static MessagesService, Answer> {
        self.table(SERVICE_MESSAGES)
    }

    fn child_table(&self) -> Result<&'static ChildrenService, Answer> {
        self.table(SERVICE_CHILDREN)
    }

    pub(crate) fn raw_find(&self, wanted: &str) -> Result<Answer, Answer> {
        // SAFETY: the functions of a service take this host's data, which self owns a count of; slices and context live
        // for the call. The same holds for all calls below.
        self.message_table().map(|table| unsafe { (table.find)(self.0.data, wanted.into()) })
    }
    pub(crate) fn raw_call_from(
        &self,
        export: u32,
        params: &[u8],
        source: &str,
        from: *const CallContext,
    ) -> Result<FfiFuture<Answer>, Answer> {
        // SAFETY: as above.
        self.message_table()
            .map(|table| unsafe { (table.call)(self.0.data, export, params.into(), source.into(), from) })
    }
    pub(crate) fn raw_post(
        &self,
        export: u32,
        params: &[u8],
        source: &str,
        from: *const CallContext,
        first: bool,
    ) -> Result<FfiFuture<Answer>, Answer> {
        // SAFETY: as above.
        self.message_table()
            .map(|table| unsafe { (table.post)(self.0.data, export, params.into(), source.into(), from, first) })
    }
    pub(crate) fn raw_stage(
        &self,
        export: u32,
        params: &[u8],
        source: &str,
        from: &CallContext,
        otherwise: &[u8],
    ) -> Result<FfiFuture<Answer>, Answer> {
        // SAFETY: as above.
        self.message_table().map(|table| unsafe {
            (table.stage)(self.0.data, export, params.into(), source.into(), from, otherwise.into())
        })
    }
    pub(crate) fn raw_spawn_child(&self, manifest: &str, state: Option<&[u8]>) -> Result<FfiFuture<Answer>, Answer> {
        let (some, state) = (state.is_some(), state.unwrap_or_default());
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.spawn)(self.0.data, manifest.into(), some, state.into()) })
    }
    pub(crate) fn raw_resume_child(&self, manifest: &str, state: Option<&[u8]>) -> Result<FfiFuture<Answer>, Answer> {
        let (some, state) = (state.is_some(), state.unwrap_or_default());
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.resume)(self.0.data, manifest.into(), some, state.into()) })
    }
    pub(crate) fn raw_restart_child(&self, child: &str, only_held: bool) -> Result<FfiFuture<Answer>, Answer> {
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.restart)(self.0.data, child.into(), only_held) })
    }
    pub(crate) fn raw_stop_child(&self, child: &str) -> Result<FfiFuture<Answer>, Answer> {
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.stop)(self.0.data, child.into()) })
    }
    pub(crate) fn raw_release_child(&self, child: &str) -> Result<Answer, Answer> {
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.release)(self.0.data, child.into()) })
    }
    pub(crate) fn raw_children(&self) -> Result<Answer, Answer> {
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.list)(self.0.data) })
    }
    pub(crate) fn raw_child_state(&self, actor: &str) -> Result<Answer, Answer> {
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.state)(self.0.data, actor.into()) })
    }
    pub(crate) fn raw_child_events(&self, actor: &str) -> Result<FfiFuture<Answer>, Answer> {
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.events)(self.0.data, actor.into()) })
    }
    pub(crate) fn raw_next_end(&self) -> Result<FfiFuture<Answer>, Answer> {
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.next_end)(self.0.data) })
    }
    pub(crate) fn raw_note(&self, what: &str, data: &[u8]) -> Result<Answer, Answer> {
        let table: &RecordService = self.table(SERVICE_RECORD)?;
        // SAFETY: as above.
        Ok(unsafe { (table.note)(self.0.data, what.into(), data.into()) })
    }
    pub(crate) fn raw_fail(&self, reason: &str) -> Result<(), Answer> {
        // SAFETY: as above.
        self.child_table().map(|table| unsafe { (table.fail)(self.0.data, reason.into()) })
    }
}
