//! Broken: `run` and `run-later` return as many bytes as the number in their text.

#![forbid(unsafe_code)]

use probe::Fixture;
use theater_plugin_api::Host;

probe::plugin!(Broken, "bad-too-many-bytes", "bad:too-many-bytes");

struct Broken;

impl Fixture for Broken {
    fn attach(_: Host) -> Result<Self, String> {
        Ok(Self)
    }
    fn run(&self, text: String) -> Result<String, String> {
        many(&text)
    }
    async fn run_later(&self, text: String) -> Result<String, String> {
        many(&text)
    }
}

fn many(text: &str) -> Result<String, String> {
    text.parse().map(|number| "x".repeat(number)).map_err(|_| format!("{text:?} is no number of bytes"))
}
