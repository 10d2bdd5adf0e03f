//! Broken: `run` spawns a task that panics.

#![forbid(unsafe_code)]

use probe::Fixture;
use theater_plugin_api::Host;

probe::plugin!(Broken, "bad-spawned-task-panics", "bad:spawned-task-panics");

struct Broken(Host);

impl Fixture for Broken {
    fn attach(host: Host) -> Result<Self, String> {
        Ok(Self(host))
    }
    fn run(&self, text: String) -> Result<String, String> {
        self.0.spawn(async { panic!("a panic in a spawned task") });
        Ok(text)
    }
}
