//! Loops forever on request. The host has to interrupt the call and continue with the next one.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package actors:looper;
        world looper {
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

struct Looper;

impl actor::Guest for Looper {
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        Ok((None,))
    }
}

impl http_server::Guest for Looper {
    fn handle_request(_state: State, (request,): (HttpRequest,)) -> Result<(State, (HttpResponse,)), String> {
        Ok((None, (http::answer(&request, answer),)))
    }
}

fn answer(path: &[&str]) -> Result<String, String> {
    match path {
        ["loop"] => loop {
            std::hint::spin_loop();
        },
        _ => Ok("ok".into()),
    }
}

export!(Looper);
