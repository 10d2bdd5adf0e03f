//! Paths and texts for actors that are web servers. An actor takes its HTTP types from here (`with` in its
//! `generate!`) and answers with [`answer`]. `hello-http` shows how to do without.

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

/// Answers a request with the text that `handle` makes of its path: status 200, or 400 for an error.
///
/// The path arrives in segments without percent-encoding, `/sleep/20?x` as `["sleep", "20"]`.
pub fn answer(request: &HttpRequest, handle: impl FnOnce(&[&str]) -> Result<String, String>) -> HttpResponse {
    let segments = segments(&request.uri);
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match handle(&segments) {
        Ok(body) => text(200, &body),
        Err(error) => text(400, &error),
    }
}

/// A plain text response whose body ends with a newline.
pub fn text(status: u16, body: &str) -> HttpResponse {
    HttpResponse {
        status,
        headers: vec![("content-type".into(), "text/plain; charset=utf-8".into())],
        body: Some(format!("{}\n", body.trim_end_matches('\n')).into_bytes()),
    }
}

/// Reads one segment of a path as a number.
pub fn number<T: std::str::FromStr>(segment: &str) -> Result<T, String> {
    segment.parse().map_err(|_| format!("\"{segment}\" is no number that fits here"))
}

/// The error for a path that an actor does not have; `known` lists those it has.
pub fn unknown<T>(known: &str) -> Result<T, String> {
    Err(format!("no such path; there are {known}"))
}

/// The path of a target, in segments without percent-encoding.
pub fn segments(uri: &str) -> Vec<String> {
    let path = uri.split('?').next().unwrap_or_default();
    path.split('/').skip(1).map(decode).collect()
}

/// Replaces `%20` and the like by what they stand for (RFC 3986, section 2.1).
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
