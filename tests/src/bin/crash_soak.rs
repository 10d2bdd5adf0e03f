//! Kills the program at random moments, resumes it, and checks that nothing acknowledged was lost.
//!
//! ```text
//! crash_soak [always] [2000]   this many `kill -9` under load, each followed by a resume; the chains of the actors use
//!                              `sync = "always"` or `"batch"`
//! ```
//!
//! A web server counts visitors, four actors send each other numbered messages, and a parent starts children that crash
//! and exit. Each kill is followed by a resume of all of them. With `always`, everything acknowledged survives: no
//! visitor number is given twice, and every accepted order is carried out. With either setting, no actor receives a
//! message that was not sent, or one message twice. At the end every chain verifies, and its replay is identical.
//!
//! Starts the real program, prints one JSON object, and panics if a check fails.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use theater_chain::verify;
use theater_plugin_api::testing::Seeded;
use theater_runtime::replay::{Options, replay};
use theater_tests::talk::{TALK, ask, manifests, try_ask, try_post};
use theater_tests::{HTTP, Running, Scratch, try_get};

/// Kills per data folder. Each resume reads the whole folder, so that more would take ever longer.
const OF_ONE_FOLDER: u64 = 50;
const CHATTERS: usize = 4;
/// Messages per order.
const MESSAGES: u64 = 20;
/// The timeout of every wait.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let sync = arguments.next().unwrap_or_else(|| "always".to_owned());
    let kills = arguments.next().map_or(Ok(2_000), |number| number.parse::<u64>());
    let (Ok(kills), "always" | "batch") = (kills, sync.as_str()) else {
        eprintln!("crash_soak [always | batch] [KILLS]");
        return ExitCode::from(2);
    };
    let begun = Instant::now();
    let (mut left, mut all) = (kills, Totals::default());
    let mut chance = Seeded::new(kills);
    while left > 0 {
        let now = left.min(OF_ONE_FOLDER);
        folder(&sync, now, &mut chance, &mut all);
        left -= now;
    }
    println!(
        "{}",
        json!({
            "soak": "crash", "sync": sync, "kills": kills, "visitors": all.visitors, "orders": all.orders,
            "messages": all.messages, "spawned": all.spawned, "events": all.events, "replayed_calls": all.replayed,
            "longest_resume_ms": all.longest_resume.as_millis() as u64, "seconds": begun.elapsed().as_secs(),
        })
    );
    ExitCode::SUCCESS
}

#[derive(Default)]
struct Totals {
    visitors: u64,
    orders: u64,
    messages: u64,
    spawned: u64,
    events: u64,
    replayed: u64,
    longest_resume: Duration,
}

