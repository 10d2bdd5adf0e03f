//! Helpers for actors that are web servers. An actor uses the HTTP types of this crate (`with` in its
//! `generate!`) and answers with [`answer`]. `hello-http` shows how to do it without this crate.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package actors:http;
        world http {
            import theater:simple/http-types;
        }
    ",
    generate_unused_types: true,
    generate_all,
});

pub use theater::simple::http_types as types;
use types::{HttpRequest, HttpResponse};

/// Answers a request with the text that `handle` returns for its path: status 200, or 400 for an error.
///
/// `handle` receives the percent-decoded segments of the path: `["sleep", "20"]` for `/sleep/20?x`.
pub fn answer(request: &HttpRequest, handle: impl FnOnce(&[&str]) -> Result<String, String>) -> HttpResponse {
    let segments = segments(&request.uri);
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match handle(&segments) {
        Ok(body) => text(200, &body),
        Err(error) => text(400, &error),
    }
}

/// Creates a plain text response whose body ends with a newline.
pub fn text(status: u16, body: &str) -> HttpResponse {
    HttpResponse {
        status,
        headers: vec![("content-type".into(), "text/plain; charset=utf-8".into())],
        body: Some(format!("{}\n", body.trim_end_matches('\n')).into_bytes()),
    }
}

/// Parses one segment of a path as a number.
pub fn number<T: std::str::FromStr>(segment: &str) -> Result<T, String> {
    segment.parse().map_err(|_| format!("\"{segment}\" is no number that fits here"))
}

/// The error for an unknown path. `known` lists the paths that exist.
pub fn unknown<T>(known: &str) -> Result<T, String> {
    Err(format!("no such path; there are {known}"))
}

/// The percent-decoded segments of a target's path.
pub fn segments(uri: &str) -> Vec<String> {
    let path = uri.split('?').next().unwrap_or_default();
    path.split('/').skip(1).map(decode).collect()
}

/// Decodes percent-encoding such as `%20` (RFC 3986, section 2.1).
fn decode(segment: &str) -> String {
    let mut parts = segment.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).map(|digits| u8::from_str_radix(digits, 16)) {
            Some(Ok(byte)) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            _ => {
                bytes.push(b'%');
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
