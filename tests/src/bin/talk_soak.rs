//! Long-running message exchanges: every message is delivered exactly once, while actors are stopped and restarted.
//!
//! ```text
//! talk_soak chat [10000] [1000000]   this many actors under ten parents send each other this many messages, while one
//!                                    in forty is stopped and one in twenty restarted at random
//! talk_soak busy [30]                children fail while their parent is in a call for this many seconds; it is
//!                                    notified of each
//! talk_soak stuck [61]               this many rounds of requests to one actor while the mailbox of another is full
//! ```
//!
//! Each starts the real program and prints one JSON object. The exit code is 1 if the limit is exceeded.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value as Json, json};
use theater_chain::event::Id;
use theater_chain::record::{HostCall, HostResult, Kind};
use theater_chain::verify::{self, Event};
use theater_plugin_api::encoding::decode;
use theater_plugin_api::testing::Seeded;
use theater_tests::talk::{TALK, ask, manifests, tell, try_ask};
use theater_tests::{Running, Scratch, memory, wait_until};

/// Parents of the chatting actors.
const PARENTS: usize = 10;
/// The number of actors that each actor sends to.
const PEERS: usize = 16;
const SUPERVISOR: &str = "[[handlers]]\ntype = \"supervisor\"\n";
/// Number of equal parts that the second half is divided into.
const PARTS: usize = 5;
/// From this many messages on, the memory limit applies.
const LONG: usize = 500_000;
/// The timeout of every wait.
const PATIENCE: Duration = Duration::from_secs(1_800);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let mut number = |usual: usize| arguments.next().and_then(|number| number.parse().ok()).unwrap_or(usual);
    let (figures, held) = match what.as_str() {
        "chat" => chat(number(10_000), number(1_000_000)),
        "busy" => busy(number(30)),
        "stuck" => stuck(number(61)),
        _ => {
            eprintln!("talk_soak chat [ACTORS] [MESSAGES] | busy [SECONDS] | stuck [ROUNDS]");
            return ExitCode::from(2);
        }
    };
    println!("{figures}");
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

// ---- chat ----------------------------------------------------------------------------------------------------------

/// A chatting actor, and the address of its parent.
struct Chatter {
    id: String,
    parent: SocketAddr,
}

impl Chatter {
    fn tell(&self, kind: &str, payload: &Json) {
        let message = json!({ "child": self.id, "message": { "type": kind, "payload": payload } });
        assert_eq!(ask(self.parent, "tell", message)["told"], 1);
    }

    fn report(&self) -> Json {
        ask(self.parent, "ask", json!({ "child": self.id, "message": { "type": "report" } }))
    }
}

