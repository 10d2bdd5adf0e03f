//! A reverse proxy: forwards every request to one upstream server, and returns its response. The initial state is
//! `{"port": 8087, "upstream": "http://127.0.0.1:8080"}`. The handler `http-client` enforces which servers are
//! allowed, not this code.

use serde::{Deserialize, Serialize};
use theater_sdk::http_client::send_http;
use theater_sdk::http_handlers::{HandlerId, HttpRequest, HttpResponse};
use theater_sdk::http_types::ServerConfig;
use theater_sdk::runtime::log;
use theater_sdk::{State, actor, http_framework, http_handlers};

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Proxy {
    port: u16,
    upstream: String,
}

#[actor::export]
impl actor::Actor for Proxy {
    fn init(state: State, (_id,): (String,)) -> Result<(State,), String> {
        let proxy: Self = message::state(state)?;
        let config = ServerConfig { port: Some(proxy.port), host: None, tls_config: None };
        let server = http_framework::create_server(&config)?;
        let handler = http_framework::register_handler("proxy")?;
        http_framework::add_route(server, "/*rest", "*", handler)?;
        http_framework::start_server(server)?;
        Ok((message::keep(&proxy)?,))
    }
}

#[http_handlers::export]
impl http_handlers::HttpHandlers for Proxy {
    fn handle_request(
        state: State,
        (_, mut request): (HandlerId, HttpRequest),
    ) -> Result<(State, (HttpResponse,)), String> {
        let proxy: Self = message::state(state)?;
        if !request.uri.starts_with('/') {
            return Ok((None, (plain(400, "the target of a request has to be a path"),)));
        }
        request.uri = format!("{}{}", proxy.upstream.trim_end_matches('/'), request.uri);
        pass(&mut request.headers);
        // Headers that only a proxy may set are not accepted from clients.
        let said = |name: &str| name == "forwarded" || name.starts_with("x-forwarded-") || name == "x-real-ip";
        request.headers.retain(|(name, _)| name != "host" && name != "x-route-param-rest" && !said(name));
        let response = match send_http(&request) {
            Ok(mut response) => {
                pass(&mut response.headers);
                response
            }
            Err(error) => {
                log(&format!("no answer from upstream: {error}"));
                plain(502, "the server behind this one does not answer")
            }
        };
        Ok((None, (response,)))
    }
}

/// Removes headers that only concern one connection (RFC 9110, section 7.6.1), and adds `via`.
fn pass(headers: &mut Vec<(String, String)>) {
    const THEIRS: [&str; 8] =
        ["connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];
    let named: Vec<String> = headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
        .flat_map(|(_, value)| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    headers.retain(|(name, _)| {
        let name = name.to_ascii_lowercase();
        !THEIRS.contains(&name.as_str()) && !name.starts_with("proxy-") && !named.contains(&name)
    });
    headers.push(("via".to_owned(), "1.1 theater".to_owned()));
}

fn plain(status: u16, sentence: &str) -> HttpResponse {
    let headers = vec![("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())];
    HttpResponse { status, headers, body: Some(format!("{sentence}\n").into_bytes()) }
}
