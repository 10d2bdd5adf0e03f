//! Calls the actor with a request, and turns the result into a response.

use theater_http_listener::{Received, Reply};
use theater_plugin_api::{Bytes, CallError, Host};

use crate::queue::Queue;
use crate::theater::simple::http_server::handle_request;
use crate::theater::simple::http_types::HttpRequest;

/// The actor as its server sees it, with the queue of requests.
pub(crate) struct Actor {
    host: Host,
    pub(crate) queue: Queue,
}

impl Actor {
    pub(crate) fn new(host: Host, max_queue: usize) -> Self {
        Self { host, queue: Queue::new(max_queue) }
    }

    pub(crate) async fn answer(&self, received: Received) -> Reply {
        let Some(_turn) = self.queue.enter() else {
            return Reply::text(503, "too many requests are waiting").header("retry-after", "1");
        };
        let cause = received.cause();
        let Received { method, uri, headers, body, .. } = received;
        let request = HttpRequest { method, uri, headers, body: body.map(Bytes::from) };
        match handle_request(&self.host, &cause, &request).await {
            Ok(response) => Reply::new(response.status, response.headers, response.body.map(Bytes::into_vec))
                .unwrap_or_else(|what| {
                    Reply::failed(&self.host, &cause, &format!("the response cannot be sent: {what}"))
                }),
            Err(CallError::Gone(_)) => Reply::unavailable(&self.host),
            Err(error) => Reply::failed(&self.host, &cause, &error.to_string()),
        }
    }
}
