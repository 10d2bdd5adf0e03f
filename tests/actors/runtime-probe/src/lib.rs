//! Uses every function of the runtime interface, which every actor may import.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package actors:runtime-probe;
        world runtime-probe {
            import theater:simple/runtime;
            export theater:simple/actor;
            export theater:simple/http-server;
        }
    ",
    with: { "theater:simple/http-types": http::types },
    generate_all,
});

use exports::theater::simple::{actor, http_server};
use http::types::{HttpRequest, HttpResponse};
use theater::simple::runtime;
use theater::simple::types::MetaEvent;

type State = Option<Vec<u8>>;

struct RuntimeProbe;

impl actor::Guest for RuntimeProbe {
    /// With the initial state `shutdown`, it requests its own shutdown in `init`.
    fn init(state: State, (_id,): (String,)) -> Result<(State,), String> {
        if state.as_deref() == Some(b"shutdown") {
            runtime::log(&shutdown("in init"));
        }
        Ok((None,))
    }
}

impl http_server::Guest for RuntimeProbe {
    fn handle_request(_state: State, (request,): (HttpRequest,)) -> Result<(State, (HttpResponse,)), String> {
        Ok((None, (http::answer(&request, answer),)))
    }
}

fn answer(path: &[&str]) -> Result<String, String> {
    match path {
        ["log", text] => {
            runtime::log(text);
            Ok("ok".into())
        }
        ["chain"] => Ok(runtime::get_chain().events.iter().map(line).collect()),
        ["shutdown", text] => Ok(format!("first: {}\nsecond: {}", shutdown(text), shutdown(text))),
        ["late-shutdown", text] => {
            (0..200_000_000u32).for_each(|round| {
                std::hint::black_box(round);
            });
            Ok(shutdown(text))
        }
        _ => http::unknown("/log/<text>, /chain, /shutdown/<text>, /late-shutdown/<text>"),
    }
}

/// An event as hash, parent, type and data length. The parent of the first event is `-`.
fn line(MetaEvent { hash, event }: &MetaEvent) -> String {
    let parent = event.parent.map_or("-".into(), |parent| format!("{parent:016x}"));
    let length = event.data.len();
    format!("{hash:016x} {parent} {} {length}\n", event.event_type)
}

/// Asks the host to stop this actor with `text` as its final data. The current call still completes.
fn shutdown(text: &str) -> String {
    match runtime::shutdown(Some(text.as_bytes())) {
        Ok(()) => "ok".into(),
        Err(error) => format!("err: {error}"),
    }
}

export!(RuntimeProbe);
