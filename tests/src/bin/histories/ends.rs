//! The end of a round: actors that fail, one that shuts itself down, and calls that the end of the program interrupts.

use std::net::SocketAddr;
use std::thread;

use serde_json::{Value as Json, json};
use theater_plugin_api::testing::Seeded;
use theater_tests::talk::{tell, try_ask};
use theater_tests::{Running, chain, texts, try_get, wait_until};

use crate::stage::Stage;
use crate::upstream::Upstream;

/// A wait that is longer than any round.
const LONG_MS: u64 = 600_000;

/// Makes actors fail, by a trap, by their time limit and by their memory limit. One shuts itself down.
pub fn fail(stage: &Stage, chance: &mut Seeded) {
    let trap = chance.pick(&["/trap", "/panic", "/overflow"]);
    let asked = [("trapper", trap), ("looper", "/loop"), ("allocator", "/alloc"), ("runtime-probe", "/shutdown/bye")];
    for (name, path) in asked {
        // The response does not matter: the chain has the outcome.
        drop(try_get(stage.at(name), path));
    }
}

/// Stops the program while three calls run: one computes, one sleeps, and one waits for an HTTP response.
pub fn stop(stage: &Stage, upstream: &Upstream, running: &mut Running) {
    let [steps, clock, fetch] = ["steps", "clock", "fetch"].map(|name| stage.at(name));
    let silent = upstream.silent();
    let sleeping = thread::spawn(move || drop(try_get(clock, &format!("/sleep/{LONG_MS}"))));
    let uri = format!("http://{}/silent", stage.upstream);
    let fetching = thread::spawn(move || drop(try_ask(fetch, "send", json!({ "uri": uri }))));
    compute(steps, running);
    wait_until("a request that is not answered", || (upstream.silent() > silent).then_some(()));
    wait_until("a call that sleeps", || {
        let queued = texts(&chain(&running.data, "clock"), "queued");
        queued.iter().any(|text| text.contains(&format!("/sleep/{LONG_MS}"))).then_some(())
    });
    let (status, _) = running.stop();
    // The exit code is 0 because the failed actors were restarted.
    assert_eq!(status.code(), Some(0), "{:?}", running.errors());
    for waiting in [sleeping, fetching] {
        waiting.join().expect("no panic");
    }
}

/// Starts a long computation in `steps` and waits until the two host calls before it are recorded.
fn compute(steps: SocketAddr, running: &Running) {
    tell(steps, "step", json!({ "note": "long", "turns": u64::MAX }));
    wait_until("a call that computes", || {
        let events = chain(&running.data, "steps");
        let calls = events.iter().rposition(|event| event["type"] == "queued");
        let made = |event: &&Json| event["type"] == "host";
        let made = calls.map_or(0, |at| events.iter().skip(at).filter(made).count());
        (made == 2).then_some(())
    });
}
