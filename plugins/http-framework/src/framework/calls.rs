//! The functions of the interface, as the actor calls them.

use theater_plugin_api::Call;

use super::Framework;
use crate::routing::Websocket;
use crate::theater::simple::http_framework::HttpFramework;
use crate::theater::simple::http_types::{ServerConfig, ServerInfo};
use crate::theater::simple::websocket_types::WebsocketMessage;

impl HttpFramework for Framework {
    async fn create_server(&self, _: &Call, config: ServerConfig) -> Result<u64, String> {
        Ok(self.create(config).await?)
    }

    fn get_server_info(&self, _: &Call, server_id: u64) -> Result<ServerInfo, String> {
        Ok(self.info(server_id)?)
    }

    async fn start_server(&self, _: &Call, server_id: u64) -> Result<u16, String> {
        Ok(self.start(server_id).await?)
    }

    async fn stop_server(&self, _: &Call, server_id: u64) -> Result<(), String> {
        let server = self.table.server(server_id)?;
        self.stop(&server).await;
        Ok(())
    }

    async fn destroy_server(&self, _: &Call, server_id: u64) -> Result<(), String> {
        let server = self.table.remove(server_id)?;
        self.stop(&server).await;
        Ok(())
    }

    fn register_handler(&self, _: &Call, handler_name: &str) -> Result<u64, String> {
        Ok(self.register(handler_name)?)
    }

    fn add_route(&self, _: &Call, server_id: u64, path: &str, method: &str, handler_id: u64) -> Result<u64, String> {
        Ok(self.route(server_id, path, method, handler_id)?)
    }

    fn remove_route(&self, _: &Call, route_id: u64) -> Result<(), String> {
        Ok(self.remove_route(route_id)?)
    }

    fn add_middleware(&self, _: &Call, server_id: u64, path: &str, handler_id: u64) -> Result<u64, String> {
        Ok(self.middleware(server_id, path, handler_id)?)
    }

    fn remove_middleware(&self, _: &Call, middleware_id: u64) -> Result<(), String> {
        Ok(self.remove_middleware(middleware_id)?)
    }

    fn enable_websocket(
        &self,
        _: &Call,
        server_id: u64,
        path: &str,
        connect_handler_id: Option<u64>,
        message_handler_id: u64,
        disconnect_handler_id: Option<u64>,
    ) -> Result<(), String> {
        let websocket =
            Websocket { connect: connect_handler_id, message: message_handler_id, disconnect: disconnect_handler_id };
        Ok(self.websocket(server_id, path, websocket)?)
    }

    async fn send_websocket_message(
        &self,
        _: &Call,
        server_id: u64,
        connection_id: u64,
        message: WebsocketMessage,
    ) -> Result<(), String> {
        Ok(self.send(server_id, connection_id, message).await?)
    }

    fn close_websocket(&self, _: &Call, server_id: u64, connection_id: u64) -> Result<(), String> {
        Ok(self.close(server_id, connection_id)?)
    }
}
