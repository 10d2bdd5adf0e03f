//! Tests over real sockets: std's for requests, tungstenite's client for websockets. `theater-http-listener` and
//! `theater-websocket-protocol` test the rules of HTTP and of frames.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use theater_plugin_api::abi::{Answer, TRAP, encoded};
use theater_plugin_api::encoding::decode;
use theater_plugin_api::testing::{Called, FakeHost, attach, attach_to, block_on};
use theater_plugin_api::{Handler, Plugin};
use tungstenite::{Message, WebSocket};

use crate::config::{Config, MAX_ROUTES, MAX_SERVERS, MAX_WEBSOCKET_QUEUE_BYTES, WEBSOCKET_SEND_TIMEOUT_MS};
use crate::theater::simple::http_types::{
    HttpRequest, HttpResponse, MiddlewareResult, ServerConfig, ServerInfo, TlsConfig,
};
use crate::theater::simple::websocket_types::{MessageType, WebsocketMessage};
use crate::tls_file::resolve_tls_file;
use crate::{Framework, HttpFramework};

const REQUEST: u32 = 0;
const MIDDLEWARE: u32 = 1;
const CONNECT: u32 = 2;
const MESSAGE: u32 = 3;
const DISCONNECT: u32 = 4;
const ALL: [u32; 5] = [REQUEST, MIDDLEWARE, CONNECT, MESSAGE, DISCONNECT];

/// An actor with one running server and one handler.
struct Case {
    host: FakeHost,
    framework: Arc<Framework>,
    server: u64,
    handler: u64,
    port: u16,
    /// `/slow` signals its arrival here, and answers on a signal from `answer`.
    arrived: Receiver<()>,
    answer: Sender<()>,
}

fn any_port() -> ServerConfig {
    ServerConfig { port: None, host: None, tls_config: None }
}

fn text(text: &str) -> WebsocketMessage {
    WebsocketMessage { ty: MessageType::Text, data: None, text: Some(text.to_owned()) }
}

fn of(ty: MessageType, data: &[u8]) -> WebsocketMessage {
    WebsocketMessage { ty, data: Some(data.into()), text: None }
}

fn kind(ty: MessageType) -> WebsocketMessage {
    WebsocketMessage { ty, data: None, text: None }
}

/// The actor's handler: answers with the request, or as the path says.
fn handle(id: u64, request: &HttpRequest) -> Answer {
    let path = request.uri.split('?').next().unwrap();
    let odd = ("x-odd".to_owned(), "\u{e9}".to_owned());
    let headers = if path == "/odd" { vec![odd] } else { Vec::new() };
    match path {
        "/fail" => Answer::error("the secret of the actor"),
        "/trap" => Answer::with(TRAP, "the secret of the trap"),
        _ => {
            let HttpRequest { method, uri, headers: sent, body } = request;
            let said = format!("{id} {method} {uri} {sent:?} {:?}", body.as_ref().map(|body| body.len()));
            encoded(&(HttpResponse { status: 200, headers, body: Some(said.as_str().into()) },))
        }
    }
}

/// The actor's middleware: marks a request and lets it pass, or refuses it as the header `x-deny` says.
fn judge(id: u64, mut request: HttpRequest) -> Answer {
    let denial = request.headers.iter().find(|(name, _)| name == "x-deny").map(|(_, value)| value.clone());
    match denial.as_deref() {
        None => request.headers.push(("x-passed".to_owned(), id.to_string())),
        Some("plain") => {}
        Some(status) => {
            request.headers.push(("x-theater-status".to_owned(), status.to_owned()));
            request.body = Some("who are you".into());
        }
    }
    encoded(&(MiddlewareResult { proceed: denial.is_none(), request },))
}

/// Returns what the actor answers on a websocket.
fn reply(message: WebsocketMessage) -> Answer {
    let answers = match (&message.ty, message.text.as_deref()) {
        (MessageType::Text, Some("fail")) => return Answer::error("the actor says no"),
        (MessageType::Text, Some("three")) => vec![text("1"), of(MessageType::Binary, b"2"), text("3")],
        (MessageType::Text, Some("bye")) => vec![text("so long"), kind(MessageType::Close), text("never")],
        (MessageType::Text, Some("wrong")) => {
            vec![kind(MessageType::Connect), of(MessageType::Text, b"in data"), text("right")]
        }
        (MessageType::Text, Some("much")) => (0..40).map(|_| of(MessageType::Binary, &vec![7; 1 << 20])).collect(),
        (MessageType::Text | MessageType::Binary, _) => vec![message],
        _ => Vec::new(),
    };
    encoded(&(answers,))
}

fn exports(host: &FakeHost, numbers: &[u32]) -> (Receiver<()>, Sender<()>) {
    let (arrival, arrived) = channel();
    let (answer, answers) = channel::<()>();
    let answers = Mutex::new(answers);
    host.set_exports(numbers, move |export, params| match export {
        REQUEST => {
            let (id, request): (u64, HttpRequest) = decode(params).unwrap();
            if request.uri == "/slow" {
                arrival.send(()).unwrap();
                answers.lock().unwrap().recv().unwrap();
            }
            handle(id, &request)
        }
        MIDDLEWARE => {
            let (id, request): (u64, HttpRequest) = decode(params).unwrap();
            judge(id, request)
        }
        CONNECT => {
            let (_, _, _, query): (u64, u64, String, Option<String>) = decode(params).unwrap();
            if query.as_deref() == Some("deny") { Answer::error("not you") } else { encoded(&()) }
        }
        MESSAGE => reply(decode::<(u64, u64, WebsocketMessage)>(params).unwrap().2),
        _ => encoded(&()),
    });
    (arrived, answer)
}

fn start(config: Value) -> Case {
    started(&HttpFramework::default(), FakeHost::new(), config, any_port())
}

fn started(plugin: &HttpFramework, host: FakeHost, config: Value, asked: ServerConfig) -> Case {
    let (arrived, answer) = exports(&host, &ALL);
    let framework = block_on(attach_to(plugin, &host, "http-framework", config)).unwrap();
    let mut case = Case { host, framework, server: 0, handler: 0, port: 0, arrived, answer };
    block_on(case.framework.started(false)).unwrap();
    case.server = case.call("create-server", &(asked,)).unwrap();
    case.handler = case.call("register-handler", &("main",)).unwrap();
    case.port = case.call("start-server", &(case.server,)).unwrap();
    case
}

type Client = WebSocket<TcpStream>;

