//! The handler: one actor's endpoint, its functions, and the port where it has one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use theater_plugin_api::encoding::{Reader, decode};
use theater_plugin_api::{Attachment, Bytes, Call, Handler, Host, Recovered};

use crate::directory::Directory;
use crate::endpoint::Endpoint;
use crate::port::Port;
use crate::theater::simple::message_server_host::MessageServerHost;
use crate::{channel, message, request};

/// One actor's handler.
pub struct MessageServer {
    endpoint: Arc<Endpoint>,
    port: Option<Port>,
}

impl MessageServer {
    pub(crate) async fn attach(
        directory: &Arc<Directory>,
        host: Host,
        attachment: &Attachment,
    ) -> Result<Self, String> {
        let (endpoint, listen) = Endpoint::new(directory, host, attachment)?;
        let port = match attachment.config.get("port") {
            Some(_) => Some(Port::bind(&endpoint, &listen).await?),
            None => None,
        };
        Ok(Self { endpoint, port })
    }

    /// Tells everyone who has to do with this actor that it has ended. The second time there is nobody left.
    fn leave(&self) {
        let endpoint = &self.endpoint;
        endpoint.directory.leave(endpoint);
        endpoint.end_requests();
        endpoint.end_channels();
    }

    /// Counts on what a recorded call shows to be in use.
    fn used(&self, call: &Recovered<'_>) -> Result<(), theater_plugin_api::encoding::EncodingError> {
        let numbers = &self.endpoint.numbers;
        let beyond = |number: Option<u64>| number.map_or(1, |number| number.saturating_add(1));
        match call.function.rsplit('/').next().unwrap_or_default() {
            "open-channel" => {
                if let Ok(id) = decode::<Result<String, String>>(call.result)? {
                    let number = id.rsplit('/').next().and_then(|number| number.parse().ok());
                    numbers.channel.fetch_max(beyond(number), Ordering::Relaxed);
                }
            }
            "list-outstanding-requests" => {
                let ids: Vec<String> = decode(call.result)?;
                let newest = ids.iter().filter_map(|id| request::number(id)).max();
                numbers.request.fetch_max(beyond(newest), Ordering::Relaxed);
            }
            "respond-to-request" | "cancel-request" if decode::<Result<(), String>>(call.result)?.is_ok() => {
                let id: String = Reader::new(call.arguments).value()?;
                numbers.request.fetch_max(beyond(request::number(&id)), Ordering::Relaxed);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Handler for MessageServer {
    async fn started(&self, _: bool) -> Result<Vec<String>, String> {
        self.endpoint.directory.join(&self.endpoint)?;
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
        let numbers = &self.endpoint.numbers;
        let next = [&numbers.request, &numbers.channel].map(|number| number.load(Ordering::Relaxed).to_le_bytes());
        Ok(next.concat())
    }

    fn import_state(&self, state: &[u8]) -> Result<(), String> {
        let ([request, channel], []) = state.as_chunks::<8>() else {
            return if state.is_empty() {
                Ok(())
            } else {
                Err(format!("two numbers have 16 bytes, not {}", state.len()))
            };
        };
        let numbers = &self.endpoint.numbers;
        numbers.request.fetch_max(u64::from_le_bytes(*request), Ordering::Relaxed);
        numbers.channel.fetch_max(u64::from_le_bytes(*channel), Ordering::Relaxed);
        Ok(())
    }

    fn recover(&self, call: Recovered<'_>) -> Result<(), String> {
        self.used(&call).map_err(|error| format!("{}: {error}", call.function))
    }
}

impl Drop for MessageServer {
    fn drop(&mut self) {
        // An attach whose start failed was never told to stop.
        self.leave();
    }
}

impl MessageServerHost for MessageServer {
    async fn send(&self, call: &Call, actor_id: String, msg: Bytes) -> Result<(), String> {
        message::send(&self.endpoint, call, &actor_id, &msg).await
    }

    async fn request(&self, call: &Call, actor_id: String, msg: Bytes) -> Result<Bytes, String> {
        request::request(&self.endpoint, call, &actor_id, &msg).await
    }

    async fn open_channel(&self, call: &Call, actor_id: String, initial_msg: Bytes) -> Result<String, String> {
        channel::open(&self.endpoint, call, &actor_id, &initial_msg).await
    }

    async fn send_on_channel(&self, call: &Call, channel_id: String, msg: Bytes) -> Result<(), String> {
        channel::send(&self.endpoint, call, &channel_id, &msg).await
    }

    async fn close_channel(&self, call: &Call, channel_id: String) -> Result<(), String> {
        channel::close(&self.endpoint, call, &channel_id).await
    }

    fn list_outstanding_requests(&self, _: &Call) -> Vec<String> {
        self.endpoint.requests.list()
    }

    fn respond_to_request(&self, _: &Call, request_id: &str, response: &[u8]) -> Result<(), String> {
        self.endpoint.respond(request_id, response.into())
    }

    fn cancel_request(&self, _: &Call, request_id: &str) -> Result<(), String> {
        self.endpoint.cancel(request_id)
    }
}
