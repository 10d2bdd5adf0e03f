//! Broken: `run` with the text "loop" blocks its thread forever.

#![forbid(unsafe_code)]

use probe::Fixture;
use theater_plugin_api::Host;

probe::plugin!(Broken, "bad-sync-loop", "bad:sync-loop");

struct Broken;

impl Fixture for Broken {
    fn attach(_: Host) -> Result<Self, String> {
        Ok(Self)
    }
    fn run(&self, text: String) -> Result<String, String> {
        if text == "loop" {
            loop {
                std::hint::spin_loop();
            }
        }
        Ok(text)
    }
}