impl Case {
    fn call<R: DeserializeOwned>(&self, function: &str, arguments: &impl Serialize) -> Result<R, String> {
        block_on(self.host.call::<_, Result<R, String>>(&self.framework, function, arguments)).unwrap()
    }
    fn route(&self, path: &str, method: &str) -> Result<u64, String> {
        self.call("add-route", &(self.server, path, method, self.handler))
    }
    fn info(&self) -> ServerInfo {
        self.call("get-server-info", &(self.server,)).unwrap()
    }
    /// Enables websockets at `/ws`, with the one handler for everything.
    fn sockets(&self) {
        let handler = self.handler;
        self.call::<()>("enable-websocket", &(self.server, "/ws", Some(handler), handler, Some(handler))).unwrap();
    }
    fn stream(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }
    /// Sends bytes, and reads until the server closes.
    fn send(&self, bytes: &str) -> String {
        let mut stream = self.stream();
        stream.write_all(bytes.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
    /// Sends a request with headers, each with its CRLF.
    fn ask_with(&self, method: &str, target: &str, headers: &str) -> String {
        self.send(&format!("{method} {target} HTTP/1.1\r\nhost: h\r\n{headers}connection: close\r\n\r\n"))
    }
    fn ask(&self, method: &str, target: &str) -> String {
        self.ask_with(method, target, "")
    }
    fn status(&self, method: &str, target: &str) -> u16 {
        status(&self.ask(method, target))
    }
    fn open(&self, target: &str) -> Client {
        self.try_open(target).unwrap()
    }
    fn try_open(&self, target: &str) -> Result<Client, String> {
        let url = format!("ws://127.0.0.1:{}{target}", self.port);
        tungstenite::client(url, self.stream()).map(|(client, _)| client).map_err(|error| error.to_string())
    }
    fn called(&self) -> Called {
        block_on(self.host.next_call()).unwrap()
    }
    /// Returns the next message that the actor receives.
    fn told(&self) -> (u64, WebsocketMessage) {
        let called = self.called();
        assert_eq!(called.export, MESSAGE, "{called:?}");
        let (handler, number, message): (u64, u64, WebsocketMessage) = decode(&called.params).unwrap();
        assert_eq!(handler, self.handler);
        (number, message)
    }
    /// Returns the next connection whose begin or end the actor is notified of.
    fn told_of(&self, export: u32) -> u64 {
        let called = self.called();
        assert_eq!(called.export, export, "{called:?}");
        match export {
            CONNECT => decode::<(u64, u64, String, Option<String>)>(&called.params).unwrap().1,
            _ => decode::<(u64, u64)>(&called.params).unwrap().1,
        }
    }
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status: {answer:?}"))
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

/// Returns the value of a header of a response.
fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::trim)
}

fn next(client: &mut Client) -> Message {
    client.read().unwrap()
}

/// Reads up to the next close frame, and returns its code.
fn closed(client: &mut Client) -> u16 {
    loop {
        match client.read() {
            Ok(Message::Close(Some(frame))) => return frame.code.into(),
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Waits for a condition, for at most 20 s.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// [http-framework-1] [http-framework-2] [http-framework-3] [http-framework-4] [http-framework-5]
#[test]
fn a_request_is_a_call_and_its_result_the_answer() {
    let case = start(json!({}));
    case.route("/*all", "*").unwrap();
    let answer = case.ask_with("BREW", "/a%2fb?c=%zz&d", "X-A: 1\r\nx-b: 2\r\nX-a: 3\r\n");
    assert_eq!(status(&answer), 200);
    let headers = r#"[("host", "h"), ("x-a", "1"), ("x-b", "2"), ("x-a", "3"), ("connection", "close"), ("x-route-param-all", "a%2fb")]"#;
    assert_eq!(body(&answer), format!("1 BREW /a%2fb?c=%zz&d {headers} None"));
    assert!(case.called().cause.starts_with("BREW /a%2fb?c=%zz&d from 127.0.0.1:"));
    assert!(case.ask_with("POST", "/", "content-length: 0\r\n").ends_with("Some(0)"));
    assert!(case.send("POST / HTTP/1.0\r\ncontent-length: 2\r\n\r\nab").ends_with("Some(2)"));
    assert_eq!(status(&case.ask_with("GET", "/", "x: \u{e9}\r\n")), 400);
    assert_eq!(case.status("GET", "/odd"), 500);
}

/// [http-framework-6] [http-framework-7] [http-framework-8]
#[test]
fn routes_middleware_and_websockets_change_while_a_server_runs() {
    let case = start(json!({}));
    assert_eq!(case.status("GET", "/a"), 404);
    let route = case.route("/a", "GET").unwrap();
    assert_eq!(case.status("GET", "/a"), 200);
    let middleware: u64 = case.call("add-middleware", &(case.server, "/", case.handler)).unwrap();
    assert!(case.ask("GET", "/a").contains("x-passed"));
    case.call::<()>("remove-middleware", &(middleware,)).unwrap();
    assert!(!case.ask("GET", "/a").contains("x-passed"));
    case.call::<()>("remove-route", &(route,)).unwrap();
    assert_eq!(case.status("GET", "/a"), 404);
    assert!(case.try_open("/ws").unwrap_err().contains("404"));
    case.sockets();
    let mut first = case.open("/ws");
    // Other handlers for the same path serve the connections opened afterwards; they have no connect handler.
    let second: u64 = case.call("register-handler", &("second",)).unwrap();
    case.call::<()>("enable-websocket", &(case.server, "/ws", None::<u64>, second, None::<u64>)).unwrap();
    let mut other = case.open("/ws");
    while block_on(case.host.next_call()).unwrap().export != CONNECT {}
    for (client, handler) in [(&mut first, case.handler), (&mut other, second)] {
        client.send(Message::text("who")).unwrap();
        let called = case.called();
        assert_eq!(
            (called.export, decode::<(u64, u64, WebsocketMessage)>(&called.params).unwrap().0),
            (MESSAGE, handler)
        );
        assert_eq!(next(client), Message::text("who"));
    }
}

/// [http-framework-9] [http-framework-10] [http-framework-11] [http-framework-12] [http-framework-13] [http-framework-14]
#[test]
fn captures_arrive_as_headers_and_what_is_exact_comes_first() {
    let case = start(json!({}));
    let captured = |target: &str| {
        let answer = case.ask_with("GET", target, "x-route-param-id: forged\r\nX-Route-Param-Any: forged\r\n");
        let body = body(&answer).to_owned();
        assert!(!body.contains("forged"), "{body}");
        let parts = body.split("x-route-param-").skip(1);
        parts.map(|part| part.split(')').next().unwrap().replace(['"', ' '], "")).collect::<Vec<_>>().join(" ")
    };
    for path in [
        "/users/:id",
        "/users/{Id}/posts/{post_1}",
        "/users/me",
        "/files/*rest",
        "/docs/{*rest}",
        "/users/:x/posts/new",
    ] {
        case.route(path, "GET").unwrap();
    }
    let expected = [
        ("/users/7", "id,7"),
        ("/users/a%2Fb", "id,a%2Fb"),
        ("/users/me", ""),
        ("/users/%6de", ""),
        ("/users/me/posts/9", "id,me post_1,9"),
        ("/users/7/posts/new", "x,7"),
        ("/files/a/b.txt", "rest,a/b.txt"),
        ("/files/", "rest,"),
        ("/docs/a/b/", "rest,a/b/"),
    ];
    for (target, headers) in expected {
        assert_eq!(captured(target), headers, "{target}");
    }
    for target in ["/users", "/users/", "/files", "/Users/7", "/users/7/"] {
        assert_eq!(case.status("GET", target), 404, "{target}");
    }
    // `*` takes the methods that no other route of the same path has.
    case.route("/users/me", "*").unwrap();
    case.route("/*any", "*").unwrap();
    assert_eq!(case.status("TEA", "/users/me"), 200);
    assert_eq!(case.status("TEA", "/users/7"), 200);
    assert_eq!(captured("/users/7"), "id,7");
    assert_eq!(captured("/other"), "any,other");
    assert_eq!(case.status("GET", "http://example.com/users/7"), 200);
}

/// [http-framework-15] [http-framework-16] [http-framework-17] [http-framework-18]
#[test]
fn what_no_route_takes_is_answered_without_the_actor() {
    let case = start(json!({}));
    assert_eq!(case.status("GET", "/"), 404);
    case.route("/a", "GET").unwrap();
    case.route("/a", "PUT").unwrap();
    case.route("/b", "HEAD").unwrap();
    case.route("/:one", "DELETE").unwrap();
    let answer = case.ask("POST", "/a");
    assert_eq!((status(&answer), header(&answer, "allow")), (405, Some("DELETE, GET, HEAD, OPTIONS, PUT")));
    let answer = case.ask("OPTIONS", "/a");
    assert_eq!((status(&answer), header(&answer, "allow")), (204, Some("DELETE, GET, HEAD, OPTIONS, PUT")));
    assert_eq!(header(&case.ask("OPTIONS", "/b"), "allow"), Some("DELETE, HEAD, OPTIONS"));
    assert_eq!(header(&case.ask("OPTIONS", "*"), "allow"), Some("DELETE, GET, HEAD, OPTIONS, PUT"));
    assert_eq!((case.status("OPTIONS", "/a/b"), case.status("CONNECT", "h:80")), (404, 501));
    let odd = ["/./a", "/b/../a", "/%2e%2E/a", "/%2", "/a%zz", "//a", "/b//a", "/b/..%2fa", "/..%5Ca", "/%2e%2F", "//"];
    for target in odd {
        assert_eq!(case.status("GET", target), 400, "{target}");
    }
    let before = 7.0;
    assert_eq!(case.host.metric("requests"), Some(before + odd.len() as f64));
    // This is the first call.
    let head = case.ask("HEAD", "/a");
    let length: usize = header(&head, "content-length").unwrap().parse().unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && length > 0 && body(&head).is_empty());
    assert!(case.called().cause.starts_with("HEAD /a "));
    case.route("/a", "OPTIONS").unwrap();
    assert_eq!(case.status("OPTIONS", "/a"), 200);
    case.sockets();
    assert_eq!(header(&case.ask("OPTIONS", "/ws"), "allow"), Some("DELETE, GET, HEAD, OPTIONS"));
    assert_eq!((case.status("GET", "/ws"), case.status("POST", "/ws")), (426, 405));
}

/// [http-framework-19] [http-framework-20] [http-framework-21] [http-framework-67]
#[test]
fn a_route_that_cannot_be_is_an_err_that_says_why() {
    let case = start(json!({}));
    let first = case.route("/a/:b", "GET").unwrap();
    for path in ["/a".repeat(64), format!("/{}", "a".repeat(2_047))] {
        assert!(case.route(&path, "GET").is_ok(), "just fits");
    }
    let (deep, long) = ("/a".repeat(65), format!("/{}", "a".repeat(2_048)));
    for (path, method, says) in [
        (deep.as_str(), "GET", "more than 2048 bytes or more than 64 segments".to_owned()),
        (long.as_str(), "GET", "more than 2048 bytes or more than 64 segments".to_owned()),
        ("/a//b", "GET", "an empty segment".to_owned()),
        ("/a/..%2fb", "GET", ". or ..".to_owned()),
        ("/a/:b", "GET", format!("has a route for GET \"/a/:b\" already, number {first}")),
        ("/a/{other}", "GET", "already".to_owned()),
        ("", "GET", "start with a slash".to_owned()),
        ("a", "GET", "start with a slash".to_owned()),
        ("/a?b", "GET", "no query".to_owned()),
        ("/a#b", "GET", "no fragment".to_owned()),
        ("/a\nb", "GET", "control characters".to_owned()),
        ("/a/..", "GET", ". or ..".to_owned()),
        ("/%2e", "GET", ". or ..".to_owned()),
        ("/%g0", "GET", "two hexadecimal digits".to_owned()),
        ("/:", "GET", "needs a name".to_owned()),
        ("/{}", "GET", "needs a name".to_owned()),
        ("/*", "GET", "needs a name".to_owned()),
        ("/:a b", "GET", "needs a name".to_owned()),
        ("/*rest/more", "GET", "nothing can follow".to_owned()),
        ("/x{a}", "GET", "neither a capture".to_owned()),
        ("/a*", "GET", "neither a capture".to_owned()),
        ("/:a/:A", "GET", "two captures of the name a".to_owned()),
        ("/x", "get", "in capitals".to_owned()),
        ("/x", "", "in capitals".to_owned()),
        ("/x", "G T", "in capitals".to_owned()),
        ("/x", "G/T", "in capitals".to_owned()),
    ] {
        let error = case.route(path, method).unwrap_err();
        assert!(error.contains(&says), "{path:?} {method:?}: {error}");
    }
    let refused = |function: &str, arguments: (u64, &str, u64)| case.call::<u64>(function, &arguments).unwrap_err();
    assert!(refused("add-middleware", (case.server, "/:a", case.handler)).contains("no captures"));
    assert!(refused("add-middleware", (case.server, "a", case.handler)).contains("start with a slash"));
    assert!(refused("add-middleware", (case.server, "/", 9)).contains("no handler 9: register-handler"));
    assert!(refused("add-middleware", (9, "/", case.handler)).contains("no server 9: create-server"));
    let route = |server: u64, handler: u64| case.call::<u64>("add-route", &(server, "/y", "GET", handler)).unwrap_err();
    assert!(route(case.server, 9).contains("no handler 9") && route(9, case.handler).contains("no server 9"));
    let none = None::<u64>;
    let websocket = |arguments: (u64, &str, Option<u64>, u64, Option<u64>)| {
        case.call::<()>("enable-websocket", &arguments).unwrap_err()
    };
    assert!(websocket((case.server, "/w", none, 9, none)).contains("no handler 9"));
    assert!(websocket((case.server, "/w", Some(8), case.handler, none)).contains("no handler 8"));
    assert!(websocket((case.server, "/w", none, case.handler, Some(7))).contains("no handler 7"));
    assert!(websocket((case.server, "w", none, case.handler, none)).contains("start with a slash"));
    assert!(case.call::<()>("remove-route", &(99_u64,)).unwrap_err().contains("no route 99"));
    assert!(case.call::<()>("remove-middleware", &(99_u64,)).unwrap_err().contains("no middleware 99"));
    let info = case.info();
    assert_eq!((info.routes_count, info.middleware_count, info.websocket_enabled), (3, 0, false));
}

/// [http-framework-22] [http-framework-23] [http-framework-24] [http-framework-25] [http-framework-26]
#[test]
fn middleware_comes_before_the_handler_in_order() {
    let case = start(json!({}));
    case.route("/*all", "*").unwrap();
    let names = ["one", "two", "three"];
    let ids = names.map(|name| case.call::<u64>("register-handler", &(name,)).unwrap());
    for (path, id) in [("/a/b/", ids[0]), ("/", ids[1]), ("/a", ids[2])] {
        case.call::<u64>("add-middleware", &(case.server, path, id)).unwrap();
    }
    let passed = |target: &str| {
        let answer = case.ask("GET", target);
        body(&answer).split("\"x-passed\", \"").skip(1).map(|rest| rest[..1].parse().unwrap()).collect::<Vec<u64>>()
    };
    assert_eq!(passed("/a/b/c"), ids);
    assert_eq!(passed("/%61/b"), ids);
    assert_eq!(passed("/a/bc"), ids[1..]);
    assert_eq!(passed("/a"), ids[1..]);
    assert_eq!(passed("/ab"), ids[1..2]);
    assert_eq!(passed("/"), ids[1..2]);
    let denied = |how: &str| {
        let answer = case.ask_with("POST", "/", &format!("x-deny: {how}\r\ncontent-length: 0\r\n"));
        (status(&answer), body(&answer).to_owned())
    };
    assert_eq!(denied("plain"), (403, String::new()));
    for status in [400, 401, 599] {
        assert_eq!(denied(&status.to_string()), (status, "who are you".to_owned()));
    }
    for status in ["399", "600", "200", "many", ""] {
        assert_eq!(denied(status), (403, String::new()), "{status:?}");
    }
    // A status header from the client does not count, and the handler never sees it.
    let forged = "X-Theater-Status: 418\r\n";
    let answer = case.ask_with("GET", "/", forged);
    assert!(status(&answer) == 200 && !answer.contains("418"), "{answer}");
    assert_eq!(status(&case.ask_with("GET", "/", &format!("{forged}x-deny: plain\r\n"))), 403);
    // Websocket requests pass the middleware too.
    case.sockets();
    let open = "upgrade: websocket\r\nconnection: upgrade, close\r\nsec-websocket-version: 13\r\n\
                sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nx-deny: 401\r\n";
    assert!(case.send(&format!("GET /ws HTTP/1.1\r\nhost: h\r\n{open}\r\n")).starts_with("HTTP/1.1 401 "));
}

/// [http-framework-27]
#[test]
fn what_fails_is_500_with_an_id_and_without_its_text() {
    let case = start(json!({}));
    case.route("/*all", "*").unwrap();
    for target in ["/fail", "/trap"] {
        let answer = case.ask("GET", target);
        let id = header(&answer, "x-request-id").unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 500 ") && body(&answer).contains(id) && !answer.contains("secret"),
            "{answer}"
        );
        let line = case.host.lines().pop().unwrap().message;
        assert!(line.contains(id) && line.contains("the secret of the") && line.contains(target), "{line}");
    }
}

/// [http-framework-29] [http-framework-30] [http-framework-31] [http-framework-32]
#[test]
fn the_limits_of_requests_hold() {
    let config: Config = serde_json::from_value(json!({})).unwrap();
    assert_eq!(config.listen.max_body_bytes, 16 << 20);
    let case = start(json!({ "max_body_bytes": 10, "max_header_bytes": 300, "read_timeout_ms": 200 }));
    case.route("/*all", "*").unwrap();
    assert_eq!(status(&case.ask_with("POST", "/", "content-length: 11\r\n")), 413);
    assert_eq!(status(&case.ask_with("GET", "/", &format!("x: {}\r\n", "y".repeat(300)))), 431);
    assert_eq!(status(&case.send("GET / HTTP/1.1\r\nhost")), 408);
    let case = start(json!({ "max_connections": 1 }));
    let mut held = case.stream();
    held.write_all(b"G").unwrap();
    until("one connection too many", || case.send("").starts_with("HTTP/1.1 503 "));
}

/// [http-framework-33] [http-framework-62] [http-framework-68]
#[test]
fn a_bad_certificate_is_an_err_and_never_plain_http() {
    let folder = FakeHost::new();
    let path = folder.host().data_folder().unwrap();
    let authority = theater_certificates::Authority::new(&path);
    let (cert, key) = authority.sign("localhost", false);
    let (other, _) = authority.sign("example.com", false);
    let file = |path: &std::path::Path| path.display().to_string();
    let (cert, key, other) = (file(&cert), file(&key), file(&other));
    std::fs::write(path.join("empty.pem"), "").unwrap();
    let empty = file(&path.join("empty.pem"));
    let case = start(json!({ "tls_files": [cert, key, other, empty] }));
    let asked = |cert_path: &str, key_path: &str| ServerConfig {
        tls_config: Some(TlsConfig { cert_path: cert_path.to_owned(), key_path: key_path.to_owned() }),
        ..any_port()
    };
    let create = |cert: &str, key: &str| case.call::<u64>("create-server", &(asked(cert, key),));
    assert!(create(&empty, &key).unwrap_err().contains("has no certificate"));
    assert!(create(&cert, &empty).unwrap_err().starts_with("tls:"));
    assert!(create(&other, &key).unwrap_err().starts_with("tls:"), "a key of another certificate");
    assert!(create("/etc/hostname", &key).unwrap_err().contains("add tls_files = [\"/etc/hostname\"]"));
    // The actor may use the relative path that the manifest has.
    let id = create("localhost.pem", "localhost-key.pem").unwrap();
    assert!(create("./localhost.pem", "localhost-key.pem").is_ok());
    assert!(create("", &key).unwrap_err().contains("need a file"));
    assert!(create(".pem", &key).is_err() && create("../localhost.pem", &key).is_err());
    let port: u16 = case.call("start-server", &(id,)).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // Anything but HTTP: an alert, or nothing.
    stream.read_to_end(&mut answer).ok();
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let route: Result<u64, String> = case.call("add-route", &(id, "/", "GET", case.handler));
    route.unwrap();
    // A client that trusts the authority gets the response over TLS.
    let fetched = |trusted: &std::path::Path| {
        let name = format!("localhost:{port}");
        let output = std::process::Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--noproxy",
                "*",
                "--max-time",
                "20",
                "--resolve",
                &format!("{name}:127.0.0.1"),
                "--cacert",
            ])
            .arg(trusted)
            .arg(format!("https://{name}/"))
            .output()
            .expect("curl is there, as `.ci/run` installs it");
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat()
    };
    let answer = fetched(&authority.file());
    assert!(answer.starts_with("1 GET / "), "{answer}");
    let answer = fetched(std::path::Path::new(&other));
    assert!(answer.contains("certificate"), "{answer}");
    // A certificate that has become invalid since.
    case.call::<()>("stop-server", &(id,)).unwrap();
    std::fs::write(&cert, "").unwrap();
    assert!(case.call::<u16>("start-server", &(id,)).unwrap_err().contains("has no certificate"));
    let none = start(json!({}));
    let refused = none.call::<u64>("create-server", &(asked(&other, &key),)).unwrap_err();
    assert!(refused.contains("add tls_files"), "{refused}");
}

