//! Serves the files of the folder in its manifest: `/a/b.html` is the file `a/b.html`, and `/a/` is `a/index.html`.
//! The handler enforces what may be read, not this code: `read-file` returns an error for a path outside the folder.

use http::text;
use theater_sdk::http_server::{HttpRequest, HttpResponse};
use theater_sdk::{State, actor, filesystem, http_server};

struct Files;

#[actor::export]
impl actor::Actor for Files {
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        Ok((None,))
    }
}

#[http_server::export]
impl http_server::HttpServer for Files {
    fn handle_request(_state: State, (request,): (HttpRequest,)) -> Result<(State, (HttpResponse,)), String> {
        Ok((None, (answer(&request),)))
    }
}

fn answer(request: &HttpRequest) -> HttpResponse {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        let mut refused = plain(405, "only GET and HEAD");
        refused.headers.push(("allow".into(), "GET, HEAD".into()));
        return refused;
    }
    let mut path = http::segments(&request.uri).join("/");
    if path.is_empty() || path.ends_with('/') {
        path.push_str("index.html");
    }
    match filesystem::path_exists(&path) {
        Err(_) => plain(403, "outside of what is served"),
        Ok(false) => plain(404, "no such file"),
        Ok(true) => match filesystem::read_file(&path) {
            Ok(bytes) => HttpResponse {
                status: 200,
                headers: vec![("content-type".into(), kind(&path).into())],
                body: Some(bytes),
            },
            // A folder, requested without the trailing slash.
            Err(_) => plain(404, "no such file"),
        },
    }
}

fn plain(status: u16, body: &str) -> HttpResponse {
    let http::types::HttpResponse { status, headers, body } = text(status, body);
    HttpResponse { status, headers, body }
}

/// The media type for a file name extension.
fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
