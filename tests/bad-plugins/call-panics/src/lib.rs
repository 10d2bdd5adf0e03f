//! Broken: every function panics. `run` and `run-later` do not panic for the text "ok".

#![forbid(unsafe_code)]

use probe::Fixture;
use theater_plugin_api::Host;

probe::plugin!(Broken, "bad-call-panics", "bad:call-panics");

struct Broken;

impl Fixture for Broken {
    fn attach(_: Host) -> Result<Self, String> {
        Ok(Self)
    }
    fn run(&self, text: String) -> Result<String, String> {
        assert!(text == "ok", "a panic in run");
        Ok(text)
    }
    async fn run_later(&self, text: String) -> Result<String, String> {
        assert!(text == "ok", "a panic in run-later");
        Ok(text)
    }
    fn bare(&self) -> u32 {
        panic!("a panic in bare")
    }
}