/// [http-framework-34] [http-framework-65] [http-framework-66]
#[test]
fn ids_begin_at_1_and_are_the_actors_own() {
    let plugin = HttpFramework::default();
    let case = started(&plugin, FakeHost::new(), json!({}), any_port());
    assert_eq!((case.server, case.handler), (1, 1));
    assert_eq!(case.call::<u64>("register-handler", &("main",)), Ok(1));
    assert_eq!(case.call::<u64>("register-handler", &("other",)), Ok(2));
    assert_eq!((case.route("/a", "GET"), case.route("/b", "GET")), (Ok(1), Ok(2)));
    assert!(case.route("/b", "GET").is_err());
    assert_eq!(case.route("/c", "GET"), Ok(3), "a refused route uses no id");
    assert_eq!(case.call::<u64>("add-middleware", &(1_u64, "/", 1_u64)), Ok(1));
    assert_eq!(case.call::<u64>("create-server", &(any_port(),)), Ok(2));
    let other = FakeHost::new();
    exports(&other, &ALL);
    let handler = block_on(attach_to(&plugin, &other, "http-framework", json!({}))).unwrap();
    let theirs = block_on(other.call::<_, Result<u16, String>>(&handler, "start-server", &(1_u64,))).unwrap();
    assert!(theirs.unwrap_err().contains("no server 1"));
    let created = block_on(other.call::<_, Result<u64, String>>(&handler, "create-server", &(any_port(),))).unwrap();
    assert_eq!(created, Ok(1));
    // A restart of the first actor reuses no id; the ids of a removed actor are dropped.
    let Case { host, framework, .. } = case;
    drop(framework);
    let again = block_on(attach_to(&plugin, &host, "http-framework", json!({}))).unwrap();
    let id = block_on(host.call::<_, Result<u64, String>>(&again, "create-server", &(any_port(),))).unwrap();
    assert_eq!(id, Ok(3));
    let named = block_on(host.call::<_, Result<u64, String>>(&again, "register-handler", &("other",))).unwrap();
    assert_eq!(named, Ok(2), "calls that wait in the mailbox carry it");
    block_on(plugin.forget(&host.actor())).unwrap();
    assert_eq!(plugin.ids().len(), 1);
}

