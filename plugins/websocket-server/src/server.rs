//! The server of one actor. It binds its port in `attach`, and takes connections from `started` to `stopped`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use theater_http_listener::{Bound, Control, Listener, Received, Reply};
use theater_plugin_api::encoding::{decode, encode};
use theater_plugin_api::{Handler, Host, Recovered};
use theater_websocket_protocol::Terms;

use crate::config::Config;
use crate::context::Door;
use crate::session;
use crate::theater::simple::websocket_server::{MessageType, WebsocketMessage};

/// The handler of one actor.
pub struct Server {
    url: String,
    control: Control,
    door: Arc<Door>,
    /// `None` once started.
    listener: Mutex<Option<Listener<Arc<Door>>>>,
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
            door: Arc::new(Door::new(host, config, last)),
            listener: Mutex::new(Some(listener)),
        })
    }
}

impl Handler for Server {
    /// Reports the connections of the previous run to the actor as ended, and starts accepting new ones.
    async fn started(&self, _: bool) -> Result<Vec<String>, String> {
        for number in std::mem::take(&mut *self.door.open()) {
            let door = Arc::clone(&self.door);
            let cause = format!("websocket {number} ended with the program");
            self.door.host.spawn(async move { session::tell_end(&door, &cause, number).await });
        }
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        let listener = listener.ok_or("the server was started already")?;
        listener.serve(Arc::clone(&self.door), answer).await?;
        Ok(vec![self.url.clone()])
    }

    /// Waits for the sessions, which end by themselves when the actor stops.
    async fn stopped(&self) {
        self.control.stop(self.door.config.listen.shutdown_grace()).await;
    }

    fn export_state(&self) -> Result<Vec<u8>, String> {
        let open: Vec<_> = self.door.open().iter().copied().collect();
        encode(&(self.door.last.load(Ordering::Relaxed), open)).map_err(|error| error.to_string())
    }

    fn import_state(&self, state: &[u8]) -> Result<(), String> {
        let (last, open): (u64, Vec<u64>) = decode(state).map_err(|error| error.to_string())?;
        self.door.last.fetch_max(last, Ordering::Relaxed);
        self.door.open().extend(open);
        Ok(())
    }

    fn recover(&self, call: Recovered<'_>) -> Result<(), String> {
        let (message,): (WebsocketMessage,) = decode(call.arguments).map_err(|error| error.to_string())?;
        let number = message.text.and_then(|text| text.parse().ok());
        match (message.ty, number) {
            (MessageType::Connect, Some(number)) => {
                self.door.last.fetch_max(number, Ordering::Relaxed);
                self.door.open().insert(number);
            }
            (MessageType::Close, Some(number)) => {
                self.door.open().remove(&number);
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

async fn answer(door: Arc<Door>, received: Received) -> Reply {
    if received.path() != door.config.path {
        return Reply::text(404, "there is no websocket here");
    }
    let peer = received.peer;
    let of_session = Arc::clone(&door);
    let terms = Terms { origins: &door.config.allowed_origins, protocols: &door.config.protocols };
    let protocol = terms.protocol(&received).map(ToOwned::to_owned);
    theater_websocket_protocol::accept(&received, terms, move |upgraded| {
        session::run(of_session, peer, protocol, upgraded)
    })
}
