//! Answers with random numbers. With a `seed` in its manifest it answers with the same ones after every start.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package actors:dice;
        world dice {
            import theater:simple/random;
            export theater:simple/actor;
            export theater:simple/http-server;
        }
    ",
    with: { "theater:simple/http-types": http::types },
    generate_all,
});

use exports::theater::simple::{actor, http_server};
use http::types::{HttpRequest, HttpResponse};
use theater::simple::random;

type State = Option<Vec<u8>>;

struct Dice;

impl actor::Guest for Dice {
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        Ok((None,))
    }
}

impl http_server::Guest for Dice {
    fn handle_request(_state: State, (request,): (HttpRequest,)) -> Result<(State, (HttpResponse,)), String> {
        Ok((None, (http::answer(&request, answer),)))
    }
}

fn answer(path: &[&str]) -> Result<String, String> {
    match path {
        ["bytes", length] => random::random_bytes(http::number(length)?).map(|bytes| hex(&bytes)),
        ["range", min, max] => {
            random::random_range(http::number(min)?, http::number(max)?).map(|number| number.to_string())
        }
        ["float"] => random::random_float().map(|number| number.to_string()),
        ["uuid"] => random::generate_uuid(),
        _ => http::unknown("/bytes/<length>, /range/<min>/<max>, /float, /uuid"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

export!(Dice);
