//! Broken: `run-later` never completes.

#![forbid(unsafe_code)]

use probe::Fixture;
use theater_plugin_api::Host;

probe::plugin!(Broken, "bad-never-wakes", "bad:never-wakes");

struct Broken;

impl Fixture for Broken {
    fn attach(_: Host) -> Result<Self, String> {
        Ok(Self)
    }
    async fn run_later(&self, _: String) -> Result<String, String> {
        std::future::pending().await
    }
}