/// [http-framework-35] [http-framework-37] [http-framework-38] [http-framework-39] [http-framework-63]
#[test]
fn a_server_starts_stops_and_starts_again() {
    let case = start(json!({}));
    assert_ne!(case.port, 0);
    assert_eq!(case.call("start-server", &(case.server,)), Ok(case.port));
    case.route("/", "GET").unwrap();
    case.sockets();
    let info = ServerInfo {
        id: case.server,
        port: case.port,
        host: "127.0.0.1".to_owned(),
        running: true,
        routes_count: 1,
        middleware_count: 0,
        websocket_enabled: true,
    };
    assert_eq!(case.info(), info);
    case.call::<()>("stop-server", &(case.server,)).unwrap();
    case.call::<()>("stop-server", &(case.server,)).unwrap();
    assert_eq!(case.info(), ServerInfo { running: false, ..info.clone() });
    assert!(TcpStream::connect(("127.0.0.1", case.port)).is_err());
    // The port is free immediately.
    let asked = ServerConfig { port: Some(case.port), ..any_port() };
    let second: u64 = case.call("create-server", &(asked,)).unwrap();
    assert_eq!(case.call("start-server", &(second,)), Ok(case.port));
    let port: u16 = case.call("start-server", &(case.server,)).unwrap();
    assert_ne!(port, case.port);
    assert_eq!(case.info(), ServerInfo { port, ..info });
    assert_eq!(case.status("GET", "/"), 404, "the second server has no route");
    let route: u64 = case.call("add-route", &(second, "/", "GET", case.handler)).unwrap();
    assert_eq!(case.status("GET", "/"), 200);
    case.call::<()>("destroy-server", &(second,)).unwrap();
    assert!(TcpStream::connect(("127.0.0.1", case.port)).is_err());
    for function in ["start-server", "stop-server", "destroy-server", "get-server-info"] {
        let error = case.call::<()>(function, &(second,)).unwrap_err();
        assert!(error.contains("no server 2"), "{function}: {error}");
    }
    assert!(case.call::<()>("remove-route", &(route,)).unwrap_err().contains("no route"));
    let asked = ServerConfig { port: Some(port), ..any_port() };
    let third: u64 = case.call("create-server", &(asked,)).unwrap();
    let error = case.call::<u16>("start-server", &(third,)).unwrap_err();
    assert!(error.contains("is in use"), "{error}");
    assert!(!case.call::<ServerInfo>("get-server-info", &(third,)).unwrap().running);
}

/// [http-framework-36]
#[test]
fn requests_that_run_get_their_time_when_a_server_stops() {
    let config: Config = serde_json::from_value(json!({})).unwrap();
    assert_eq!(config.listen.shutdown_grace_ms, 5_000);
    let case = start(json!({}));
    case.route("/slow", "GET").unwrap();
    let mut stream = case.stream();
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    case.arrived.recv_timeout(Duration::from_secs(20)).unwrap();
    let start = Instant::now();
    case.call::<()>("stop-server", &(case.server,)).unwrap();
    assert!(start.elapsed() < Duration::from_secs(4), "the actor has to answer the running request");
    case.answer.send(()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"), "{answer}");
    // A request that takes longer is cut off.
    let case = self::start(json!({ "shutdown_grace_ms": 100 }));
    case.route("/", "GET").unwrap();
    case.host.fill();
    let mut stream = case.stream();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    until("the request waits for the actor", || case.host.metric("requests").is_some());
    let start = Instant::now();
    case.call::<()>("stop-server", &(case.server,)).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.is_empty() && start.elapsed() >= Duration::from_millis(100), "{answer}");
}

