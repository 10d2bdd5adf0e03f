//! Creates, starts, stops and describes servers.

use std::sync::Arc;

use theater_http_listener::{self as listener, Bound, Tls};
use theater_plugin_api::Level;

use super::Framework;
use crate::error::Error;
use crate::request;
use crate::server::Server;
use crate::theater::simple::http_types::{ServerConfig, ServerInfo};
use crate::tls_file::resolve_tls_file;

impl Framework {
    pub(super) async fn stop(&self, server: &Server) {
        if let Some(control) = server.stop().await {
            let mut inner = self.table.lock();
            inner.retired.retain(|control| !control.is_over());
            inner.retired.push(control);
        }
    }

    /// Combines the handler's limits and permissions with the address and the TLS files that the actor asks for.
    pub(super) fn listen(&self, asked: &ServerConfig) -> Result<listener::Config, Error> {
        let mut listen = self.context.config.listen.clone();
        listen.port = asked.port.unwrap_or_default();
        if let Some(host) = &asked.host {
            listen.host.clone_from(host);
        }
        listen.tls = match &asked.tls_config {
            None => None,
            Some(tls) => Some(Tls {
                cert_path: resolve_tls_file(&listen.tls_files, &tls.cert_path)?,
                key_path: resolve_tls_file(&listen.tls_files, &tls.key_path)?,
            }),
        };
        Ok(listen)
    }

    pub(super) async fn create(&self, asked: ServerConfig) -> Result<u64, Error> {
        let most = self.context.config.max_servers;
        if self.table.lock().servers.len() as u64 >= most {
            return Err(Error::TooMany { what: "servers", key: "max_servers", most });
        }
        let listen = self.listen(&asked)?;
        Bound::check(&listen).await.map_err(Error::Listening)?;
        let id = self.context.ids.servers.next();
        self.insert(id, asked, listen);
        Ok(id)
    }

    pub(super) fn insert(&self, id: u64, asked: ServerConfig, listen: listener::Config) {
        let server = Server::new(id, Arc::clone(&self.context), asked, listen);
        self.table.lock().servers.insert(id, Arc::new(server));
    }

    pub(super) async fn start(&self, id: u64) -> Result<u16, Error> {
        let server = self.table.server(id)?;
        let port = server.bind(None).await?;
        // Until then the port is only bound; `started` starts accepting.
        let started = self.table.lock().started;
        if started && let Some(url) = server.accept(request::answer).await? {
            self.context.host.log(Level::Info, &format!("server {id} listens on {url}"));
        }
        Ok(port)
    }

    pub(crate) fn info(&self, id: u64) -> Result<ServerInfo, Error> {
        let server = self.table.server(id)?;
        let (port, running) = server.port();
        let routing = server.routing();
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Ok(ServerInfo {
            id,
            port,
            host: server.listen.host.clone(),
            running,
            routes_count: count(routing.routes().len()),
            middleware_count: count(routing.middleware().len()),
            websocket_enabled: !routing.websockets().is_empty(),
        })
    }
}
