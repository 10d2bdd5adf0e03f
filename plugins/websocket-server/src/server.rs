//! The server of one actor. It binds its port in `attach`, and takes connections from `started` to `stopped`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use theater_http_listener::{Bound, Listener, ListenerControl, Received, Reply};
use theater_plugin_api::encoding::{decode, encode};
use theater_plugin_api::{Handler, Host, Recovered};
use theater_websocket_protocol::UpgradePolicy;

use crate::config::Config;
use crate::context::ServerContext;
use crate::session;
use crate::theater::simple::websocket_server::{MessageType, WebsocketMessage};

/// The handler of one actor.
pub struct Server {
    url: String,
    control: ListenerControl,
    context: Arc<ServerContext>,
    /// `None` once started.
    listener: Mutex<Option<Listener<Arc<ServerContext>>>>,
}

impl Server {
    pub(crate) async fn bind(host: Host, config: Config, last: Arc<AtomicU64>) -> Result<Self, String> {
        let bound = Bound::of(&host, &config.listen).await?;
        let url = format!("{}{}", bound.url().replacen("http", "ws", 1), config.path);
        let listener = Listener::new(host.clone(), bound, &config.listen);
        let control = listener.control();
        Ok(Self {
            url,
            control,
            context: Arc::new(ServerContext::new(host, config, last)),
            listener: Mutex::new(Some(listener)),
        })
    }
}

impl Handler for Server {
    /// Reports the connections of the previous run to the actor as ended, and starts accepting new ones.
    async fn started(&self, _: bool) -> Result<Vec<String>, String> {
        for number in std::mem::take(&mut *self.context.open()) {
            let context = Arc::clone(&self.context);
            let cause = format!("websocket {number} ended with the program");
            self.context.host.spawn(async move { session::notify_end(&context, &cause, number).await });
        }
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        let listener = listener.ok_or("the server was started already")?;
        listener.serve(Arc::clone(&self.context), answer).await?;
        Ok(vec![self.url.clone()])
    }

    /// Waits for the sessions, which end by themselves when the actor stops.
    async fn stopped(&self) {
        self.control.stop(self.context.config.listen.shutdown_grace()).await;
    }

    fn export_state(&self) -> Result<Vec<u8>, String> {
        let open: Vec<_> = self.context.open().iter().copied().collect();
        encode(&(self.context.last.load(Ordering::Relaxed), open)).map_err(|error| error.to_string())
    }

    fn import_state(&self, state: &[u8]) -> Result<(), String> {
        let (last, open): (u64, Vec<u64>) = decode(state).map_err(|error| error.to_string())?;
        self.context.last.fetch_max(last, Ordering::Relaxed);
        self.context.open().extend(open);
        Ok(())
    }

    fn recover(&self, call: Recovered<'_>) -> Result<(), String> {
        let (message,): (WebsocketMessage,) = decode(call.arguments).map_err(|error| error.to_string())?;
        let number = message.text.and_then(|text| text.parse().ok());
        match (message.ty, number) {
            (MessageType::Connect, Some(number)) => {
                self.context.last.fetch_max(number, Ordering::Relaxed);
                self.context.open().insert(number);
            }
            (MessageType::Close, Some(number)) => {
                self.context.open().remove(&number);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control.end();
    }
}

async fn answer(context: Arc<ServerContext>, received: Received) -> Reply {
    if received.path() != context.config.path {
        return Reply::text(404, "there is no websocket here");
    }
    let peer = received.peer;
    let of_session = Arc::clone(&context);
    let policy = UpgradePolicy { origins: &context.config.allowed_origins, protocols: &context.config.protocols };
    let protocol = policy.protocol(&received).map(ToOwned::to_owned);
    theater_websocket_protocol::accept(&received, policy, move |upgraded| {
        session::run(of_session, peer, protocol, upgraded)
    })
}
