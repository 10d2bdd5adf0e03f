//! The server of one actor. It binds its port in `attach`, and takes requests from `started` to `stopped`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use theater_http_listener::{Bound, Listener, ListenerControl, Received, Reply};
use theater_plugin_api::{Handler, Host};

use crate::actor::Actor;
use crate::config::Config;

/// The handler of one actor.
pub struct Server {
    url: String,
    control: ListenerControl,
    grace: Duration,
    actor: Arc<Actor>,
    /// `None` once started.
    listener: Mutex<Option<Listener<Arc<Actor>>>>,
}

impl Server {
    pub(crate) async fn bind(host: Host, config: &Config) -> Result<Self, String> {
        let bound = Bound::of(&host, &config.listen).await?;
        let url = bound.url();
        let listener = Listener::new(host.clone(), bound, &config.listen);
        Ok(Self {
            url,
            control: listener.control(),
            grace: config.listen.shutdown_grace(),
            actor: Arc::new(Actor::new(host, config.max_queue)),
            listener: Mutex::new(Some(listener)),
        })
    }

    #[cfg(test)]
    pub(crate) fn actor(&self) -> &Actor {
        &self.actor
    }

    #[cfg(test)]
    pub(crate) fn port(&self) -> u16 {
        self.url.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_default()
    }
}

impl Handler for Server {
    async fn started(&self, _: bool) -> Result<Vec<String>, String> {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        let listener = listener.ok_or("the server was started already")?;
        listener.serve(Arc::clone(&self.actor), answer).await?;
        Ok(vec![self.url.clone()])
    }

    async fn stopped(&self) {
        self.control.stop(self.grace).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control.end();
    }
}

async fn answer(actor: Arc<Actor>, received: Received) -> Reply {
    actor.answer(received).await
}
