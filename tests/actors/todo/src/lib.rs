//! A to-do list with a JSON API, stored in a store and protected by middleware that requires a token.
//!
//! - `GET /todos`: `[{"id": 1, "text": "..", "done": false}, ..]`
//! - `POST /todos` with `{"text": ".."}`: 201 and the item
//! - `GET`, `PATCH` (with `{"text": .., "done": ..}`, both optional) or `DELETE` of `/todos/1`
//!
//! Requests need the header `Authorization: Bearer TOKEN`, with the token in the environment variable `TODO_TOKEN`.
//! Without this variable all requests are refused. The initial state is `{"port": 8086, "store": "todo"}`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use theater_sdk::http_handlers::{HandlerId, HttpRequest, HttpResponse, MiddlewareResult};
use theater_sdk::http_types::ServerConfig;
use theater_sdk::{State, actor, environment, http_framework, http_handlers, store};

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Todo {
    port: u16,
    store: String,
    list: HandlerId,
    item: HandlerId,
}

/// The content that is stored under [`LABEL`].
#[derive(Serialize, Deserialize, Default)]
struct Items {
    newest: u64,
    items: Vec<Item>,
}

#[derive(Serialize, Deserialize)]
struct Item {
    id: u64,
    text: String,
    done: bool,
}

#[derive(Deserialize)]
struct New {
    text: String,
}

#[derive(Deserialize)]
struct Change {
    text: Option<String>,
    done: Option<bool>,
}

const LABEL: &str = "todos";

#[actor::export]
impl actor::Actor for Todo {
    fn init(state: State, (_id,): (String,)) -> Result<(State,), String> {
        let mut todo: Self = message::state(state)?;
        let config = ServerConfig { port: Some(todo.port), host: None, tls_config: None };
        let server = http_framework::create_server(&config)?;
        todo.list = http_framework::register_handler("list")?;
        todo.item = http_framework::register_handler("item")?;
        let auth = http_framework::register_handler("auth")?;
        for method in ["GET", "POST"] {
            http_framework::add_route(server, "/todos", method, todo.list)?;
        }
        for method in ["GET", "PATCH", "DELETE"] {
            http_framework::add_route(server, "/todos/:id", method, todo.item)?;
        }
        http_framework::add_middleware(server, "/todos", auth)?;
        http_framework::start_server(server)?;
        Ok((message::keep(&todo)?,))
    }
}

#[http_handlers::export]
impl http_handlers::HttpHandlers for Todo {
    fn handle_middleware(
        _state: State,
        (_id, mut request): (HandlerId, HttpRequest),
    ) -> Result<(State, (MiddlewareResult,)), String> {
        let token = environment::get_var("TODO_TOKEN").filter(|token| !token.is_empty());
        let proceed = token.is_some_and(|token| is_same(header(&request, "authorization"), &format!("Bearer {token}")));
        if !proceed {
            request.headers = vec![("x-theater-status".to_owned(), "401".to_owned())];
            request.body = Some(b"{\"error\":\"a bearer token is needed\"}\n".to_vec());
        }
        Ok((None, (MiddlewareResult { proceed, request },)))
    }

    fn handle_request(
        state: State,
        (id, request): (HandlerId, HttpRequest),
    ) -> Result<(State, (HttpResponse,)), String> {
        let todo: Self = message::state(state)?;
        let mut items = load(&todo.store)?;
        let answer = if id == todo.list { items.list(&request) } else { items.item(&request) };
        let (status, value) = answer.unwrap_or_else(|(status, what)| (status, json!({ "error": what })));
        if status < 300 && request.method != "GET" && request.method != "HEAD" {
            let bytes = serde_json::to_vec(&items).map_err(|error| error.to_string())?;
            store::replace_content_at_label(&todo.store, LABEL, &bytes)?;
        }
        Ok((None, (response(status, &value),)))
    }
}

type Answer = Result<(u16, Value), (u16, String)>;

impl Items {
    fn list(&mut self, request: &HttpRequest) -> Answer {
        if request.method != "POST" {
            return Ok((200, json!(self.items)));
        }
        let New { text } = body(request)?;
        self.newest += 1;
        let item = Item { id: self.newest, text, done: false };
        let answer = json!(item);
        self.items.push(item);
        Ok((201, answer))
    }

    fn item(&mut self, request: &HttpRequest) -> Answer {
        let id = header(request, "x-route-param-id");
        let at = self.items.iter().position(|item| item.id.to_string() == id);
        let at = at.ok_or_else(|| (404, format!("there is no item {id}")))?;
        match request.method.as_str() {
            "DELETE" => {
                self.items.remove(at);
                Ok((204, Value::Null))
            }
            "PATCH" => {
                let Change { text, done } = body(request)?;
                let item = &mut self.items[at];
                item.text = text.unwrap_or_else(|| item.text.clone());
                item.done = done.unwrap_or(item.done);
                Ok((200, json!(item)))
            }
            _ => Ok((200, json!(self.items[at]))),
        }
    }
}

fn load(store: &str) -> Result<Items, String> {
    let Some(reference) = store::get_by_label(store, LABEL)? else { return Ok(Items::default()) };
    serde_json::from_slice(&store::get(store, &reference)?).map_err(|error| error.to_string())
}

fn body<T: serde::de::DeserializeOwned>(request: &HttpRequest) -> Result<T, (u16, String)> {
    let bytes = request.body.as_deref().unwrap_or_default();
    serde_json::from_slice(bytes).map_err(|error| (400, format!("the body: {error}")))
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> &'a str {
    let named = request.headers.iter().find(|(known, _)| known == name);
    named.map(|(_, value)| value.as_str()).unwrap_or_default()
}

/// Compares two texts in a time that does not depend on where they differ.
fn is_same(one: &str, other: &str) -> bool {
    let differing = one.bytes().zip(other.bytes()).fold(0, |differing, (one, other)| differing | (one ^ other));
    one.len() == other.len() && differing == 0
}

fn response(status: u16, value: &Value) -> HttpResponse {
    let body = (status != 204).then(|| format!("{value}\n").into_bytes());
    HttpResponse { status, headers: vec![("content-type".to_owned(), "application/json".to_owned())], body }
}
