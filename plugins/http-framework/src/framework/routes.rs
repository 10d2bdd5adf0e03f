//! Registers handlers, and adds and removes routes, middleware and paths of websockets.

use super::Framework;
use crate::error::Error;
use crate::routing::{Route, Websocket};
use crate::theater::simple::http_handlers::{
    exports_handle_middleware, exports_handle_request, exports_handle_websocket_connect,
    exports_handle_websocket_disconnect, exports_handle_websocket_message,
};

/// The maximum length of a handler's name, in bytes.
const LONGEST_NAME: usize = 256;

impl Framework {
    pub(super) fn register(&self, name: &str) -> Result<u64, Error> {
        let host = &self.context.host;
        let exports = exports_handle_request(host)
            || exports_handle_middleware(host)
            || exports_handle_websocket_connect(host)
            || exports_handle_websocket_message(host)
            || exports_handle_websocket_disconnect(host);
        if !exports {
            return Err(Error::NoHandlers);
        }
        if name.len() > LONGEST_NAME {
            return Err(Error::LongName { length: name.len(), most: LONGEST_NAME });
        }
        let mut handlers = self.context.ids.handlers();
        if let Some(id) = handlers.get(name) {
            return Ok(*id);
        }
        self.check_max_routes("handlers", handlers.len())?;
        let id = 1 + handlers.values().copied().max().unwrap_or_default();
        handlers.insert(name.to_owned(), id);
        Ok(id)
    }

    pub(super) fn check_handler(&self, id: u64) -> Result<(), Error> {
        if self.context.ids.handlers().values().any(|known| *known == id) { Ok(()) } else { Err(Error::Handler(id)) }
    }

    /// Checks `max_routes` before a handler, a route, a middleware or a path of websockets is added.
    pub(super) fn check_max_routes(&self, what: &'static str, there: usize) -> Result<(), Error> {
        let most = self.context.config.max_routes;
        if (there as u64) < most { Ok(()) } else { Err(Error::TooMany { what, key: "max_routes", most }) }
    }

    pub(super) fn route(&self, server: u64, path: &str, method: &str, handler: u64) -> Result<u64, Error> {
        let server = self.table.server(server)?;
        self.check_handler(handler)?;
        require_export(exports_handle_request(&self.context.host), "handle-request")?;
        self.check_max_routes("routes", self.table.lock().routes.len())?;
        let mut routing = server.routing_mut();
        let id = self.context.ids.routes.newest() + 1;
        routing.add_route(server.id, Route { id, path: path.to_owned(), method: method.to_owned(), handler })?;
        drop(routing);
        self.context.ids.routes.mark_used(id);
        self.table.lock().routes.insert(id, server.id);
        Ok(id)
    }

    pub(super) fn remove_route(&self, id: u64) -> Result<(), Error> {
        let server = self.table.lock().routes.remove(&id).ok_or(Error::Route(id))?;
        let server = self.table.server(server)?;
        if server.routing_mut().remove_route(id) { Ok(()) } else { Err(Error::Route(id)) }
    }

    pub(super) fn middleware(&self, server: u64, path: &str, handler: u64) -> Result<u64, Error> {
        let server = self.table.server(server)?;
        self.check_handler(handler)?;
        require_export(exports_handle_middleware(&self.context.host), "handle-middleware")?;
        self.check_max_routes("middleware", self.table.lock().middleware.len())?;
        let mut routing = server.routing_mut();
        let id = self.context.ids.middleware.newest() + 1;
        routing.add_middleware(id, path.to_owned(), handler)?;
        drop(routing);
        self.context.ids.middleware.mark_used(id);
        self.table.lock().middleware.insert(id, server.id);
        Ok(id)
    }

    pub(super) fn remove_middleware(&self, id: u64) -> Result<(), Error> {
        let server = self.table.lock().middleware.remove(&id).ok_or(Error::Middleware(id))?;
        let server = self.table.server(server)?;
        if server.routing_mut().remove_middleware(id) { Ok(()) } else { Err(Error::Middleware(id)) }
    }

    pub(super) fn websocket(&self, server: u64, path: &str, websocket: Websocket) -> Result<(), Error> {
        let server = self.table.server(server)?;
        let host = &self.context.host;
        let Websocket { connect, message, disconnect } = websocket;
        for handler in [connect, Some(message), disconnect].into_iter().flatten() {
            self.check_handler(handler)?;
        }
        require_export(exports_handle_websocket_message(host), "handle-websocket-message")?;
        require_export(connect.is_none() || exports_handle_websocket_connect(host), "handle-websocket-connect")?;
        require_export(
            disconnect.is_none() || exports_handle_websocket_disconnect(host),
            "handle-websocket-disconnect",
        )?;
        let mut routing = server.routing_mut();
        self.check_max_routes("paths of websockets", routing.websockets().len())?;
        routing.enable_websocket(path.to_owned(), websocket)
    }
}

fn require_export(there: bool, function: &'static str) -> Result<(), Error> {
    if there { Ok(()) } else { Err(Error::NoFunction(function)) }
}