#[test]
fn requests_wait_for_an_actor_that_is_not_ready() {
    let host = FakeHost::new();
    exports(&host, &ALL);
    let framework = block_on(attach::<HttpFramework>(&host, "http-framework", json!({}))).unwrap();
    let call = |function: &str, arguments: (u64,)| {
        block_on(host.call::<_, Result<u16, String>>(&framework, function, &arguments)).unwrap()
    };
    let created = block_on(host.call::<_, Result<u64, String>>(&framework, "create-server", &(any_port(),))).unwrap();
    assert_eq!(created, Ok(1));
    let port = call("start-server", (1,)).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(stream.read(&mut [0]).is_err());
    assert_eq!(block_on(framework.started(false)), Ok(vec![format!("http://127.0.0.1:{port}")]));
    let mut answer = String::new();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

/// [http-framework-60] [http-framework-61] [http-framework-64] [http-framework-68]
#[test]
fn only_what_the_config_allows_is_bound() {
    let create = |config: Value, host: &str, port: u16| {
        let case = start(config);
        let asked = ServerConfig { port: Some(port), host: Some(host.to_owned()), tls_config: None };
        let id = case.call::<u64>("create-server", &(asked,))?;
        case.call::<u16>("start-server", &(id,))
    };
    assert!(create(json!({}), "::1", 0).is_ok());
    assert!(create(json!({}), "0.0.0.0", 0).unwrap_err().contains("add bind_hosts = [\"0.0.0.0\"]"));
    assert!(create(json!({}), "127.0.0.1", 80).unwrap_err().contains("add bind_ports = [80]"));
    assert!(create(json!({}), "example.com", 0).unwrap_err().starts_with("host ="));
    let refused = create(json!({ "bind_ports": [0] }), "127.0.0.1", 8_080).unwrap_err();
    assert!(refused.contains("bind_ports has 0; add bind_ports = [8080]"), "{refused}");
}

/// [http-framework-58] [http-framework-59]
#[test]
fn what_the_actor_does_not_export_cannot_be_used() {
    let with = |numbers: &[u32]| {
        let host = FakeHost::new();
        exports(&host, numbers);
        let framework = block_on(attach::<HttpFramework>(&host, "http-framework", json!({}))).unwrap();
        (host, framework)
    };
    let (host, framework) = with(&[]);
    let register = |host: &FakeHost, framework: &Arc<Framework>| {
        block_on(host.call::<_, Result<u64, String>>(framework, "register-handler", &("a",))).unwrap()
    };
    assert!(register(&host, &framework).unwrap_err().contains("does not export theater:simple/http-handlers"));
    for one in ALL {
        let (host, framework) = with(&[one]);
        assert_eq!(register(&host, &framework), Ok(1));
        let created =
            block_on(host.call::<_, Result<u64, String>>(&framework, "create-server", &(any_port(),))).unwrap();
        assert_eq!(created, Ok(1));
        let route = block_on(host.call::<_, Result<u64, String>>(&framework, "add-route", &(1_u64, "/", "GET", 1_u64)));
        let middleware =
            block_on(host.call::<_, Result<u64, String>>(&framework, "add-middleware", &(1_u64, "/", 1_u64)));
        let enable = |connect: Option<u64>, disconnect: Option<u64>| {
            let arguments = (1_u64, "/", connect, 1_u64, disconnect);
            block_on(host.call::<_, Result<(), String>>(&framework, "enable-websocket", &arguments)).unwrap()
        };
        let lacks = |result: Result<(), String>, function: &str| {
            result.err().is_some_and(|error| error.contains(&format!("does not export {function} ")))
        };
        assert_eq!(lacks(route.unwrap().map(drop), "handle-request"), one != REQUEST);
        assert_eq!(lacks(middleware.unwrap().map(drop), "handle-middleware"), one != MIDDLEWARE);
        assert_eq!(lacks(enable(None, None), "handle-websocket-message"), one != MESSAGE);
        if one == MESSAGE {
            assert!(lacks(enable(Some(1), None), "handle-websocket-connect"));
            assert!(lacks(enable(None, Some(1)), "handle-websocket-disconnect"));
        }
    }
}

/// [http-framework-28] [http-framework-40]
#[test]
fn the_connect_handler_decides() {
    let case = start(json!({}));
    case.call::<()>("enable-websocket", &(case.server, "/rooms/:room", Some(1_u64), 1_u64, Some(1_u64))).unwrap();
    drop(case.open("/rooms/blue?key=a%20b"));
    let called = case.called();
    assert_eq!(called.export, CONNECT);
    let told: (u64, u64, String, Option<String>) = decode(&called.params).unwrap();
    assert_eq!(told, (1, 1, "/rooms/blue".to_owned(), Some("key=a%20b".to_owned())));
    assert!(called.cause.starts_with("websocket 1 from 127.0.0.1:"), "{}", called.cause);
    assert_eq!(case.told_of(DISCONNECT), 1);
    assert!(case.try_open("/rooms/blue?deny").unwrap_err().contains("403"));
    assert_eq!(case.told_of(CONNECT), 2);
    // It was never open, so the actor is not notified of its end.
    drop(case.open("/rooms/red"));
    let told: (u64, u64, String, Option<String>) = decode(&case.called().params).unwrap();
    assert_eq!(told, (1, 3, "/rooms/red".to_owned(), None));
    assert_eq!(status(&case.ask("GET", "/rooms/red")), 426);
}

/// [http-framework-41] [http-framework-42] [http-framework-43] [http-framework-44] [http-framework-45] [http-framework-56]
#[test]
fn every_kind_of_message_arrives() {
    let case = start(json!({}));
    case.sockets();
    let mut client = case.open("/ws");
    assert_eq!(case.told_of(CONNECT), 1);
    client.send(Message::text("h\u{e9}llo")).unwrap();
    assert_eq!((case.told(), next(&mut client)), ((1, text("h\u{e9}llo")), Message::text("h\u{e9}llo")));
    client.send(Message::binary(vec![0, 255])).unwrap();
    assert_eq!(case.told(), (1, of(MessageType::Binary, &[0, 255])));
    assert_eq!(next(&mut client), Message::binary(vec![0, 255]));
    client.send(Message::Ping(b"1".to_vec().into())).unwrap();
    assert_eq!(
        (case.told(), next(&mut client)),
        ((1, of(MessageType::Ping, b"1")), Message::Pong(b"1".to_vec().into()))
    );
    client.send(Message::Pong(b"2".to_vec().into())).unwrap();
    assert_eq!(case.told(), (1, of(MessageType::Pong, b"2")));
    let code = tungstenite::protocol::frame::coding::CloseCode::Library(4_000);
    client.close(Some(tungstenite::protocol::CloseFrame { code, reason: "done".into() })).unwrap();
    assert!(matches!(next(&mut client), Message::Close(_)));
    assert_eq!(case.told(), (1, of(MessageType::Close, b"\x0f\xa0done")));
    assert_eq!(case.told_of(DISCONNECT), 1);
    // A connection that is lost without a close ends too, and only once.
    drop(case.open("/ws"));
    assert_eq!((case.told_of(CONNECT), case.told_of(DISCONNECT)), (2, 2));
    until("both connections are removed", || case.host.metric("websockets_ended") == Some(2.0));
    assert_eq!(case.host.metric("websockets_begun"), Some(2.0));
}

/// [http-framework-46] [http-framework-52]
#[test]
fn answers_come_in_order_and_fragments_as_one() {
    let case = start(json!({}));
    case.sockets();
    let mut client = case.open("/ws");
    for number in 0..200 {
        client.send(Message::text(number.to_string())).unwrap();
    }
    client.send(Message::text("three")).unwrap();
    for number in 0..200 {
        assert_eq!(next(&mut client), Message::text(number.to_string()));
    }
    let last = [next(&mut client), next(&mut client), next(&mut client)];
    assert_eq!(last, [Message::text("1"), Message::binary(b"2".to_vec()), Message::text("3")]);
    // The mask is zero; both frames have one byte of the letter.
    client
        .get_mut()
        .write_all(&[&[0x01, 0x81, 0, 0, 0, 0, 0xc3][..], &[0x80, 0x81, 0, 0, 0, 0, 0xa9][..]].concat())
        .unwrap();
    assert_eq!(next(&mut client), Message::text("\u{e9}"));
    client.send(Message::text("fail")).unwrap();
    client.send(Message::text("wrong")).unwrap();
    assert_eq!(next(&mut client), Message::text("right"));
    client.send(Message::text("bye")).unwrap();
    assert_eq!((next(&mut client), closed(&mut client)), (Message::text("so long"), 1000));
    let lines: Vec<_> = case.host.lines().into_iter().map(|line| line.message).collect();
    for said in ["the actor says no", "only comes in", "has its payload in `text`"] {
        assert!(lines.iter().any(|line| line.contains(said)), "{said} in {lines:?}");
    }
}

/// [http-framework-47] [http-framework-48] [http-framework-49] [http-framework-55] [http-framework-56] [http-framework-67]
#[test]
fn the_actor_sends_and_closes_at_any_time() {
    let case = start(json!({}));
    case.sockets();
    let (mut one, mut other) = (case.open("/ws"), case.open("/ws"));
    assert_eq!((case.told_of(CONNECT), case.told_of(CONNECT)), (1, 2));
    let send = |number: u64, message: WebsocketMessage| {
        case.call::<()>("send-websocket-message", &(case.server, number, message))
    };
    for (message, heard) in [
        (text("news"), Message::text("news")),
        (of(MessageType::Binary, b"\0"), Message::binary(b"\0".to_vec())),
        (of(MessageType::Ping, b"?"), Message::Ping(b"?".to_vec().into())),
        (of(MessageType::Pong, b"!"), Message::Pong(b"!".to_vec().into())),
        (text(""), Message::text("")),
    ] {
        send(2, message).unwrap();
        assert_eq!(next(&mut other), heard);
    }
    for (message, says) in [
        (kind(MessageType::Connect), "only comes in"),
        (kind(MessageType::Other("odd".to_owned())), "no kind \"odd\""),
        (of(MessageType::Ping, &[0; 126]), "at most 125 bytes, and this one has 126"),
        (of(MessageType::Text, b"a"), "payload in `text`"),
        (WebsocketMessage { ty: MessageType::Binary, data: None, text: Some("a".to_owned()) }, "payload in `data`"),
    ] {
        let error = send(2, message).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
    assert!(send(3, text("nobody")).unwrap_err().contains("no open websocket 3"));
    assert!(case.call::<()>("send-websocket-message", &(9_u64, 1_u64, text(""))).unwrap_err().contains("no server 9"));
    send(1, text("last")).unwrap();
    case.call::<()>("close-websocket", &(case.server, 1_u64)).unwrap();
    assert!(send(1, text("behind it")).unwrap_err().contains("no open websocket 1"));
    assert_eq!((next(&mut one), closed(&mut one)), (Message::text("last"), 1000));
    // The pong of the client, to the ping above.
    assert_eq!(case.told(), (2, of(MessageType::Pong, b"?")));
    assert_eq!(case.told_of(DISCONNECT), 1);
    send(2, kind(MessageType::Close)).unwrap();
    assert_eq!((closed(&mut other), case.told_of(DISCONNECT)), (1000, 2));
    assert!(case.call::<()>("close-websocket", &(case.server, 2_u64)).unwrap_err().contains("no open websocket 2"));
}

/// [http-framework-47]
#[test]
fn a_message_sent_while_the_actor_works_arrives_before_the_answer() {
    let host = FakeHost::new();
    let case = started(&HttpFramework::default(), host, json!({}), any_port());
    case.sockets();
    let mut client = case.open("/ws");
    let (framework, sender) = (Arc::clone(&case.framework), case.host.host());
    case.host.set_exports(&ALL, move |_, params| {
        // As the actor would during the call of its export.
        let (_, number, _): (u64, u64, WebsocketMessage) = decode(params).unwrap();
        let outbox = framework.table.server(1).unwrap().connection(number).unwrap();
        let message = theater_websocket_protocol::Message::Text("first".to_owned());
        block_on(outbox.push(message, 100, Duration::ZERO, &sender)).unwrap();
        encoded(&(vec![text("then")],))
    });
    client.send(Message::text("go")).unwrap();
    assert_eq!((next(&mut client), next(&mut client)), (Message::text("first"), Message::text("then")));
}

/// [http-framework-50] [http-framework-51]
#[test]
fn a_client_that_does_not_read_is_waited_for_and_then_closed() {
    let case = start(json!({ "read_timeout_ms": 1_000 }));
    case.sockets();
    let mut client = case.open("/ws");
    let start = Instant::now();
    client.send(Message::text("much")).unwrap();
    client.send(Message::text("not read any more")).unwrap();
    assert_eq!((case.told_of(CONNECT), case.told()), (1, (1, text("much"))));
    // 40 MB do not fit into a socket's buffer. The connection ends after the timeout, and no other message arrives
    // before that.
    assert_eq!(case.told_of(DISCONNECT), 1);
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    // Messages that the actor sends by itself: the queue takes some, waits, and then the connection is closed.
    let case = self::start(json!({ "max_websocket_queue_bytes": 1_000, "websocket_send_timeout_ms": 200 }));
    case.sockets();
    let mut client = case.open("/ws");
    let send =
        || case.call::<()>("send-websocket-message", &(case.server, 1_u64, of(MessageType::Binary, &[7; 1 << 20])));
    let mut sent = 0;
    let error = loop {
        match send() {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 1_000, "the client reads nothing");
    };
    assert!(error.contains("does not read") && sent > 1, "{error}");
    assert!(send().unwrap_err().contains("no open websocket"));
    assert_eq!((case.told_of(CONNECT), case.told_of(DISCONNECT)), (1, 1));
    // The close frame follows what the system had buffered already, if there was room for it in time.
    let ended = std::iter::from_fn(|| client.read().ok()).last();
    assert!(matches!(&ended, Some(Message::Binary(_))) || code_of(ended.as_ref()) == Some(1013), "{ended:?}");
    assert_eq!(case.host.metric("slow_clients"), Some(1.0));
    // A client that reads only delays the sender.
    let case = self::start(json!({ "max_websocket_queue_bytes": 1_000, "websocket_send_timeout_ms": 10_000 }));
    case.sockets();
    let mut client = case.open("/ws");
    let reading = std::thread::spawn(move || (0..20).map(|_| client.read().unwrap().len()).sum::<usize>());
    for _ in 0..20 {
        case.call::<()>("send-websocket-message", &(case.server, 1_u64, of(MessageType::Binary, &[7; 1 << 20])))
            .unwrap();
    }
    assert_eq!(reading.join().unwrap(), 20 << 20);
}

fn code_of(message: Option<&Message>) -> Option<u16> {
    match message {
        Some(Message::Close(Some(frame))) => Some(frame.code.into()),
        _ => None,
    }
}

/// [http-framework-51]
#[test]
fn a_client_that_reads_too_late_finds_why() {
    let case = start(json!({ "read_timeout_ms": 300 }));
    case.sockets();
    let mut client = case.open("/ws");
    client.send(Message::text("much")).unwrap();
    until("the client is slow", || case.host.metric("slow_clients").is_some());
    assert_eq!(closed(&mut client), 1013);
}

/// [http-framework-53] [http-framework-54]
#[test]
fn what_is_no_message_closes_with_its_code() {
    let case = start(json!({ "max_body_bytes": 10 }));
    case.sockets();
    for (frame, code) in [
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff][..], 1007),
        (&[0x82, 0x8b, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10][..], 1009),
        (&[0x83, 0x80, 0, 0, 0, 0][..], 1002),
    ] {
        let mut client = case.open("/ws");
        client.get_mut().write_all(frame).unwrap();
        assert_eq!(closed(&mut client), code);
        let number = case.told_of(CONNECT);
        assert_eq!(case.told_of(DISCONNECT), number);
    }
}

