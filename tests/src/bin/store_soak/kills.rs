//! Kills the program while actors write to a store, again and again on the same data folder.
//!
//! Four actors share the store, and two sockets write to each actor. Each socket has a ledger of what its labels have
//! to point to. Acknowledged writes must survive. The one write that was not answered may or may not have happened.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use theater_plugin_api::testing::Seeded;
use theater_runtime::core::{Core, Options};
use theater_runtime::support::executor::block_on;
use theater_tests::talk::{Line, TALK};
use theater_tests::{Running, Scratch, build_folder, component};

const STORE: &str = "soak";
const ACTORS: usize = 4;
const SOCKETS: usize = 8;
/// The prefix of the label that each socket writes most often.
const HOT: &str = "hot";
/// The longest time between the first write and the kill.
const LATEST_MS: u64 = 500;

/// What a label points to: the hash of a content, or `None` if there is no such label.
type Target = Option<String>;

/// What one socket wrote and what it expects to find.
struct Ledger {
    socket: usize,
    choices: Seeded,
    written: u64,
    /// The acknowledged target of each label.
    settled: BTreeMap<String, Target>,
    /// Labels written since the last check.
    fresh: BTreeSet<String>,
    /// The write that was not answered.
    open: Option<(String, Target)>,
    /// Hash and length of each acknowledged content.
    acknowledged: BTreeMap<String, u64>,
    answers: u64,
}

/// The result of the checks.
#[derive(Default)]
struct Findings {
    wrong: Vec<String>,
    open_made: u64,
    open_lost: u64,
}

pub fn run(kills: u64, seed: u64) -> (Json, bool) {
    eprintln!("seed {seed}");
    let scratch = Scratch::new();
    let manifests = manifests(&scratch);
    let mut choices = Seeded::new(seed);
    let mut ledgers: Vec<Ledger> = (0..SOCKETS).map(|socket| Ledger::new(socket, choices.number())).collect();
    let mut findings = Findings::default();
    for kill in 1..=kills {
        let (mut running, addresses) = start(&scratch, &manifests);
        findings.look(&mut ledgers, &addresses);
        let before: u64 = ledgers.iter().map(|ledger| ledger.answers).sum();
        let moment = Duration::from_millis(choices.below(LATEST_MS));
        std::thread::scope(|scope| {
            for ledger in &mut ledgers {
                let address = addresses[ledger.socket % ACTORS];
                scope.spawn(move || ledger.write(address));
            }
            std::thread::sleep(moment);
            running.signal("KILL");
            running.wait();
        });
        let answers = ledgers.iter().map(|ledger| ledger.answers).sum::<u64>() - before;
        eprintln!("kill {kill} of process {} after {moment:?}: {answers} answers", running.pid());
    }
    let (mut running, addresses) = start(&scratch, &manifests);
    for ledger in &mut ledgers {
        ledger.fresh.extend(ledger.settled.keys().cloned());
    }
    findings.look(&mut ledgers, &addresses);
    if !running.stop().0.success() {
        findings.wrong.push("the program did not end well".to_owned());
    }
    let stored = findings.audit(&ledgers, &running.data);
    let answers: u64 = ledgers.iter().map(|ledger| ledger.answers).sum();
    for line in &findings.wrong {
        eprintln!("{line}");
    }
    let figures = json!({
        "soak": "kills", "seed": seed, "kills": kills, "sockets": SOCKETS, "answered_writes": answers,
        "contents": stored.len(), "bytes": stored.values().sum::<u64>(),
        "labels": ledgers.iter().flat_map(|ledger| ledger.settled.values()).flatten().count(),
        "unanswered_made": findings.open_made, "unanswered_lost": findings.open_lost,
        "wrong": findings.wrong.len(),
    });
    (figures, findings.wrong.is_empty() && answers >= kills)
}

fn manifests(scratch: &Scratch) -> Vec<String> {
    let file = component("file-cache").display().to_string();
    let manifest = |number: usize| {
        let text = format!(
            "name = \"cache-{number}\"\ncomponent_path = {file:?}\ninit_state = {{ json = {{ store = \"{STORE}\" }} }}\n\
             {TALK}[[handlers]]\ntype = \"store\"\nconfig = {{ stores = [\"{STORE}\"] }}\n"
        );
        scratch.write(&format!("cache-{number}.toml"), text).display().to_string()
    };
    (0..ACTORS).map(manifest).collect()
}

fn start(scratch: &Scratch, manifests: &[String]) -> (Running, Vec<SocketAddr>) {
    let manifests: Vec<&str> = manifests.iter().map(String::as_str).collect();
    let running = Running::start(&scratch.path().join("data"), &manifests);
    let addresses = (0..ACTORS).map(|number| running.address(number)).collect();
    (running, addresses)
}

