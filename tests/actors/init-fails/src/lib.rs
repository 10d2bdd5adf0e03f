//! Fails to start: its chain ends with the `err` of `init`, and its web server never answers.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package actors:init-fails;
        world init-fails {
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

struct InitFails;

impl actor::Guest for InitFails {
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        Err("init refused".into())
    }
}

impl http_server::Guest for InitFails {
    fn handle_request(_state: State, (_request,): (HttpRequest,)) -> Result<(State, (HttpResponse,)), String> {
        Ok((None, (http::text(200, "never sent"),)))
    }
}

export!(InitFails);
