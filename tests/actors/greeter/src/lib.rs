//! Uses every function of a third-party interface, `acme:greeter/hello`, and is called back through
//! `visitor`. Its state is the numbers of ticks and visits, in decimal digits separated by a space.

wit_bindgen::generate!({
    path: ["../../../wit", "../../acme-greeter/wit/greeter.wit"],
    inline: "
        package actors:greeter;
        world greeter {
            import theater:simple/runtime;
            import acme:greeter/hello@1.0.0;
            export theater:simple/actor;
            export theater:simple/http-server;
            export acme:greeter/visitor@1.0.0;
        }
    ",
    with: { "theater:simple/http-types": http::types },
    generate_all,
});

use acme::greeter::hello::{self, Fault, Marks, Occasion, Person, Tone};
use exports::acme::greeter::visitor;
use exports::theater::simple::{actor, http_server};
use http::types::{HttpRequest, HttpResponse};
use theater::simple::runtime;

type State = Option<Vec<u8>>;

struct Greeter;

impl actor::Guest for Greeter {
    fn init(state: State, (_id,): (String,)) -> Result<(State,), String> {
        Counts::read(&state).map(|counts| (counts.write(),))
    }
}

impl http_server::Guest for Greeter {
    fn handle_request(state: State, (request,): (HttpRequest,)) -> Result<(State, (HttpResponse,)), String> {
        let Counts { ticks, visits } = Counts::read(&state)?;
        let response = http::answer(&request, |path| match path {
            ["state"] => Ok(format!("ticks: {ticks}\nvisits: {visits}")),
            path => answer(path),
        });
        Ok((None, (response,)))
    }
}

impl visitor::Guest for Greeter {
    fn handle_tick(state: State, (_number,): (u64,)) -> Result<(State,), String> {
        let mut counts = Counts::read(&state)?;
        counts.ticks += 1;
        Ok((counts.write(),))
    }

    fn handle_visit(state: State, (who,): (Person,)) -> Result<(State, (String,)), String> {
        let mut counts = Counts::read(&state)?;
        counts.visits += 1;
        runtime::log(&format!("{} is here", who.name));
        Ok((counts.write(), (format!("Come in, {}!", who.name),)))
    }
}

/// Maps a path to a call of each function of `hello`.
fn answer(path: &[&str]) -> Result<String, String> {
    match path {
        ["greet", name, occasion @ ..] => hello::greet(&person(name), &read_occasion(occasion)?),
        ["greet-later", name, ms] => hello::greet_later(&person(name), http::number(ms)?),
        ["average", values @ ..] => average(values),
        ["mix"] => Ok(mix()),
        ["count"] => Ok(hello::count().to_string()),
        ["total"] => Ok(hello::total().to_string()),
        ["owner"] => Ok(hello::owner()),
        ["start-ticks", ms] => hello::start_ticks(http::number(ms)?).map(ok),
        ["visit", name] => hello::visit(&person(name)),
        ["wait-for", actor] => hello::wait_for(actor).map(ok),
        ["fail", "panic"] => hello::fail(Fault::Panic).map(ok),
        ["fail", "error"] => hello::fail(Fault::Error).map(ok),
        ["fail", "wrong-bytes"] => hello::fail(Fault::WrongBytes).map(ok),
        _ => http::unknown(
            "/greet/<name>[/birthday/<years> | /wedding/<a>/<b> | /other/<text>], /greet-later/<name>/<ms>, \
             /average/<number>/.., /mix, /count, /total, /owner, /start-ticks/<ms>, /visit/<name>, \
             /wait-for/<actor>, /fail/<panic | error | wrong-bytes>, /state",
        ),
    }
}

fn ok((): ()) -> String {
    "ok".into()
}

fn read_occasion(path: &[&str]) -> Result<Occasion, String> {
    match path {
        [] => Ok(Occasion::PlainDay),
        ["birthday", years] => Ok(Occasion::Birthday(http::number(years)?)),
        ["wedding", a, b] => Ok(Occasion::Wedding((person(a), person(b)))),
        ["other", text] => Ok(Occasion::Other((*text).into())),
        _ => http::unknown("/birthday/<years>, /wedding/<a>/<b>, /other/<text>"),
    }
}

/// A person with this name and arbitrary other fields.
fn person(name: &str) -> Person {
    Person {
        name: name.into(),
        initial: name.chars().next().unwrap_or('?'),
        age: 42,
        height: 1.75,
        born: -86_400,
        tags: vec![vec!["kind".into(), "quick".into()], vec![], vec!["früh".into()]],
        tone: Tone::Warm,
        marks: Marks::SMILE | Marks::CLAP,
    }
}

fn average(values: &[&str]) -> Result<String, String> {
    let values: Result<Vec<f64>, String> = values.iter().map(|value| http::number(value)).collect();
    Ok(hello::average(&values?).to_string())
}

/// Calls `mix` with the extreme value of each integer type, and a few ordinary values.
fn mix() -> String {
    hello::mix(
        true,
        u8::MAX,
        i8::MIN,
        u16::MAX,
        i16::MIN,
        u32::MAX,
        i32::MIN,
        u64::MAX,
        i64::MIN,
        0.5,
        -0.25,
        '🎭',
        13,
        14,
        15,
        16,
        17,
        18,
        19,
        "twenty",
    )
}

#[derive(Default)]
struct Counts {
    ticks: u64,
    visits: u64,
}

impl Counts {
    fn read(state: &State) -> Result<Self, String> {
        let Some(bytes) = state else {
            return Ok(Self::default());
        };
        let text = String::from_utf8_lossy(bytes);
        let Some((ticks, visits)) = text.split_once(' ') else {
            return Err(format!("the state should be two numbers, but is \"{text}\""));
        };
        Ok(Self { ticks: http::number(ticks)?, visits: http::number(visits)? })
    }

    fn write(&self) -> State {
        Some(format!("{} {}", self.ticks, self.visits).into_bytes())
    }
}

export!(Greeter);