fn hash_of(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Ledger {
    fn new(socket: usize, seed: u64) -> Self {
        Self {
            socket,
            choices: Seeded::new(seed),
            written: 0,
            settled: BTreeMap::new(),
            fresh: BTreeSet::new(),
            open: None,
            acknowledged: BTreeMap::new(),
            answers: 0,
        }
    }

    /// Writes until the connection breaks.
    fn write(&mut self, address: SocketAddr) {
        let Ok(mut line) = Line::open(address) else { return };
        while self.write_one(&mut line).is_ok() {}
    }

    fn write_one(&mut self, line: &mut Line) -> std::io::Result<()> {
        self.written += 1;
        let content = (!self.choices.one_in(8)).then(|| self.content());
        let label = self.label(content.is_some());
        let target = content.as_ref().map(|content| hash_of(content.as_bytes()));
        self.fresh.insert(label.clone());
        self.open = Some((label.clone(), target.clone()));
        let answer = match &content {
            Some(content) => line.ask("put", json!({ "label": label, "content": content }))?,
            None => line.ask("remove", json!({ "label": label }))?,
        };
        let answer = answer.unwrap_or_else(|reason| panic!("{label} of socket {}: {reason}", self.socket));
        assert_eq!(answer["hash"].as_str(), target.as_deref(), "{label}");
        self.open = None;
        self.answers += 1;
        if let (Some(content), Some(hash)) = (content, &target) {
            self.acknowledged.insert(hash.clone(), content.len() as u64);
        }
        self.settled.insert(label, target);
        Ok(())
    }

    /// A content of up to about 64 KiB, more often a small one. One in five is from a small set that all sockets write.
    fn content(&mut self) -> String {
        let most = 1 << self.choices.below(17);
        let length = self.choices.below(most) as usize;
        if self.choices.one_in(5) {
            return format!("common {}", self.choices.below(16));
        }
        let mut content = format!("{} of socket {} ", self.written, self.socket);
        let filler = format!("{:016x} \u{e9}\"\n", self.choices.number());
        content.push_str(&filler.repeat(length / filler.len()));
        content
    }

    /// A new label, the hot one, or one that was written before.
    fn label(&mut self, put: bool) -> String {
        let old = self.settled.keys().nth(self.choices.below(self.settled.len() as u64) as usize);
        match (self.choices.below(4), old) {
            (0, Some(old)) => old.clone(),
            (1, _) => format!("{HOT}/{}", self.socket),
            (_, Some(old)) if !put => old.clone(),
            _ => format!("socket {}/{}", self.socket, self.written),
        }
    }

    /// The targets that a label may have.
    fn right(&self, label: &str) -> Vec<Target> {
        let open = self.open.iter().filter(|(open, _)| open == label).map(|(_, target)| target.clone());
        open.chain([self.settled.get(label).cloned().flatten()]).collect()
    }
}

impl Findings {
    /// Checks all labels written since the last check, and the list of labels.
    fn look(&mut self, ledgers: &mut [Ledger], addresses: &[SocketAddr]) {
        let mut line = Line::open(addresses[0]).expect("the actor takes connections");
        let list = line.ask("list", json!({})).expect("an answer").expect("the list");
        let listed: BTreeSet<&str> =
            list["labels"].as_array().expect("labels").iter().filter_map(Json::as_str).collect();
        let mut known = BTreeSet::new();
        for ledger in ledgers {
            for label in std::mem::take(&mut ledger.fresh) {
                let found = self.read(&mut line, &label);
                self.settle(ledger, label, found);
            }
            ledger.open = None;
            let there = ledger.settled.iter().filter(|(_, target)| target.is_some());
            known.extend(there.map(|(label, _)| label.clone()));
        }
        let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
        for label in known.symmetric_difference(&listed) {
            self.wrong.push(format!("{label} is listed {}, expected the other", listed.contains(label)));
        }
    }

    /// Reads a label through the actor and returns the hash of its content.
    fn read(&mut self, line: &mut Line, label: &str) -> Target {
        match line.ask("get", json!({ "label": label })).expect("an answer") {
            Ok(answer) => {
                let hash = hash_of(answer["content"].as_str().expect("a content").as_bytes());
                if answer["hash"].as_str() != Some(&hash) {
                    self.wrong.push(format!("{label} is said to be {}, its content is {hash}", answer["hash"]));
                }
                Some(hash)
            }
            Err(reason) if reason == format!("nothing at \"{label}\"") => None,
            Err(reason) => {
                self.wrong.push(format!("{label}: {reason}"));
                None
            }
        }
    }

    fn settle(&mut self, ledger: &mut Ledger, label: String, found: Target) {
        let right = ledger.right(&label);
        if !right.contains(&found) {
            self.wrong.push(format!("{label} is {found:?}, should be one of {right:?}"));
        }
        // Count the outcome, unless the write would not have changed the target.
        if let [made, before] = &right[..]
            && made != before
        {
            *if found == *made { &mut self.open_made } else { &mut self.open_lost } += 1;
        }
        ledger.settled.insert(label, found);
    }

    /// Checks the data folder after the program has exited, with the commands of the plugin `store`: every acknowledged
    /// content is there and intact. Returns everything that is stored.
    fn audit(&mut self, ledgers: &[Ledger], data: &Path) -> BTreeMap<String, u64> {
        let core = Core::open(Options::new(build_folder(), data)).expect("the data folder opens");
        let command = |words: &[&str]| {
            let done = block_on(core.command("store", &json!({ "args": words })));
            done.expect("the plugin store is there").map_err(|error| error.to_string())
        };
        let listed = command(&["ls", STORE]).expect("the store is listed");
        let row = |row: &Json| Some((row["hash"].as_str()?.to_owned(), row["bytes"].as_u64()?));
        let stored: BTreeMap<String, u64> =
            listed.as_array().expect("a list").iter().map(|one| row(one).expect("a content")).collect();
        let copy = data.with_file_name("copy");
        let to = copy.display().to_string();
        for (hash, bytes) in &stored {
            let got = command(&["get", STORE, hash, &to]).and_then(|_| std::fs::read(&copy).map_err(|e| e.to_string()));
            match got {
                Ok(content) if hash_of(&content) == *hash && content.len() as u64 == *bytes => (),
                other => self.wrong.push(format!("{hash} of {bytes} bytes: {other:?}")),
            }
        }
        for (hash, bytes) in ledgers.iter().flat_map(|ledger| &ledger.acknowledged) {
            if stored.get(hash) != Some(bytes) {
                self.wrong.push(format!("{hash} of {bytes} bytes was answered and is {:?}", stored.get(hash)));
            }
        }
        core.services.journal.close();
        stored
    }
}
