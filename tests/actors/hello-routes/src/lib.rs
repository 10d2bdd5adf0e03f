//! Like `hello-http`, with a server that it creates itself: the smallest actor with `http-framework`. `GET /` is its
//! only route. The initial state is `{"port": 8091}`.

use serde::{Deserialize, Serialize};
use theater_sdk::http_handlers::{HandlerId, HttpRequest, HttpResponse};
use theater_sdk::http_types::ServerConfig;
use theater_sdk::{State, actor, http_framework, http_handlers};

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Hello {
    port: u16,
    visitors: u64,
}

#[actor::export]
impl actor::Actor for Hello {
    fn init(state: State, (_id,): (String,)) -> Result<(State,), String> {
        let hello: Self = message::state(state)?;
        let config = ServerConfig { port: Some(hello.port), host: None, tls_config: None };
        let server = http_framework::create_server(&config)?;
        let handler = http_framework::register_handler("hello")?;
        http_framework::add_route(server, "/", "GET", handler)?;
        http_framework::start_server(server)?;
        Ok((message::keep(&hello)?,))
    }
}

#[http_handlers::export]
impl http_handlers::HttpHandlers for Hello {
    fn handle_request(state: State, _: (HandlerId, HttpRequest)) -> Result<(State, (HttpResponse,)), String> {
        let mut hello: Self = message::state(state)?;
        hello.visitors += 1;
        let headers = vec![("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())];
        let body = Some(format!("Hello! You are visitor number {}.\n", hello.visitors).into_bytes());
        Ok((message::keep(&hello)?, (HttpResponse { status: 200, headers, body },)))
    }
}
