//! Answers with the environment variables that its manifest allows.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package actors:env;
        world env {
            import theater:simple/environment;
            export theater:simple/actor;
            export theater:simple/http-server;
        }
    ",
    with: { "theater:simple/http-types": http::types },
    generate_all,
});

use exports::theater::simple::{actor, http_server};
use http::types::{HttpRequest, HttpResponse};
use theater::simple::environment;

type State = Option<Vec<u8>>;

struct Env;

impl actor::Guest for Env {
    fn init(_state: State, (_id,): (String,)) -> Result<(State,), String> {
        Ok((None,))
    }
}

impl http_server::Guest for Env {
    fn handle_request(_state: State, (request,): (HttpRequest,)) -> Result<(State, (HttpResponse,)), String> {
        Ok((None, (http::answer(&request, answer),)))
    }
}

fn answer(path: &[&str]) -> Result<String, String> {
    match path {
        ["get", name] => {
            environment::get_var(name).ok_or_else(|| format!("the variable \"{name}\" is missing or not allowed"))
        }
        ["list"] => Ok(lines(environment::list_vars())),
        ["exists", name] => Ok(environment::exists(name).to_string()),
        _ => http::unknown("/get/<name>, /list, /exists/<name>"),
    }
}

fn lines(variables: Vec<(String, String)>) -> String {
    let lines = variables.iter().map(|(name, value)| format!("{name}={value}\n"));
    lines.collect()
}

export!(Env);