/// [http-framework-57]
#[test]
fn the_end_of_the_actor_closes_with_1001() {
    let case = start(json!({}));
    case.sockets();
    let mut client = case.open("/ws");
    case.host.stop();
    let framework = Arc::clone(&case.framework);
    let stopping = std::thread::spawn(move || block_on(framework.stopped()));
    assert_eq!(closed(&mut client), 1001);
    drop(client);
    stopping.join().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", case.port)).is_err());
    // Stopping a server does the same.
    let case = start(json!({}));
    case.sockets();
    let (mut one, mut other) = (case.open("/ws"), case.open("/ws"));
    case.call::<()>("stop-server", &(case.server,)).unwrap();
    assert_eq!((closed(&mut one), closed(&mut other)), (1001, 1001));
    assert_eq!((case.told_of(CONNECT), case.told_of(CONNECT)), (1, 2));
    let mut ended = [case.told_of(DISCONNECT), case.told_of(DISCONNECT)];
    ended.sort_unstable();
    assert_eq!(ended, [1, 2]);
}

#[test]
fn an_actor_makes_only_so_much() {
    let case = start(json!({ "max_servers": 2, "max_routes": 3 }));
    assert_eq!(case.call::<u64>("create-server", &(any_port(),)), Ok(2));
    let error = case.call::<u64>("create-server", &(any_port(),)).unwrap_err();
    assert!(error.contains("2 servers already") && error.contains("a larger max_servers allows more"), "{error}");
    case.call::<()>("destroy-server", &(2_u64,)).unwrap();
    assert_eq!(case.call::<u64>("create-server", &(any_port(),)), Ok(3));
    let more = |function: &dyn Fn(u64) -> Result<(), String>, there: u64| {
        for number in there..3 {
            function(number).unwrap();
        }
        let error = function(3).unwrap_err();
        assert!(error.contains("3 ") && error.contains("a larger max_routes"), "{error}");
    };
    more(&|number| case.route(&format!("/{number}"), "GET").map(drop), 0);
    more(&|_| case.call::<u64>("add-middleware", &(case.server, "/", case.handler)).map(drop), 0);
    more(&|number| case.call::<u64>("register-handler", &(format!("h{number}"),)).map(drop), 1);
    let none = None::<u64>;
    let enable =
        |number| case.call("enable-websocket", &(case.server, format!("/w{number}"), none, case.handler, none));
    more(&enable, 0);
    let error = case.call::<u64>("register-handler", &("x".repeat(256),)).unwrap_err();
    assert!(error.contains("max_routes"), "the name is not too long: {error}");
    let error = case.call::<u64>("register-handler", &("x".repeat(257),)).unwrap_err();
    assert!(error.contains("has 257 bytes, and may have 256"), "{error}");
}

