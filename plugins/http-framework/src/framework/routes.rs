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
        let host = &self.common.host;
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
        let mut handlers = self.common.ids.handlers();
        if let Some(id) = handlers.get(name) {
            return Ok(*id);
        }
        self.has_room("handlers", handlers.len())?;
        let id = 1 + handlers.values().copied().max().unwrap_or_default();
        handlers.insert(name.to_owned(), id);
        Ok(id)
    }

    pub(super) fn check_handler(&self, id: u64) -> Result<(), Error> {
        if self.common.ids.handlers().values().any(|known| *known == id) { Ok(()) } else { Err(Error::Handler(id)) }
    }

    /// Checks `max_routes` before a handler, a route, a middleware or a path of websockets is added.
    pub(super) fn has_room(&self, what: &'static str, there: usize) -> Result<(), Error> {
        let most = self.common.config.max_routes;
        if (there as u64) < most { Ok(()) } else { Err(Error::TooMany { what, key: "max_routes", most }) }
    }

    pub(super) fn route(&self, server: u64, path: &str, method: &str, handler: u64) -> Result<u64, Error> {
        let server = self.table.server(server)?;
        self.check_handler(handler)?;
        needs(exports_handle_request(&self.common.host), "handle-request")?;
        self.has_room("routes", self.table.lock().routes.len())?;
        let mut routing = server.change_routing();
        let id = self.common.ids.routes.newest() + 1;
        routing.add_route(server.id, Route { id, path: path.to_owned(), method: method.to_owned(), handler })?;
        drop(routing);
        self.common.ids.routes.was_given(id);
        self.table.lock().routes.insert(id, server.id);
        Ok(id)
    }

    pub(super) fn remove_route(&self, id: u64) -> Result<(), Error> {
        let server = self.table.lock().routes.remove(&id).ok_or(Error::Route(id))?;
        let server = self.table.server(server)?;
        if server.change_routing().remove_route(id) { Ok(()) } else { Err(Error::Route(id)) }
    }

    pub(super) fn middleware(&self, server: u64, path: &str, handler: u64) -> Result<u64, Error> {
        let server = self.table.server(server)?;
        self.check_handler(handler)?;
        needs(exports_handle_middleware(&self.common.host), "handle-middleware")?;
        self.has_room("middleware", self.table.lock().middleware.len())?;
        let mut routing = server.change_routing();
        let id = self.common.ids.middleware.newest() + 1;
        routing.add_middleware(id, path.to_owned(), handler)?;
        drop(routing);
        self.common.ids.middleware.was_given(id);
        self.table.lock().middleware.insert(id, server.id);
        Ok(id)
    }

    pub(super) fn remove_middleware(&self, id: u64) -> Result<(), Error> {
        let server = self.table.lock().middleware.remove(&id).ok_or(Error::Middleware(id))?;
        let server = self.table.server(server)?;
        if server.change_routing().remove_middleware(id) { Ok(()) } else { Err(Error::Middleware(id)) }
    }

    pub(super) fn websocket(&self, server: u64, path: &str, websocket: Websocket) -> Result<(), Error> {
        let server = self.table.server(server)?;
        let host = &self.common.host;
        let Websocket { connect, message, disconnect } = websocket;
        for handler in [connect, Some(message), disconnect].into_iter().flatten() {
            self.check_handler(handler)?;
        }
        needs(exports_handle_websocket_message(host), "handle-websocket-message")?;
        needs(connect.is_none() || exports_handle_websocket_connect(host), "handle-websocket-connect")?;
        needs(disconnect.is_none() || exports_handle_websocket_disconnect(host), "handle-websocket-disconnect")?;
        let mut routing = server.change_routing();
        self.has_room("paths of websockets", routing.websockets().len())?;
        routing.enable_websocket(path.to_owned(), websocket)
    }
}

fn needs(there: bool, function: &'static str) -> Result<(), Error> {
    if there { Ok(()) } else { Err(Error::NoFunction(function)) }
}
