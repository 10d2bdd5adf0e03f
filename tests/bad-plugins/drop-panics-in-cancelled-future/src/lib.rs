//! Broken: `run-later` never completes, and dropping its future panics.

#![forbid(unsafe_code)]

use probe::Fixture;
use theater_plugin_api::Host;

probe::plugin!(Broken, "bad-drop-panics-in-cancelled-future", "bad:drop-panics-in-cancelled-future");

struct Broken;

impl Fixture for Broken {
    fn attach(_: Host) -> Result<Self, String> {
        Ok(Self)
    }
    async fn run_later(&self, _: String) -> Result<String, String> {
        let _held = Held;
        std::future::pending().await
    }
}

struct Held;

impl Drop for Held {
    fn drop(&mut self) {
        panic!("a panic in the drop of a future")
    }
}
