//! Actors whose children crash, exceed their limits, exit and are restarted.

use serde_json::{Value as Json, json};
use theater_plugin_api::testing::Seeded;

use crate::stage::{Stage, turns};

pub fn teller(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    for _ in 0..2 + chance.below(3) {
        let (from, to) = chance.pick(&[("alice", "bob"), ("bob", "alice")]);
        let order = json!({ "from": from, "to": to, "amount": chance.below(5), "crash": chance.one_in(2) });
        let id = stage.ask("teller", "transfer", order)?["transfer"].clone();
        let id = id.as_str().unwrap_or_default();
        stage.ask_until("teller", "transfers", &json!({}), |all| all[id]["status"] == "done")?;
    }
    // Each request is a few events in the chains of the accounts.
    for _ in 0..turns(chance, 2) {
        let balances = stage.ask("teller", "balances", json!({}))?;
        if balances["alice"].as_i64().unwrap_or_default() + balances["bob"].as_i64().unwrap_or_default() < 0 {
            return Err(format!("teller: {balances}"));
        }
    }
    Ok(())
}

/// The actor `tree`, which forwards requests to its children.
struct Tree<'a>(&'a Stage);

pub fn tree(stage: &Stage, chance: &mut Seeded) -> Result<(), String> {
    let tree = Tree(stage);
    for child in tree.grow(2)? {
        for _ in 0..turns(chance, 2) {
            match chance.below(20) {
                0 => tree.ask_child(&child, "busy", &json!({ "ms": 1 }))?,
                1 => tree.ask_child(&child, "sleep", &json!({ "ms": chance.below(3) }))?,
                2 => tree.tell(&child, "fail", json!({}))?,
                _ => tree.ask_child(&child, "echo", &json!(chance.number()))?,
            }
        }
        tree.until_more("errors", || tree.tell(&child, "crash", json!({})))?;
        tree.ask_child(&child, "report", &json!({}))?;
        // Both exceed the call timeout. The sleep returns an error to the child; the computation fails the child.
        tree.tell(&child, "sleep", json!({ "ms": 600_000 }))?;
        tree.until_more("errors", || tree.tell(&child, "busy", json!({ "ms": 600_000 })))?;
        tree.ask_child(&child, "report", &json!({}))?;
    }
    tree.lives(&tree.grow(1)?[0])
}

impl Tree<'_> {
    fn ask(&self, kind: &str, payload: Json) -> Result<Json, String> {
        self.0.ask("tree", kind, payload)
    }

    fn grow(&self, children: u64) -> Result<Vec<Json>, String> {
        let grown = self.ask("grow", json!({ "children": children }))?;
        grown["children"].as_array().cloned().ok_or_else(|| format!("tree: grown {grown}"))
    }

    /// Sends a request to the child, and repeats it while the child restarts.
    fn ask_child(&self, child: &Json, kind: &str, payload: &Json) -> Result<(), String> {
        let message = json!({ "child": child, "message": { "type": kind, "payload": payload } });
        self.0.ask_until("tree", "ask", &message, |_| true).map(drop)
    }

    fn tell(&self, child: &Json, kind: &str, payload: Json) -> Result<(), String> {
        let message = json!({ "child": child, "message": { "type": kind, "payload": payload } });
        self.0.ask_until("tree", "tell", &message, |_| true).map(drop)
    }

    /// Runs `act` and waits until the tree was notified of one more `what`.
    fn until_more(&self, what: &str, act: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
        let count = |report: &Json| report[what].as_u64().unwrap_or_default();
        let before = count(&self.0.report("tree")?);
        act()?;
        self.0.ask_until("tree", "report", &json!({}), |report| count(report) > before).map(drop)
    }

    /// Uses every function that a parent has for a child.
    fn lives(&self, child: &Json) -> Result<(), String> {
        self.ask_child(child, "echo", &json!("here"))?;
        self.ask("state", json!({ "child": child }))?;
        self.ask("events", json!({ "child": child }))?;
        self.ask("restart", json!({ "child": child }))?;
        self.ask_child(child, "echo", &json!("again"))?;
        self.until_more("external_stops", || self.ask("stop", json!({ "child": child })).map(drop))?;
        let resumed = self.ask("resume", json!({ "manifest": "worker.toml", "state": null }))?["child"].clone();
        self.ask_child(&resumed, "echo", &json!("resumed"))?;
        self.until_more("exits", || self.tell(&resumed, "exit", json!({ "data": "good bye" })))
    }
}