fn chat(count: usize, messages: usize) -> (Json, bool) {
    let begun = Instant::now();
    let scratch = Scratch::new();
    let (mut running, chatters) = grown(&scratch, count);
    for chatter in &chatters {
        assert_eq!(chatter.report()["sent"], 0);
    }
    let growing = begun.elapsed();

    let talking = Instant::now();
    let mut chance = Seeded::new(count as u64);
    let mut any = || chance.below(count as u64) as usize;
    let peers: Vec<Vec<_>> = (0..count).map(|_| (0..PEERS).map(|_| chatters[any()].id.as_str()).collect()).collect();
    // Actors that were neither stopped nor restarted: stopped ones do not answer, restarted ones lose their counts.
    let mut steady = vec![true; count];
    let (mut stopped, mut restarted) = (0, 0);
    let (mut sent, mut turn) = (0, 0);
    // PSS after the first half, which has warmed everything up, and after each part of the second half. It is always
    // taken right after all actors have answered: the heap of a guest grows with its instance and is freed with it, so
    // memory rises and falls with the load.
    let mut marks = Vec::new();
    for share in [PARTS].into_iter().chain([1; PARTS]) {
        let each = (messages * share).div_ceil(2 * PARTS * count);
        sent += each;
        for (number, chatter) in chatters.iter().enumerate() {
            if steady[number] {
                let payload = json!({ "to": peers[number], "count": each, "seed": number, "batch": 16 });
                chatter.tell("go", &payload);
            }
            // Stop one in forty and restart one in twenty while the others exchange messages.
            turn += share;
            if turn.is_multiple_of(80 * PARTS) {
                let other = any();
                stopped += usize::from(chatters[other].ends("stop", &mut steady[other]));
            }
            if turn.is_multiple_of(40 * PARTS) {
                let other = any();
                restarted += usize::from(chatters[other].ends("restart", &mut steady[other]));
            }
        }
        for number in (0..count).filter(|number| steady[*number]) {
            while chatters[number].report()["sent"].as_u64() != Some(sent as u64) {
                assert!(talking.elapsed() < PATIENCE, "actor {} does not finish", chatters[number].id);
                thread::sleep(Duration::from_millis(50));
            }
        }
        marks.push((marks.len() as f64, memory::of(&running.pid().to_string(), "Pss:") as f64));
    }
    let living: Vec<usize> = (0..count).filter(|number| steady[*number]).collect();
    // A report is queued after all messages that its actor was sent, so that it includes them.
    let reports: HashMap<&str, Json> =
        living.iter().map(|number| (chatters[*number].id.as_str(), chatters[*number].report())).collect();
    let talking = talking.elapsed();
    let slope = memory::growth(&marks);
    let marks: Vec<u64> = marks.iter().map(|mark| mark.1 as u64 >> 10).collect();
    let unequal = unequal(&reports);
    running.stop();

    let checking = Instant::now();
    let mut ledger = Ledger::default();
    let contents = verify::read(&scratch.path().join("data"), |event| ledger.add(event)).expect("every chain verifies");
    let lost = ledger.sent.values().filter(|arrived| **arrived == 0).count();
    let doubled = ledger.sent.values().filter(|arrived| **arrived > 1).count();
    let held = lost == 0 && doubled == 0 && ledger.unasked == 0 && ledger.disordered == 0 && unequal == 0
        // The second half of a short run is too short to measure growth.
        && (slope < 0.01 || messages < LONG);
    let figures = json!({
        "soak": "chat", "actors": count, "accepted": ledger.sent.len(), "refused": ledger.refused,
        "stopped": stopped, "restarted": restarted, "chains": contents.chains.len(),
        "events": contents.chains.values().map(|end| end.chain.len()).sum::<u64>(),
        "lost": lost, "doubled": doubled, "unasked": ledger.unasked, "out_of_order": ledger.disordered,
        "unequal_pairs": unequal, "grow_s": growing.as_secs_f64(), "talk_s": talking.as_secs_f64(),
        "check_s": checking.elapsed().as_secs_f64(), "pss_mb": marks, "pss_slope_second_half": slope,
    });
    (figures, held)
}

/// Starts the program with this many chatters under their parents.
fn grown(scratch: &Scratch, count: usize) -> (Running, Vec<Chatter>) {
    let chatter = manifests(scratch, &[("chatter", "[[handlers]]\ntype = \"message-server\"\n")]);
    let tree = manifests(scratch, &[("tree", &format!("{TALK}{SUPERVISOR}"))]);
    let parents = count.min(PARENTS);
    let arguments: Vec<_> = std::iter::repeat_n(tree[0].as_str(), parents).collect();
    let running = Running::start(&scratch.path().join("data"), &arguments);
    let mut chatters = Vec::new();
    for number in 0..parents {
        let parent = running.address(number);
        let share = (number + 1) * count / parents - number * count / parents;
        let grown = ask(parent, "grow", json!({ "children": share, "worker": chatter[0] }));
        let ids = grown["children"].as_array().expect("a list of children");
        chatters.extend(ids.iter().map(|id| Chatter { id: id.as_str().expect("an id").to_owned(), parent }));
    }
    (running, chatters)
}

impl Chatter {
    /// Stops or restarts the actor, unless that was done before. Returns whether it was done now.
    fn ends(&self, how: &str, steady: &mut bool) -> bool {
        let is_first = std::mem::take(steady);
        if is_first {
            let _ = ask(self.parent, how, json!({ "child": self.id }));
        }
        is_first
    }
}

