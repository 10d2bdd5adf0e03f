//! Calls `bad:plugin/probe`, the interface that the broken plugins of `tests/bad-plugins` share.

wit_bindgen::generate!({
    path: ["../../../wit", "../../bad-plugins/wit"],
    inline: "
        package actors:prober;
        world prober {
            import bad:plugin/probe@1.0.0;
            export theater:simple/actor;
            export theater:simple/http-server;
        }
    ",
    with: { "theater:simple/http-types": http::types },
    generate_all,
});

use bad::plugin::probe;
use exports::theater::simple::{actor, http_server};
use http::types::{HttpRequest, HttpResponse};

type State = Option<Vec<u8>>;

struct Prober;

impl actor::Guest for Prober {
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        Ok((None,))
    }
}

impl http_server::Guest for Prober {
    fn handle_request(_state: State, (request,): (HttpRequest,)) -> Result<(State, (HttpResponse,)), String> {
        let response = http::answer(&request, |path| match path {
            ["run", text] => probe::run(text),
            ["later", text] => probe::run_later(text),
            ["bare"] => Ok(probe::bare().to_string()),
            _ => Ok("ok".into()),
        });
        Ok((None, (response,)))
    }
}

export!(Prober);
