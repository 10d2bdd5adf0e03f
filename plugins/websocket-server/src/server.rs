//! One actor's server: its port from `attach` on, its connections from `started` to `stopped`.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use theater_http_listener::{Bound, Control, Listener, Received, Reply};
use theater_plugin_api::{Handler, Host};

use crate::Config;
use crate::session;

/// What all sessions of a server share.
pub(crate) struct Door {
    pub(crate) host: Host,
    pub(crate) config: Config,
    /// The number of the newest connection.
    pub(crate) last: Arc<AtomicU64>,
}

/// The handler.
pub struct Server {
    url: String,
    control: Control,
    door: Arc<Door>,
    /// Empty once started.
    listener: Mutex<Option<Listener<Arc<Door>>>>,
}

impl Server {
    pub(crate) async fn bind(host: Host, config: Config, last: Arc<AtomicU64>) -> Result<Self, String> {
        let bound = Bound::new(&config.listen).await?;
        let url = format!("{}{}", bound.url().replacen("http", "ws", 1), config.path);
        let listener = Listener::new(host.clone(), bound, &config.listen);
        let control = listener.control();
        Ok(Self { url, control, door: Arc::new(Door { host, config, last }), listener: Mutex::new(Some(listener)) })
    }
}

impl Handler for Server {
    async fn started(&self, _: bool) -> Result<Vec<String>, String> {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        let listener = listener.ok_or("the server was started already")?;
        listener.serve(Arc::clone(&self.door), answer).await?;
        Ok(vec![self.url.clone()])
    }

    /// Sessions end by themselves when the actor does; in here they are waited for.
    async fn stopped(&self) {
        self.control.stop(self.door.config.listen.shutdown_grace()).await;
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
    let origins = door.config.allowed_origins.clone();
    theater_websockets::accept(&received, &origins, move |upgraded| session::run(door, peer, upgraded))
}
