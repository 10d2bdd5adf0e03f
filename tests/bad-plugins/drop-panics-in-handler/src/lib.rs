//! Broken: dropping the handler panics.

#![forbid(unsafe_code)]

use probe::Fixture;
use theater_plugin_api::Host;

probe::plugin!(Broken, "bad-drop-panics-in-handler", "bad:drop-panics-in-handler");

struct Broken;

impl Fixture for Broken {
    fn attach(_: Host) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        panic!("a panic in the drop of a handler")
    }
}
