//! The interface that the core implements to be a plugin's host, in safe Rust.

use std::future::Future;

use async_ffi::FfiFuture;
use theater_encoding::Bytes;
use theater_plugin_abi::{Answer, CallContext};

use crate::host_types::{About, ChainEvent, ChildEnd};

/// The core's side of a host. [`host_object`](crate::abi::host_object) turns a value of this trait into a host object.
pub trait HostSide: Send + Sync + 'static {
    /// See [`HostTable::about`](theater_plugin_abi::HostTable::about).
    fn about(&self) -> About;
    /// See [`HostTable::call`](theater_plugin_abi::HostTable::call).
    fn call(&self, export: u32, params: &[u8], cause: String) -> impl Future<Output = Answer> + Send + 'static;
    /// See [`HostTable::has_export`](theater_plugin_abi::HostTable::has_export).
    fn has_export(&self, export: u32) -> bool;
    /// See [`HostTable::spawn`](theater_plugin_abi::HostTable::spawn).
    fn spawn(&self, future: FfiFuture<Answer>) -> u64;
    /// See [`HostTable::abort`](theater_plugin_abi::HostTable::abort).
    fn abort(&self, task: u64);
    /// See [`HostTable::sleep`](theater_plugin_abi::HostTable::sleep).
    fn sleep(&self, microseconds: u64) -> impl Future<Output = ()> + Send + 'static;
    /// See [`HostTable::cancelled`](theater_plugin_abi::HostTable::cancelled).
    fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static;
    /// See [`HostTable::wait_for`](theater_plugin_abi::HostTable::wait_for).
    ///
    /// # Errors
    /// A sentence with the cycle that the wait would close, or that no actor has that id.
    fn wait_for(&self, other: &str, why: &str) -> Result<u64, String>;
    /// See [`HostTable::wait_end`](theater_plugin_abi::HostTable::wait_end).
    fn wait_end(&self, edge: u64);
    /// See [`HostTable::log`](theater_plugin_abi::HostTable::log).
    fn log(&self, level: u32, target: &str, message: &str);
    /// See [`HostTable::metric`](theater_plugin_abi::HostTable::metric).
    fn metric(&self, name: &str, kind: u32, value: f64);
    /// See [`HostTable::data_folder`](theater_plugin_abi::HostTable::data_folder).
    ///
    /// # Errors
    /// A sentence on why the folder could not be created.
    fn data_folder(&self) -> Result<String, String>;
    /// The newest events of the actor's chain, oldest first, encoded as `list<chain-event>`.
    fn chain_newest(&self, most: u64) -> impl Future<Output = Answer> + Send + 'static;
    /// Requests that the actor stops after the running call. See [`LifecycleService::shutdown`](crate::service::LifecycleService::shutdown).
    ///
    /// # Errors
    /// A sentence: the actor is stopping already.
    fn shutdown(&self, data: Option<Vec<u8>>) -> Result<(), String>;
    /// See [`MessagesService::find`](crate::service::MessagesService::find).
    ///
    /// # Errors
    /// A sentence: no running actor, or more than one, matches.
    fn find(&self, wanted: &str) -> Result<String, String>;
    /// See [`MessagesService::call`](crate::service::MessagesService::call).
    fn call_from(&self, message: Message<'_>) -> impl Future<Output = Answer> + Send + 'static;
    /// See [`MessagesService::post`](crate::service::MessagesService::post).
    fn post(&self, message: Message<'_>, first: bool) -> impl Future<Output = Answer> + Send + 'static;
    /// See [`MessagesService::stage`](crate::service::MessagesService::stage).
    fn stage(&self, message: Message<'_>, otherwise: &[u8]) -> impl Future<Output = Answer> + Send + 'static;
    /// See [`ChildrenService::spawn`](crate::service::ChildrenService::spawn).
    fn spawn_child(
        &self,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> impl Future<Output = Result<String, String>> + Send + 'static;
    /// See [`ChildrenService::resume`](crate::service::ChildrenService::resume).
    fn resume_child(
        &self,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> impl Future<Output = Result<String, String>> + Send + 'static;
    /// See [`ChildrenService::restart`](crate::service::ChildrenService::restart).
    fn restart_child(
        &self,
        child: String,
        only_held: bool,
    ) -> impl Future<Output = Result<(), String>> + Send + 'static;
    /// See [`ChildrenService::stop`](crate::service::ChildrenService::stop).
    fn stop_child(&self, child: String) -> impl Future<Output = Result<(), String>> + Send + 'static;
    /// See [`ChildrenService::release`](crate::service::ChildrenService::release).
    ///
    /// # Errors
    /// A sentence: it is not a child of this actor.
    fn release_child(&self, child: &str) -> Result<(), String>;
    /// See [`ChildrenService::list`](crate::service::ChildrenService::list).
    fn children(&self) -> Vec<String>;
    /// See [`ChildrenService::state`](crate::service::ChildrenService::state).
    ///
    /// # Errors
    /// A sentence: it is not a descendant of this actor.
    fn child_state(&self, actor: &str) -> Result<Option<Bytes>, String>;
    /// See [`ChildrenService::events`](crate::service::ChildrenService::events).
    fn child_events(&self, actor: String) -> impl Future<Output = Result<Vec<ChainEvent>, String>> + Send + 'static;
    /// See [`ChildrenService::next_end`](crate::service::ChildrenService::next_end).
    fn next_end(&self) -> impl Future<Output = Result<ChildEnd, String>> + Send + 'static;
    /// See [`ChildrenService::fail`](crate::service::ChildrenService::fail).
    fn fail(&self, reason: String);
    /// See [`RecordService::note`](crate::service::RecordService::note).
    ///
    /// # Errors
    /// A sentence: the chain accepts no more events.
    fn note(&self, what: &str, data: &[u8]) -> Result<(), String>;
    /// Whether the core offers the service `id` with at least that minor.
    fn offers(&self, id: &str, minimum_minor: u32) -> bool;
}

/// A call of an export of the host's actor, made by another actor or from outside.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The export's number in the descriptor's `calls`.
    pub export: u32,
    /// The encoded parameters.
    pub params: &'a [u8],
    /// A sentence on the origin of the call.
    pub source: &'a str,
    /// The other actor's call that this call is part of; `None` for a call from outside.
    pub from: Option<&'a CallContext>,
}
