//! Fails in the requested way. After any failure its state is unchanged and the next call works.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package actors:trapper;
        world trapper {
            export theater:simple/actor;
            export theater:simple/http-server;
        }
    ",
    with: { "theater:simple/http-types": http::types },
    generate_all,
});

use exports::theater::simple::{actor, http_server};
use http::types::{HttpRequest, HttpResponse};

type State = Option<Vec<u8>>;

struct Trapper;

impl actor::Guest for Trapper {
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        Ok((None,))
    }
}

impl http_server::Guest for Trapper {
    fn handle_request(_state: State, (request,): (HttpRequest,)) -> Result<(State, (HttpResponse,)), String> {
        match request.uri.as_str() {
            "/trap" => std::process::abort(),
            "/panic" => panic!("asked to panic"),
            "/err" => return Err("asked to fail".into()),
            "/overflow" => return Err(format!("came back from {}", deeper(1))),
            _ => {}
        }
        Ok((None, (http::text(200, "ok"),)))
    }
}

/// Calls itself until the stack overflows. The computation after the call keeps the compiler from turning it
/// into a loop.
fn deeper(depth: u64) -> u64 {
    match depth {
        0 => 0,
        _ => deeper(depth.wrapping_add(1)).wrapping_mul(31) ^ depth,
    }
}

export!(Trapper);
