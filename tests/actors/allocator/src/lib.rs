//! Allocates memory without end on request. The host has to stop it at the limit of its manifest.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package actors:allocator;
        world allocator {
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

struct Allocator;

impl actor::Guest for Allocator {
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        Ok((None,))
    }
}

impl http_server::Guest for Allocator {
    fn handle_request(_state: State, (request,): (HttpRequest,)) -> Result<(State, (HttpResponse,)), String> {
        Ok((None, (http::answer(&request, answer),)))
    }
}

fn answer(path: &[&str]) -> Result<String, String> {
    match path {
        ["alloc"] => take_all(),
        _ => Ok("ok".into()),
    }
}

fn take_all() -> ! {
    let mut kept = Vec::new();
    loop {
        kept.push(vec![1_u8; 1 << 20]);
        // Without a use, the compiler may optimize the allocation away.
        std::hint::black_box(&mut kept);
    }
}

export!(Allocator);
