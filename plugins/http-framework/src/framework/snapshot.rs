//! Stores the servers in a snapshot, and restores them.
//!
//! `restore` runs before the recorded calls are replayed. It opens no port: `started` binds the ports again, after the
//! replay, and reports the connections that were open as ended.

use super::Framework;
use crate::error::Error;
use crate::ids;
use crate::routing::{Route, Websocket};
use crate::table::{HandlerState, ServerState};

impl Framework {
    pub(super) fn saved(&self) -> HandlerState {
        let inner = self.table.lock();
        let ids = &self.context.ids;
        let servers = inner.servers.values().map(|server| {
            let routing = server.routing();
            let (port, running) = server.port();
            let routes =
                routing.routes().cloned().map(|Route { id, path, method, handler }| (id, path, method, handler));
            let middleware = routing.middleware().iter().map(|one| (one.id, one.path.clone(), one.handler));
            let (websockets, open) = (routing.websockets().iter(), server.open());
            ServerState {
                id: server.id,
                asked: server.asked.clone(),
                running: running.then_some(port),
                routes: routes.collect(),
                middleware: middleware.collect(),
                websockets: websockets
                    .map(|(path, one)| (path.clone(), one.connect, one.message, one.disconnect))
                    .collect(),
                // Includes connections whose connect handler is running, because its result is not known yet.
                open: open.iter().map(|(number, one)| (*number, one.disconnect)).collect(),
            }
        });
        HandlerState {
            newest: ids.counts().map(ids::IdCounter::newest),
            handlers: ids.handlers().iter().map(|(name, id)| (name.clone(), *id)).collect(),
            servers: servers.collect(),
            leaving: self.context.leaving().iter().map(|(number, disconnect)| (*number, *disconnect)).collect(),
        }
    }

    pub(super) fn restore(&self, saved: HandlerState) -> Result<(), Error> {
        let ids = &self.context.ids;
        for (count, newest) in ids.counts().into_iter().zip(saved.newest) {
            count.mark_used(newest);
        }
        ids.handlers().extend(saved.handlers);
        self.table.lock().previous.open.extend(saved.leaving);
        for ServerState { id, asked, running, routes, middleware, websockets, open } in saved.servers {
            let listen = self.listen(&asked)?;
            self.insert(id, asked, listen);
            for (route, path, method, handler) in routes {
                self.restore_route(id, Route { id: route, path, method, handler })?;
            }
            for (middleware, path, handler) in middleware {
                self.restore_middleware(id, middleware, path, handler)?;
            }
            let server = self.table.server(id)?;
            for (path, connect, message, disconnect) in websockets {
                server.routing_mut().enable_websocket(path, Websocket { connect, message, disconnect })?;
            }
            let mut inner = self.table.lock();
            inner.previous.open.extend(open);
            inner.previous.running.extend(running.map(|port| (id, port)));
        }
        Ok(())
    }

    pub(super) fn restore_route(&self, server: u64, route: Route) -> Result<(), Error> {
        let id = route.id;
        self.table.server(server)?.routing_mut().add_route(server, route)?;
        self.context.ids.routes.mark_used(id);
        self.table.lock().routes.insert(id, server);
        Ok(())
    }

    pub(super) fn restore_middleware(&self, server: u64, id: u64, path: String, handler: u64) -> Result<(), Error> {
        self.table.server(server)?.routing_mut().add_middleware(id, path, handler)?;
        self.context.ids.middleware.mark_used(id);
        self.table.lock().middleware.insert(id, server);
        Ok(())
    }
}
