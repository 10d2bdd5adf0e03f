//! B5: an actor that greets over HTTP, compared with tide.

use std::process::Command;

use serde_json::{Value as Json, json};
use theater_runtime::support::executor::block_on;
use theater_tests::bench::{Only, Row, rounds};
use theater_tests::{Running, Scratch, component, wrk};

/// Nanoseconds per request for an actor that greets, over http-server and over http-framework, and for tide. One thread
/// sends the requests.
pub fn hellos(only: &Only) -> Vec<Row> {
    let cases = [("none", 1), ("none", 64), ("none", 256), ("batch", 64), ("batch", 256)];
    let plugins = ["http-server", "http-framework"];
    let name = |plugin: &str, (sync, connections): (&str, usize)| {
        format!("B5 hello, {plugin}, {connections} connections, sync {sync}")
    };
    if !plugins.iter().any(|plugin| cases.iter().any(|case| only.has(&name(plugin, *case)))) {
        return Vec::new();
    }
    let tide = Tide::start();
    let mut rows = Vec::new();
    for sync in ["none", "batch"] {
        let scratch = Scratch::new();
        let manifests = ["hello-http", "hello-routes"].map(|actor| greeter(&scratch, actor, sync));
        let mut running = Running::start(&scratch.path().join("data"), &manifests.each_ref().map(String::as_str));
        let urls = [0, 1].map(|number| format!("http://{}/", running.address(number)));
        for case in cases.into_iter().filter(|(of, _)| *of == sync) {
            let mut all: [Vec<(f64, f64)>; 2] = Default::default();
            // The first round warms up.
            let _ = rounds(only.quick, 5, || {
                let floor = 1e9 / wrk(&tide.url, case.1, 1);
                for (rounds, url) in all.iter_mut().zip(&urls) {
                    rounds.push((floor, 1e9 / wrk(url, case.1, 1)));
                }
                (0.0, 0.0)
            });
            for (plugin, mut rounds) in plugins.iter().zip(all) {
                rounds.remove(0);
                rows.push(Row { name: name(plugin, case), rounds, must: 2.0, goal: 1.0 / 0.9 });
            }
        }
        running.stop();
    }
    rows.retain(|row| only.has(&row.name));
    rows
}

fn greeter(scratch: &Scratch, actor: &str, sync: &str) -> String {
    let more = match actor {
        "hello-http" => {
            "[[handlers]]\ntype = \"runtime\"\nconfig = { log_level = \"error\" }\n[[handlers]]\ntype = \"http-server\"\n"
        }
        _ => "[[handlers]]\ntype = \"http-framework\"\n",
    };
    let state = if actor == "hello-http" { "" } else { "init_state = { json = { port = 0 } }\n" };
    let text = format!(
        "name = \"{actor}\"\ncomponent_path = {:?}\n{state}[chain]\nsync = \"{sync}\"\n{more}",
        component(actor).display().to_string()
    );
    scratch.write(&format!("{actor}.toml"), text).display().to_string()
}

/// The floor: tide in a separate process, with a response of the same length.
struct Tide {
    process: std::process::Child,
    url: String,
}

impl Tide {
    fn start() -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut process = Command::new(program)
            .args(["--part", "tide", "0", ""])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("the floor starts");
        let mut line = String::new();
        let said = process.stdout.take().expect("it is piped");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(said), &mut line).expect("it says where it listens");
        Self { process, url: line.trim().to_owned() }
    }
}

impl Drop for Tide {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Prints its URL and serves until it is killed.
pub fn bare_tide() -> Json {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::OwnedFd;
    use tide::listener::Listener as _;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    // By default tide answers in two segments and waits 40 ms for the acknowledgement of the first. Accepted sockets
    // inherit the option from the listening socket (tcp(7)); std can only set it on streams.
    let socket = TcpStream::from(OwnedFd::from(listener));
    socket.set_nodelay(true).expect("the option can be set");
    let listener = TcpListener::from(OwnedFd::from(socket));
    let mut app = tide::new();
    app.at("/").get(|_| async { Ok("Hello! You are visitor number 100000.\n") });
    let mut listener = block_on(app.bind(listener)).expect("it can be served");
    println!("{}", listener.info()[0].connection());
    block_on(listener.accept()).expect("it serves");
    json!(null)
}
