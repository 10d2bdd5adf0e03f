//! Answers with the time, and sleeps. While it sleeps, other actors keep running.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package actors:clock;
        world clock {
            import theater:simple/timing;
            export theater:simple/actor;
            export theater:simple/http-server;
        }
    ",
    with: { "theater:simple/http-types": http::types },
    generate_all,
});

use exports::theater::simple::{actor, http_server};
use http::types::{HttpRequest, HttpResponse};
use theater::simple::timing;

type State = Option<Vec<u8>>;

struct Clock;

impl actor::Guest for Clock {
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        Ok((None,))
    }
}

impl http_server::Guest for Clock {
    fn handle_request(_state: State, (request,): (HttpRequest,)) -> Result<(State, (HttpResponse,)), String> {
        Ok((None, (http::answer(&request, answer),)))
    }
}

fn answer(path: &[&str]) -> Result<String, String> {
    match path {
        ["now"] => Ok(timing::now().to_string()),
        ["sleep", ms] => timing::sleep(http::number(ms)?).map(|()| "ok".into()),
        ["deadline", timestamp] => timing::deadline(http::number(timestamp)?).map(|()| "ok".into()),
        _ => http::unknown("/now, /sleep/<ms>, /deadline/<timestamp>"),
    }
}

export!(Clock);
