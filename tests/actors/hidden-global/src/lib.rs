//! Keeps its count in a static, which an actor must not do. The host may use a new instance after `init`, and
//! then the first call fails and says why. `hello-http` does it right.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package actors:hidden-global;
        world hidden-global {
            export theater:simple/actor;
            export theater:simple/http-server;
        }
    ",
    with: { "theater:simple/http-types": http::types },
    generate_all,
});

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use exports::theater::simple::{actor, http_server};
use http::types::{HttpRequest, HttpResponse};

type State = Option<Vec<u8>>;

/// Set by `init`, and lost with the instance that ran it.
static COUNT: OnceLock<AtomicU64> = OnceLock::new();

struct HiddenGlobal;

impl actor::Guest for HiddenGlobal {
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        COUNT.get_or_init(|| AtomicU64::new(0));
        Ok((None,))
    }
}

impl http_server::Guest for HiddenGlobal {
    fn handle_request(_state: State, (_request,): (HttpRequest,)) -> Result<(State, (HttpResponse,)), String> {
        let count = COUNT.get().ok_or(
            "the static that init set is gone: the host may take a new instance between any two calls, \
             so what must last has to be in `state`",
        )?;
        let count = count.fetch_add(1, Ordering::Relaxed) + 1;
        Ok((None, (http::text(200, &count.to_string()),)))
    }
}

export!(HiddenGlobal);