#[test]
fn what_middleware_leaves_of_a_request_is_what_the_connect_handler_gets() {
    let case = start(json!({}));
    case.sockets();
    case.call::<u64>("add-middleware", &(case.server, "/ws", case.handler)).unwrap();
    case.host.set_exports(&ALL, |export, params| match export {
        MIDDLEWARE => {
            let (_, mut request): (u64, HttpRequest) = decode(params).unwrap();
            request.uri = "/ws?user=ann".to_owned();
            encoded(&(MiddlewareResult { proceed: true, request },))
        }
        _ => encoded(&()),
    });
    drop(case.open("/ws?token=secret"));
    assert_eq!(case.called().export, MIDDLEWARE);
    let told: (u64, u64, String, Option<String>) = decode(&case.called().params).unwrap();
    assert_eq!((told.2.as_str(), told.3.as_deref()), ("/ws", Some("user=ann")));
}

#[test]
fn pages_of_other_sites_open_no_websocket() {
    let asked = |config: Value, origin: &str| {
        let case = start(config);
        case.sockets();
        let open = format!(
            "upgrade: websocket\r\nconnection: upgrade, close\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\norigin: {origin}\r\n"
        );
        let mut stream = case.stream();
        stream.write_all(format!("GET /ws HTTP/1.1\r\nhost: h\r\n{open}\r\n").as_bytes()).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        status(std::str::from_utf8(&head).unwrap())
    };
    assert_eq!(asked(json!({}), "http://evil.example"), 403);
    assert_eq!(asked(json!({}), "http://h"), 101);
    assert_eq!(asked(json!({ "allowed_origins": ["http://page.example"] }), "http://page.example"), 101);
    assert_eq!(asked(json!({ "allowed_origins": ["*"] }), "http://evil.example"), 101);
}

/// [http-framework-56]
#[test]
fn a_websocket_that_comes_to_be_too_late_is_told_to_have_ended() {
    for grace in [5_000, 50] {
        let case = start(json!({ "shutdown_grace_ms": grace }));
        case.sockets();
        case.host.fill();
        let mut stream = case.stream();
        let open = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
                    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        stream.write_all(format!("GET /ws HTTP/1.1\r\nhost: h\r\n{open}\r\n").as_bytes()).unwrap();
        until("the client asks", || case.host.metric("websockets_begun").is_some());
        case.call::<()>("stop-server", &(case.server,)).unwrap();
        if grace == 50 {
            // The request is cut off: no caller waits for the result of the connect handler.
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        }
        case.host.make_room();
        assert_eq!((case.told_of(CONNECT), case.told_of(DISCONNECT)), (1, 1));
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.is_empty() == (grace == 50) && !answer.contains("101"), "{answer}");
    }
}

#[test]
fn a_client_is_heard_while_the_actor_always_sends() {
    let case = start(json!({}));
    case.sockets();
    let mut client = case.open("/ws");
    client.send(Message::text("hear me")).unwrap();
    client.send(Message::Ping(b"and me".to_vec().into())).unwrap();
    let ended = std::sync::atomic::AtomicBool::new(false);
    let (host, framework, server) = (&case.host, &case.framework, case.server);
    std::thread::scope(|scope| {
        let flooding = scope.spawn(|| {
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                let message = of(MessageType::Binary, &[7; 1_000]);
                let sent = (server, 1_u64, message);
                let sent = block_on(host.call::<_, Result<(), String>>(framework, "send-websocket-message", &sent));
                sent.unwrap().unwrap();
            }
        });
        let (mut answered, mut ponged, start) = (false, false, Instant::now());
        while !(answered && ponged) && start.elapsed() < Duration::from_secs(20) {
            match next(&mut client) {
                Message::Text(_) => answered = true,
                Message::Pong(_) => ponged = true,
                _ => {}
            }
        }
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(answered && ponged);
        // Drain what is in transit, so that the other thread can finish; there may be nothing left.
        client.get_ref().set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        while !flooding.is_finished() {
            client.read().ok();
        }
    });
}

/// Attaches a further run of the actor, to a new plugin.
fn resumed(case: &Case) -> Arc<Framework> {
    block_on(attach::<HttpFramework>(&case.host, "http-framework", json!({}))).unwrap()
}

#[test]
fn a_snapshot_has_all_servers_and_the_open_sockets_are_told_to_have_ended() {
    let case = start(json!({}));
    let first = case.route("/a/:b", "GET").unwrap();
    let kept = case.route("/c", "POST").unwrap();
    case.call::<()>("remove-route", &(first,)).unwrap();
    let middleware: u64 = case.call("add-middleware", &(case.server, "/c", case.handler)).unwrap();
    case.sockets();
    let stopped: u64 =
        case.call("create-server", &(ServerConfig { host: Some("::1".to_owned()), ..any_port() },)).unwrap();
    let client = case.open("/ws");
    assert_eq!(case.told_of(CONNECT), 1);
    let (info, state) = (case.info(), case.framework.export_state().unwrap());
    // As after `kill -9`: the port is free, and the actor was not notified of anything.
    let asking = resumed(&case);
    case.framework.table.server(case.server).unwrap().open().clear();
    case.call::<()>("stop-server", &(case.server,)).unwrap();
    drop(client);
    asking.import_state(&state).unwrap();
    assert_eq!(block_on(asking.started(true)), Ok(vec![format!("http://127.0.0.1:{}", case.port)]));
    let call =
        |function: &str, id: u64| block_on(case.host.call::<_, Result<ServerInfo, String>>(&asking, function, &(id,)));
    assert_eq!(call("get-server-info", case.server), Ok(Ok(info)));
    let other = call("get-server-info", stopped).unwrap().unwrap();
    assert_eq!((other.running, other.host.as_str()), (false, "::1"));
    loop {
        let called = case.called();
        if called.export == DISCONNECT && called.cause.contains("ended with the program") {
            assert_eq!(decode::<(u64, u64)>(&called.params).unwrap(), (case.handler, 1));
            break;
        }
    }
    assert!(case.ask_with("POST", "/c", "content-length: 0\r\n").contains("x-passed"));
    assert_eq!(case.status("GET", "/a/b"), 404);
    drop(case.open("/ws"));
    let register =
        |name: &str| block_on(case.host.call::<_, Result<u64, String>>(&asking, "register-handler", &(name,)));
    assert_eq!((register("main"), register("new")), (Ok(Ok(case.handler)), Ok(Ok(case.handler + 1))));
    let remove = |function: &str, id: u64| block_on(case.host.call::<_, Result<(), String>>(&asking, function, &(id,)));
    assert_eq!((remove("remove-route", kept), remove("remove-middleware", middleware)), (Ok(Ok(())), Ok(Ok(()))));
}

#[test]
fn recorded_calls_make_the_servers_again() {
    let case = start(json!({}));
    let none = None::<u64>;
    let again = resumed(&case);
    let recover = |function: &str, arguments: &dyn Fn(&str) -> Result<(), String>| arguments(function).unwrap();
    let ok = |id: u64| Ok::<u64, String>(id);
    let done = || Ok::<(), String>(());
    let refused = || Err::<u64, String>("no".to_owned());
    macro_rules! recorded {
        ($function:literal, $arguments:expr, $result:expr) => {
            recover($function, &|function| case.host.recover(&again, function, &$arguments, &$result))
        };
    }
    recorded!("create-server", (any_port(),), refused());
    recorded!("create-server", (any_port(),), ok(3));
    recorded!("create-server", (any_port(),), ok(4));
    recorded!("register-handler", ("main",), ok(5));
    recorded!("register-handler", ("main",), ok(5));
    recorded!("add-route", (3_u64, "/a", "GET", 5_u64), ok(7));
    recorded!("add-route", (3_u64, "/a", "GET", 5_u64), refused());
    recorded!("add-route", (3_u64, "/b", "GET", 5_u64), ok(8));
    recorded!("remove-route", (8_u64,), done());
    recorded!("add-middleware", (3_u64, "/", 5_u64), ok(2));
    recorded!("add-middleware", (3_u64, "/a", 5_u64), ok(3));
    recorded!("remove-middleware", (3_u64,), done());
    recorded!("enable-websocket", (3_u64, "/ws", none, 5_u64, none), done());
    recorded!("start-server", (4_u64,), Ok::<u16, String>(case.port));
    recorded!("stop-server", (4_u64,), done());
    recorded!("create-server", (any_port(),), ok(6));
    recorded!("start-server", (6_u64,), Ok::<u16, String>(1));
    recorded!("destroy-server", (6_u64,), done());
    // The previous run of the actor still has the port; since any port was asked for, the server gets another.
    recorded!("start-server", (3_u64,), Ok::<u16, String>(case.port));
    // What was refused changed nothing.
    let not_done = || Err::<(), String>("no".to_owned());
    recorded!("stop-server", (3_u64,), not_done());
    recorded!("destroy-server", (4_u64,), not_done());
    recorded!("remove-route", (7_u64,), not_done());
    recorded!("remove-middleware", (2_u64,), not_done());
    recorded!("enable-websocket", (3_u64, "/no", none, 5_u64, none), not_done());
    assert_eq!(again.table.server(3).unwrap().routing().websockets().len(), 1);
    let urls = block_on(again.started(true)).unwrap();
    let port: u16 = urls[0].rsplit(':').next().unwrap().parse().unwrap();
    assert!(urls.len() == 1 && port != case.port, "{urls:?}");
    let info = again.info(3).unwrap();
    assert_eq!((info.port, info.running, info.routes_count, info.middleware_count), (port, true, 1, 1));
    assert!(info.websocket_enabled && !again.info(4).unwrap().running && again.info(6).is_err());
    let call = |function: &str, arguments: (&str,)| {
        block_on(case.host.call::<_, Result<u64, String>>(&again, function, &arguments)).unwrap()
    };
    assert_eq!((call("register-handler", ("main",)), call("register-handler", ("next",))), (Ok(5), Ok(6)));
    let created = block_on(case.host.call::<_, Result<u64, String>>(&again, "create-server", &(any_port(),))).unwrap();
    assert_eq!(created, Ok(7));
    let odd = case.host.recover(&again, "remove-route", &(99_u64,), &done()).unwrap_err();
    assert!(odd.contains("remove-route: this actor has no route 99"), "{odd}");
}

