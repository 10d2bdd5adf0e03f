//! The plugin of the benches: its functions do nothing, so that only the call itself is measured.

#![forbid(unsafe_code)]

use theater_plugin_api::{Attachment, Bytes, Call, Handler, Host, Plugin};

theater_plugin_api::bindings! {
    plugin: Bench,
    handler: Calls,
    name: "bench",
    wit: "wit",
    handlers: ["bench:calls"],
    provides: {
        "bench:calls/calls": {
            "tick": pure, "tick-later": async pure, "turn": pure, "turn-later": async pure,
            "put": pure, "put-later": async pure,
        },
    },
    calls: { "bench:calls/driver": optional },
}

struct Bench;
struct Calls;

impl Plugin for Bench {
    type Handler = Calls;
    fn init(_: Host) -> Result<Self, String> {
        Ok(Self)
    }
    async fn attach(&self, _: Host, _: Attachment) -> Result<Calls, String> {
        Ok(Calls)
    }
}

impl Handler for Calls {}

impl bench::calls::calls::Calls for Calls {
    fn tick(&self, _: &Call, n: u64) -> u64 {
        n + 1
    }
    async fn tick_later(&self, _: &Call, n: u64) -> u64 {
        n + 1
    }
    fn turn(&self, _: &Call, p: bench::calls::calls::Point) -> bench::calls::calls::Point {
        p
    }
    async fn turn_later(&self, _: &Call, p: bench::calls::calls::Point) -> bench::calls::calls::Point {
        p
    }
    fn put(&self, _: &Call, _: &str, content: &[u8]) -> Result<Bytes, String> {
        Ok(content.into())
    }
    async fn put_later(&self, _: &Call, _: String, content: Bytes) -> Result<Bytes, String> {
        Ok(content)
    }
}