/// The number of pairs of steady actors whose counts of sent and received messages differ.
fn unequal(reports: &HashMap<&str, Json>) -> usize {
    let mut unequal = 0;
    for (from, report) in reports {
        for (to, sent) in report["accepted"].as_object().expect("counts by id") {
            if let Some(other) = reports.get(to.as_str()) {
                unequal += usize::from(other["received"][*from] != *sent);
            }
        }
    }
    unequal
}

/// The messages that were sent and received according to the chains.
#[derive(Default)]
struct Ledger {
    // Indices of `send` and `handle-send` in the function list of each actor.
    send: HashMap<Id, [Option<u32>; 2]>,
    // Accepted sends by (sender, sequence), and how often each is in a receiver's chain.
    sent: HashMap<(Id, u64), u32>,
    refused: u64,
    // Received messages without an accepted send.
    unasked: u64,
    // Messages received after a later one of the same sender.
    disordered: u64,
    // Sequence number of the last message, by (receiver, sender).
    last: HashMap<(Id, Id), u64>,
}

impl Ledger {
    fn add(&mut self, event: &Event<'_>) {
        let header = &event.header;
        match Kind::from_number(header.kind) {
            Some(Kind::Created) => {
                let functions = verify::created(event).expect("a created event has its data").setup.functions;
                let number = |name: &str| functions.iter().position(|listed| listed.function == name);
                let numbers = ["send", "handle-send"].map(|name| number(name).map(|number| number as u32));
                self.send.insert(header.actor, numbers);
            }
            Some(Kind::Host)
                if header.function.is_some()
                    && Some(header.function) == self.send.get(&header.actor).map(|both| both[0]) =>
            {
                let call: HostCall = decode(event.data.expect("data")).expect("a host call");
                let HostResult::Value(result) = call.result else { panic!("a send failed: {:?}", call.result) };
                if result.first() == Some(&0) {
                    self.sent.entry((header.actor, header.sequence)).or_default();
                } else {
                    self.refused += 1;
                }
            }
            Some(Kind::Queued) => {
                let Some(cause) = header.cause.filter(|cause| self.send.contains_key(&cause.actor)) else { return };
                match self.sent.get_mut(&(cause.actor, cause.sequence)) {
                    Some(arrived) => *arrived += 1,
                    // A request also has a cause, but is not a send.
                    None => {
                        let received = self.send.get(&header.actor).map(|both| both[1]);
                        self.unasked += u64::from(received == Some(header.function));
                    }
                }
                if let Some(before) = self.last.insert((header.actor, cause.actor), cause.sequence) {
                    self.disordered += u64::from(before > cause.sequence);
                }
            }
            _ => {}
        }
    }
}

// ---- busy ----------------------------------------------------------------------------------------------------------

/// Number of children of the busy parent that fail.
const CHILDREN: usize = 200;

fn busy(seconds: usize) -> (Json, bool) {
    let scratch = Scratch::new();
    let worker = manifests(&scratch, &[("worker", &worker_with(""))]);
    let patient = "[[handlers]]\ntype = \"message-server\"\nconfig = { port = 0, request_timeout_ms = 600000 }\n";
    let parent = manifests(&scratch, &[("tree", &format!("{patient}{SUPERVISOR}"))]);
    let mut running = Running::start(&scratch.path().join("data"), &[parent[0].as_str(), parent[0].as_str()]);
    let (parent, other) = (running.address(0), running.address(1));
    let grown = ask(parent, "grow", json!({ "children": CHILDREN + 1, "worker": worker[0] }));
    let children: Vec<_> = grown["children"].as_array().expect("a list").iter().filter_map(Json::as_str).collect();
    let (first, failing) = children.split_first().expect("children");

    let begun = Instant::now();
    let message = json!({ "child": first, "message": { "type": "sleep", "payload": { "ms": seconds * 1_000 } } });
    let waiting = thread::spawn(move || ask(parent, "ask", message));
    // Another actor sends these: the parent is in a call until its first child answers.
    for child in failing {
        let told = ask(other, "tell", json!({ "child": child, "message": { "type": "crash" } }));
        assert_eq!(told["told"], 1);
    }
    let crashed = begun.elapsed();
    let _ = waiting.join().expect("the answer");
    let was_busy = begun.elapsed();
    let report = wait_until("all notifications", || {
        let report = ask(parent, "report", json!({}));
        (report["errors"].as_u64() >= Some(failing.len() as u64)).then_some(report)
    });
    running.stop();
    let figures = json!({
        "soak": "busy", "busy_s": was_busy.as_secs_f64(), "failed": failing.len(), "failed_after_s": crashed.as_secs_f64(),
        "notified": report["errors"], "living": report["children"].as_array().map(Vec::len),
    });
    (figures, report["errors"] == failing.len() && crashed < was_busy)
}