/// The arguments of a refused call are the actor's own: a made-up number must not move the counter of connections.
#[test]
fn a_refused_call_does_not_move_the_counter_of_connections() {
    let case = start(json!({}));
    let again = resumed(&case);
    let counter = &again.context.ids.connections;
    let newest = counter.newest();
    let recover = |function: &str, made_up: &dyn Fn(&str) -> Result<(), String>| made_up(function).unwrap();
    let refused = Err::<(), String>("no such connection".to_owned());
    recover("send-websocket-message", &|function| {
        case.host.recover(&again, function, &(3_u64, u64::MAX, text("a")), &refused)
    });
    recover("close-websocket", &|function| case.host.recover(&again, function, &(3_u64, u64::MAX), &refused));
    assert_eq!((counter.newest(), counter.next()), (newest, newest + 1));
    let newest = newest + 10;
    recover("close-websocket", &|function| {
        case.host.recover(&again, function, &(3_u64, newest), &Ok::<(), String>(()))
    });
    assert_eq!(counter.next(), newest + 1);
}

#[test]
fn sockets_of_recorded_calls_are_told_to_have_ended_and_their_numbers_are_not_given_again() {
    let mut case = start(json!({}));
    case.sockets();
    let handler = case.handler;
    let again = resumed(&case);
    let recovered = |function: &str, arguments: &dyn Fn(&str) -> Result<(), String>| arguments(function).unwrap();
    macro_rules! recorded {
        ($function:literal, $arguments:expr, $result:expr) => {
            recovered($function, &|function| case.host.recover(&again, function, &$arguments, &$result))
        };
    }
    let (some, none, other) = (Some(handler), None::<String>, 99_u64);
    recorded!("create-server", (any_port(),), Ok::<u64, String>(3));
    recorded!("enable-websocket", (3_u64, "/ws", some, handler, some), Ok::<(), String>(()));
    recorded!("start-server", (3_u64,), Ok::<u16, String>(case.port));
    // A connection that the actor accepted, one that it refused, and one whose connect call has no result yet.
    for (connection, answer) in [(1_u64, Some(Ok(()))), (2, Some(Err(()))), (3, None)] {
        recorded!("handle-websocket-connect", (handler, connection, "/ws", &none), answer);
    }
    recorded!("handle-websocket-disconnect", (handler, 1_u64), Some(Ok::<(), ()>(())));
    // A connection that was opened before the snapshot, and two with handlers that no websocket has.
    recorded!("handle-websocket-message", (handler, 4_u64, text("a")), Some(Ok::<(), ()>(())));
    recorded!("handle-websocket-message", (other, 5_u64, text("a")), Some(Ok::<(), ()>(())));
    recorded!("handle-websocket-connect", (other, 6_u64, "/ws", &none), Some(Ok::<(), ()>(())));
    let url = block_on(again.started(true)).unwrap().remove(0);
    let mut ended = [case.told_of(DISCONNECT), case.told_of(DISCONNECT)];
    ended.sort_unstable();
    assert_eq!(ended, [3, 4]);
    case.port = url.rsplit(':').next().unwrap().parse().unwrap();
    let _client = case.open("/ws");
    assert_eq!(case.told_of(CONNECT), 7, "and no other end is reported");
}

#[test]
fn numbers_of_sockets_that_were_only_sent_to_or_closed_are_not_given_again() {
    for (function, number) in [("send-websocket-message", 10_u64), ("close-websocket", 20)] {
        let case = start(json!({}));
        case.sockets();
        let arguments = (case.server, number, text("a"));
        let done = Ok::<(), String>(());
        match function {
            "close-websocket" => case.host.recover(&case.framework, function, &(case.server, number), &done),
            _ => case.host.recover(&case.framework, function, &arguments, &done),
        }
        .unwrap();
        let _client = case.open("/ws");
        assert_eq!(case.told_of(CONNECT), number + 1);
    }
}

#[test]
fn a_path_may_have_routes_beside_its_websocket() {
    let case = start(json!({}));
    case.sockets();
    for method in ["GET", "POST"] {
        case.route("/ws", method).unwrap();
    }
    let upgrade = "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    assert_eq!(case.status("GET", "/ws"), 200);
    // Only a GET asks for a websocket (RFC 6455, section 4.1).
    let asked = format!("{upgrade}connection: upgrade\r\ncontent-length: 0\r\n");
    assert_eq!(status(&case.ask_with("POST", "/ws", &asked)), 200);
    let _client = case.open("/ws");
}

#[test]
fn a_tls_file_is_meant_by_the_end_of_its_path() {
    let files = |paths: &[&str]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
    let allowed = files(&["/a/cert.pem", "/b/cert.pem", "/b/key.pem"]);
    for (asked, meant) in [
        ("key.pem", "/b/key.pem"),
        ("b/cert.pem", "/b/cert.pem"),
        ("./b/cert.pem", "/b/cert.pem"),
        ("/a/cert.pem", "/a/cert.pem"),
        ("other.pem", "other.pem"),
    ] {
        assert_eq!(resolve_tls_file(&allowed, asked).unwrap(), meant);
    }
    assert!(resolve_tls_file(&allowed, "cert.pem").unwrap_err().to_string().contains("matches several"));
    assert!(resolve_tls_file(&allowed, ".").unwrap_err().to_string().contains("need a file"));
    // An absolute path is unambiguous, even if it is listed twice.
    let twice = files(&["/a/cert.pem", "/a/cert.pem"]);
    assert_eq!(resolve_tls_file(&twice, "/a/cert.pem").unwrap(), "/a/cert.pem");
    assert!(resolve_tls_file(&twice, "cert.pem").is_err());
}

#[test]
fn a_handler_that_is_dropped_listens_no_more() {
    // Keep the host: dropping the handler alone must stop the server.
    let Case { host: _host, framework, port, .. } = start(json!({}));
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    drop(framework);
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// [http-framework-60] [http-framework-61] [http-framework-62]
#[test]
fn the_schema_names_the_defaults_that_are() {
    let schema: Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
    let default = |key: &str| schema["properties"][key]["default"].clone();
    let config: Config = serde_json::from_value(json!({})).unwrap();
    let listen = &config.listen;
    for (key, value) in [
        ("max_body_bytes", json!(listen.max_body_bytes)),
        ("max_header_bytes", json!(listen.max_header_bytes)),
        ("max_headers", json!(listen.max_headers)),
        ("read_timeout_ms", json!(listen.read_timeout_ms)),
        ("max_connections", json!(listen.max_connections)),
        ("shutdown_grace_ms", json!(listen.shutdown_grace_ms)),
        ("max_websocket_queue_bytes", json!(config.max_websocket_queue_bytes)),
        ("max_websocket_queue_bytes", json!(MAX_WEBSOCKET_QUEUE_BYTES)),
        ("websocket_send_timeout_ms", json!(config.websocket_send_timeout_ms)),
        ("websocket_send_timeout_ms", json!(WEBSOCKET_SEND_TIMEOUT_MS)),
        ("max_servers", json!(config.max_servers)),
        ("max_servers", json!(MAX_SERVERS)),
        ("max_routes", json!(config.max_routes)),
        ("max_routes", json!(MAX_ROUTES)),
        ("allowed_origins", json!(config.allowed_origins)),
        ("tls_files", json!(listen.tls_files)),
    ] {
        assert_eq!(default(key), value, "{key}");
    }
    let narrowed = HttpFramework::default().narrow("http-framework", &Value::Null, &json!({})).unwrap();
    assert_eq!(narrowed, json!({"bind_hosts": default("bind_hosts"), "bind_ports": default("bind_ports")}));
}
