//! The handler: one actor's endpoint, its functions, and its port, if it has one.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::{Deserialize, Serialize};
use theater_plugin_api::encoding::{Reader, decode, encode};
use theater_plugin_api::{Attachment, Bytes, Call, Handler, Host, Recovered};

use crate::channel_table::Member;
use crate::directory::Directory;
use crate::endpoint::Endpoint;
use crate::outstanding::request_number;
use crate::port::Port;
use crate::theater::simple::message_server_host::MessageServerHost;
use crate::theater::simple::types::ChannelAccept;
use crate::wait::lock;
use crate::{channel, message, request};

/// One actor's handler.
pub struct MessageServer {
    member: Member,
    directory: Arc<Directory>,
    port: Option<Port>,
    /// Channels that were open when the previous run ended.
    previous_channels: Mutex<BTreeSet<String>>,
}

/// The state that is stored in a snapshot.
#[derive(Serialize, Deserialize)]
struct HandlerState {
    /// The next numbers.
    request: u64,
    channel: u64,
    /// Open channels.
    channels: Vec<String>,
}

impl MessageServer {
    pub(crate) async fn attach(
        directory: &Arc<Directory>,
        host: Host,
        attachment: &Attachment,
    ) -> Result<Self, String> {
        let gauges = Arc::clone(&directory.gauges);
        let (endpoint, listen) = Endpoint::new(host, attachment, gauges, |id| directory.numbers(id))?;
        let port = match attachment.config.get("port") {
            Some(_) => Some(Port::bind(&endpoint, &listen).await?),
            None => None,
        };
        Ok(Self {
            member: Member::new(endpoint),
            directory: Arc::clone(directory),
            port,
            previous_channels: Mutex::default(),
        })
    }

    /// Removes the actor from the directory, answers all who wait for it and closes its channels. A second call does
    /// nothing.
    fn leave(&self) {
        self.directory.leave(&self.member);
        self.member.end_requests();
        channel::end_channels(&self.member);
    }

    fn previous_channels(&self) -> MutexGuard<'_, BTreeSet<String>> {
        lock(&self.previous_channels)
    }

    /// Advances the numbers, and the set of open channels, past what a recorded call shows to be in use.
    fn replay(&self, call: &Recovered<'_>) -> Result<(), theater_plugin_api::encoding::EncodingError> {
        let numbers = &self.member.numbers;
        let beyond = |number: Option<u64>| number.map_or(1, |number| number.saturating_add(1));
        match call.function.rsplit('/').next().unwrap_or_default() {
            "open-channel" => {
                if let Ok(id) = decode::<Result<String, String>>(call.result)? {
                    let number = id.rsplit('/').next().and_then(|number| number.parse().ok());
                    numbers.channel.fetch_max(beyond(number), Ordering::Relaxed);
                    self.previous_channels().insert(id);
                }
            }
            "list-outstanding-requests" => {
                let ids: Vec<String> = decode(call.result)?;
                let newest = ids.iter().filter_map(|id| request_number(id)).max();
                numbers.request.fetch_max(beyond(newest), Ordering::Relaxed);
            }
            "respond-to-request" | "cancel-request" if decode::<Result<(), String>>(call.result)?.is_ok() => {
                let id: String = Reader::new(call.arguments).value()?;
                numbers.request.fetch_max(beyond(request_number(&id)), Ordering::Relaxed);
            }
            "handle-request" => {
                let (id, _): (String, Bytes) = decode(call.arguments)?;
                numbers.request.fetch_max(beyond(request_number(&id)), Ordering::Relaxed);
            }
            "handle-channel-open" => {
                let (id, _): (String, Bytes) = decode(call.arguments)?;
                // A call that is still queued counts as accepted: its other end is gone by the time it runs.
                let answer: Option<Result<ChannelAccept, ()>> = decode(call.result)?;
                if answer.is_none_or(|answer| answer.is_ok_and(|answer| answer.accepted)) {
                    self.previous_channels().insert(id);
                }
            }
            "handle-channel-close" => {
                let (id,): (String,) = decode(call.arguments)?;
                self.previous_channels().remove(&id);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Handler for MessageServer {
    async fn started(&self, _: bool) -> Result<Vec<String>, String> {
        self.directory.join(&self.member)?;
        // A channel does not survive the end of the runtime: notify the actor of each close.
        for id in std::mem::take(&mut *self.previous_channels()) {
            channel::spawn_close_notice(&self.member, &id);
        }
        match &self.port {
            Some(port) => Ok(vec![port.open().await?]),
            None => Ok(Vec::new()),
        }
    }

    async fn stopped(&self) {
        self.leave();
        if let Some(port) = &self.port {
            port.close().await;
        }
    }

    fn export_state(&self) -> Result<Vec<u8>, String> {
        let numbers = &self.member.numbers;
        let [request, channel] = [&numbers.request, &numbers.channel].map(|number| number.load(Ordering::Relaxed));
        let saved = HandlerState { request, channel, channels: self.member.channels.ids() };
        encode(&saved).map_err(|error| error.to_string())
    }

    fn import_state(&self, state: &[u8]) -> Result<(), String> {
        let HandlerState { request, channel, channels } = decode(state).map_err(|error| error.to_string())?;
        let numbers = &self.member.numbers;
        numbers.request.fetch_max(request, Ordering::Relaxed);
        numbers.channel.fetch_max(channel, Ordering::Relaxed);
        self.previous_channels().extend(channels);
        Ok(())
    }

    fn recover(&self, call: Recovered<'_>) -> Result<(), String> {
        self.replay(&call).map_err(|error| format!("{}: {error}", call.function))
    }
}

impl Drop for MessageServer {
    fn drop(&mut self) {
        // If the start failed after `attach`, `stopped` was never called.
        self.leave();
    }
}

impl MessageServerHost for MessageServer {
    async fn send(&self, call: &Call, actor_id: String, msg: Bytes) -> Result<(), String> {
        message::send(&self.directory, &self.member, call, &actor_id, &msg).await
    }

    async fn request(&self, call: &Call, actor_id: String, msg: Bytes) -> Result<Bytes, String> {
        request::request(&self.directory, &self.member, call, &actor_id, &msg).await
    }

    async fn open_channel(&self, call: &Call, actor_id: String, initial_msg: Bytes) -> Result<String, String> {
        channel::open(&self.directory, &self.member, call, &actor_id, &initial_msg).await
    }

    async fn send_on_channel(&self, call: &Call, channel_id: String, msg: Bytes) -> Result<(), String> {
        channel::send(&self.member, call, &channel_id, &msg).await
    }

    async fn close_channel(&self, call: &Call, channel_id: String) -> Result<(), String> {
        channel::close(&self.member, call, &channel_id).await
    }

    fn list_outstanding_requests(&self, _: &Call) -> Vec<String> {
        self.member.requests.list()
    }

    fn respond_to_request(&self, _: &Call, request_id: &str, response: &[u8]) -> Result<(), String> {
        self.member.respond(request_id, response.into())
    }

    fn cancel_request(&self, _: &Call, request_id: &str) -> Result<(), String> {
        self.member.cancel(request_id)
    }
}
