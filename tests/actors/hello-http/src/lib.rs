//! Greets and counts the visitors of a web server: the smallest useful actor, with only generated bindings.
//! The count is its state, so that it survives the loss of the instance.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package actors:hello-http;
        world hello-http {
            import theater:simple/runtime;
            export theater:simple/actor;
            export theater:simple/http-server;
        }
    ",
    generate_all,
});

use exports::theater::simple::{actor, http_server};
use theater::simple::http_types::{HttpRequest, HttpResponse};
use theater::simple::runtime;

/// The state that the host keeps between calls: the count in decimal digits.
type State = Option<Vec<u8>>;

struct HelloHttp;

impl actor::Guest for HelloHttp {
    fn init(state: State, (_id,): (String,)) -> Result<(State,), String> {
        let count = count(state)?;
        Ok((Some(count.to_string().into_bytes()),))
    }
}

impl http_server::Guest for HelloHttp {
    fn handle_request(state: State, (request,): (HttpRequest,)) -> Result<(State, (HttpResponse,)), String> {
        let count = count(state)? + 1;
        runtime::log(&format!("{} {} from visitor {count}", request.method, request.uri));
        Ok((Some(count.to_string().into_bytes()), (greeting(count),)))
    }
}

fn greeting(count: u64) -> HttpResponse {
    HttpResponse {
        status: 200,
        headers: vec![
            ("content-type".into(), "text/plain; charset=utf-8".into()),
            ("x-count".into(), count.to_string()),
        ],
        body: Some(format!("Hello! You are visitor number {count}.\n").into_bytes()),
    }
}

/// Reads the count from the state. `None` means that there was no visitor yet.
fn count(state: State) -> Result<u64, String> {
    let Some(bytes) = state else { return Ok(0) };
    let digits = String::from_utf8(bytes).map_err(|error| error.to_string())?;
    digits.parse().map_err(|_| format!("the state should be a number, but is \"{digits}\""))
}

export!(HelloHttp);
