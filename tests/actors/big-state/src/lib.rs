//! Has a state of any size: `/set/<bytes>` creates it, `/touch` changes one byte of it, and `/read` reads it
//! without changing it.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package actors:big-state;
        world big-state {
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

struct BigState;

impl actor::Guest for BigState {
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        Ok((None,))
    }
}

impl http_server::Guest for BigState {
    fn handle_request(mut state: State, (request,): (HttpRequest,)) -> Result<(State, (HttpResponse,)), String> {
        let mut changed = false;
        let response = http::answer(&request, |path| {
            changed = path != ["read"];
            match path {
                ["set", bytes] => state = Some(vec![0; http::number(bytes)?]),
                ["touch"] => touch(state.as_deref_mut())?,
                ["read"] => {}
                _ => return http::unknown("/set/<bytes>, /touch, /read"),
            }
            Ok(state.as_ref().map_or(0, Vec::len).to_string())
        });
        // `None` keeps the old state and saves the host from reading a new one.
        Ok((state.filter(|_| changed), (response,)))
    }
}

/// Adds one to the byte in the middle.
fn touch(state: Option<&mut [u8]>) -> Result<(), String> {
    let state = state.unwrap_or_default();
    let middle = state.len() / 2;
    let byte = state.get_mut(middle).ok_or("the state is empty; /set/<bytes> first")?;
    *byte = byte.wrapping_add(1);
    Ok(())
}

export!(BigState);