/// What the clients of one data folder have observed.
#[derive(Default)]
struct Known {
    /// The number that the last visitor was given.
    visitor: AtomicU64,
    /// Visits that were attempted.
    visits: AtomicU64,
    /// Orders that were accepted, and orders whose outcome is unknown.
    taken: AtomicU64,
    unknown: AtomicU64,
    /// Violations: numbers that were given twice, unexpected responses.
    wrong: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl Known {
    fn is_over(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    fn wrong(&self, what: String) {
        self.wrong.lock().expect("no panic while locked").push(what);
    }
}

/// Addresses of the program's actors, taken from the ready lines in order.
struct Addresses {
    hello: SocketAddr,
    chatters: Vec<SocketAddr>,
    tree: SocketAddr,
}

impl Addresses {
    fn of(running: &Running) -> Self {
        let chatters = (1..=CHATTERS).map(|number| running.address(number)).collect();
        Self { hello: running.address(0), chatters, tree: running.address(CHATTERS + 1) }
    }
}

fn folder(sync: &str, kills: u64, chance: &mut Seeded, all: &mut Totals) {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let chained = format!("[chain]\nsync = \"{sync}\"\nsnapshot_every = 200\n");
    let worker = format!("[[handlers]]\ntype = \"message-server\"\n[[handlers]]\ntype = \"timing\"\n{chained}");
    let supervise =
        "[[handlers]]\ntype = \"supervisor\"\nconfig = { restart = \"on-failure\", max_restarts = 1000000 }\n";
    let timing = "[[handlers]]\ntype = \"timing\"\n";
    let paths = manifests(
        &scratch,
        &[
            ("worker", &worker),
            ("hello-http", &format!("{HTTP}{chained}")),
            ("chatter", &format!("{TALK}{chained}")),
            ("tree", &format!("{TALK}{supervise}{timing}{chained}")),
        ],
    );
    let [_, hello, chatter, tree] = paths.as_slice() else { panic!("four manifests") };
    let first: Vec<&str> =
        [hello.as_str()].into_iter().chain([chatter.as_str(); CHATTERS]).chain([tree.as_str()]).collect();
    let known = Known::default();
    let mut running = Running::start(&data, &first);
    let mut ids = Vec::new();
    for _ in 0..kills {
        let addresses = Addresses::of(&running);
        if ids.is_empty() {
            let id = |number: usize| running.lines()[number].split(' ').nth(1).expect("an id").to_owned();
            ids = (1..=CHATTERS).map(id).collect();
        }
        known.ended.store(false, Ordering::SeqCst);
        let span = Duration::from_micros(chance.below(200_000));
        let seeds: Vec<_> = (0..CHATTERS + 2).map(|_| chance.below(1 << 32)).collect();
        thread::scope(|scope| {
            scope.spawn(|| visit(&known, addresses.hello, sync == "always"));
            for (address, seed) in addresses.chatters.iter().zip(&seeds) {
                scope.spawn(|| order(&known, *address, &ids, *seed));
            }
            scope.spawn(|| grow(&known, addresses.tree, seeds[CHATTERS]));
            thread::sleep(span);
            running.signal("KILL");
            known.ended.store(true, Ordering::SeqCst);
            running.wait();
        });
        let resuming = Instant::now();
        running = Running::start(&data, &["--resume"]);
        running.address(CHATTERS + 1);
        all.longest_resume = all.longest_resume.max(resuming.elapsed());
        let wrong = known.wrong.lock().expect("no panic while locked").clone();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
    settle(&known, &running, sync == "always", &ids, all);
    let (status, _) = running.stop();
    assert!(status.success(), "{:?}", running.errors());
    let contents = verify::read(&data, |_| {}).expect("every chain verifies");
    for (id, end) in &contents.chains {
        let report =
            replay(&data, *id, &data, &Options::default()).unwrap_or_else(|error| panic!("{}: {error}", end.name));
        assert!(report.difference.is_none(), "{}: {:?}", end.name, report.difference);
        all.replayed += report.calls;
        all.events += end.chain.len();
    }
}

/// Visits until the program is killed. If `is_kept`, each number has to be larger than the one before.
fn visit(known: &Known, address: SocketAddr, is_kept: bool) {
    while !known.is_over() {
        let visits = 1 + known.visits.fetch_add(1, Ordering::SeqCst);
        let Ok(response) = try_get(address, "/") else { return };
        let text = response.text();
        let Some(number) = text.trim_end_matches(".\n").rsplit(' ').next().and_then(|number| number.parse().ok())
        else {
            if response.status != 503 {
                known.wrong(format!("a visitor: {} {text}", response.status));
            }
            return;
        };
        let before = known.visitor.swap(number, Ordering::SeqCst);
        if number > visits || is_kept && number <= before {
            known.wrong(format!("visitor {number} came after visitor {before}, of {visits}"));
        }
    }
}

/// Orders an actor to send messages to all chatters, again and again until the program is killed.
fn order(known: &Known, address: SocketAddr, ids: &[String], seed: u64) {
    let mut seed = seed;
    while !known.is_over() {
        seed += 1;
        let payload = json!({ "to": ids, "count": MESSAGES, "seed": seed, "batch": 8 });
        let message = json!({ "type": "go", "payload": payload }).to_string();
        match try_post(address, "/send", message.as_bytes()) {
            Ok(response) if response.status == 202 => known.taken.fetch_add(1, Ordering::SeqCst),
            _ => known.unknown.fetch_add(1, Ordering::SeqCst),
        };
        thread::sleep(Duration::from_millis(10));
    }
}

/// Starts children and makes each of them crash or exit, until the program is killed.
fn grow(known: &Known, address: SocketAddr, seed: u64) {
    let mut chance = Seeded::new(seed);
    while !known.is_over() {
        let Ok(grown) = try_ask(address, "grow", json!({ "children": 1 })) else { return };
        let child = &grown["children"][0];
        let end = ["crash", "exit", "exit"][chance.below(3) as usize];
        let message = json!({ "child": child, "message": { "type": end, "payload": {} } });
        if try_ask(address, "tell", message).is_err() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until all messages have arrived, and checks the reports of all actors.
fn settle(known: &Known, running: &Running, is_kept: bool, ids: &[String], all: &mut Totals) {
    let addresses = Addresses::of(running);
    let begun = Instant::now();
    let number = |report: &Json, key: &str| report[key].as_u64().unwrap_or_default();
    let reports = loop {
        let reports: Vec<_> = addresses.chatters.iter().map(|address| ask(*address, "report", json!({}))).collect();
        let sent: u64 = reports.iter().map(|report| number(report, "sent") - number(report, "refused")).sum();
        let received = |report: &Json| {
            report["received"].as_object().map_or(0, |all| all.values().filter_map(Json::as_u64).sum::<u64>())
        };
        let arrived: u64 = reports.iter().map(received).sum();
        let (taken, unknown) = (known.taken.load(Ordering::SeqCst), known.unknown.load(Ordering::SeqCst));
        let tried: u64 = reports.iter().map(|report| number(report, "sent")).sum();
        assert!(tried <= (taken + unknown) * MESSAGES, "{tried} messages of {taken} orders, and {unknown} more");
        if sent == arrived && (!is_kept || tried >= taken * MESSAGES) && tried.is_multiple_of(MESSAGES) {
            all.messages += sent;
            all.orders += taken;
            break reports;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "sent {sent}, arrived {arrived}, tried {tried} for {taken} orders: {reports:?}"
        );
        thread::sleep(Duration::from_millis(50));
    };
    // For each pair, the count of accepted messages equals the count of received ones, and they arrived in order.
    for (from, report) in ids.iter().zip(&reports) {
        assert_eq!(report["out_of_order"], 0, "{report}");
        for (to, other) in ids.iter().zip(&reports) {
            assert_eq!(number(&report["accepted"], to), number(&other["received"], from), "from {from} to {to}");
        }
    }
    let tree = ask(addresses.tree, "report", json!({}));
    let children = tree["children"].as_array().expect("a list").clone();
    assert_eq!(children.len() as u64, number(&tree, "spawned") - number(&tree, "exits"), "{tree}");
    for child in &children {
        let message = json!({ "child": child, "message": { "type": "report", "payload": {} } });
        assert_eq!(ask(addresses.tree, "ask", message)["id"], *child);
    }
    all.spawned += number(&tree, "spawned");
    all.visitors += known.visitor.load(Ordering::SeqCst);
}