fn worker_with(limits: &str) -> String {
    format!("[limits]\n{limits}\n{TALK}[[handlers]]\ntype = \"timing\"\n")
}

// ---- stuck ---------------------------------------------------------------------------------------------------------

/// Requests per round to each of the two programs.
const REQUESTS: usize = 1_000;
/// Senders that wait for space in the full mailbox.
const WAITING: usize = 8;

fn stuck(rounds: usize) -> (Json, bool) {
    let scratches = [Scratch::new(), Scratch::new()];
    let mut programs: Vec<_> = scratches.iter().map(talking).collect();
    fill(&programs[1].1);
    let mut ratios = Vec::new();
    let mut worst = [0, 0];
    for _ in 0..rounds {
        let [without, with] = [0, 1].map(|number| p99(programs[number].1.last().copied().expect("an address")));
        worst = [worst[0].max(without), worst[1].max(with)];
        ratios.push(with as f64 / without as f64);
    }
    // Its mailbox is still full.
    let stuck = try_ask(programs[1].1[1], "report", json!({})).expect_err("its mailbox is full");
    for (running, _) in &mut programs {
        running.stop();
    }
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    let figures = json!({
        "soak": "stuck", "rounds": rounds, "requests_a_round": REQUESTS, "p99_ratio": ratio,
        "min": ratios[0], "max": ratios[ratios.len() - 1], "worst_p99_us": worst, "stuck": stuck,
    });
    (figures, ratio <= 1.2)
}

/// Starts a program with a parent, the actor whose mailbox will be full, and the actor that gets the requests.
fn talking(scratch: &Scratch) -> (Running, Vec<SocketAddr>) {
    let tree = manifests(scratch, &[("tree", &format!("{TALK}{SUPERVISOR}"))]);
    let small = worker_with("mailbox_size = 4");
    let small = small.replace("port = 0", "port = 0, request_timeout_ms = 500, send_timeout_ms = 3600000");
    let worker = manifests(scratch, &[("worker", &small)]);
    let usual = Scratch::new();
    let asked = manifests(&usual, &[("worker", &worker_with(""))]);
    let mut arguments = vec![tree[0].as_str(), worker[0].as_str()];
    arguments.push(asked[0].as_str());
    let running = Running::start(&scratch.path().join("data"), &arguments);
    let addresses = (0..arguments.len()).map(|number| running.address(number)).collect();
    (running, addresses)
}

/// Makes the second actor sleep, and sends it more messages than its mailbox holds.
fn fill(at: &[SocketAddr]) {
    let target = at[1];
    tell(target, "sleep", json!({ "ms": 3_600_000 }));
    for _ in 0..4 {
        tell(target, "echo", json!({}));
    }
    for _ in 0..WAITING {
        // Never answered: these clients wait until the program ends.
        thread::spawn(move || theater_tests::talk::post(target, "/send", b"{\"type\": \"echo\"}"));
    }
}

/// The 99th percentile of the latency of requests to an actor, in microseconds.
fn p99(address: SocketAddr) -> u64 {
    let mut histogram = Histogram::<u64>::new(3).expect("three digits");
    for number in 0..REQUESTS {
        let start = Instant::now();
        assert_eq!(ask(address, "echo", json!({ "number": number }))["number"], number);
        histogram.record(start.elapsed().as_micros() as u64).expect("in range");
    }
    histogram.value_at_quantile(0.99)
}
