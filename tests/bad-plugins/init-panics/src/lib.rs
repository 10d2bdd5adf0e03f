//! Broken: `init` panics.

#![forbid(unsafe_code)]

use probe::Fixture;
use theater_plugin_api::Host;

probe::plugin!(Broken, "bad-init-panics", "bad:init-panics");

struct Broken;

impl Fixture for Broken {
    fn init() -> Result<(), String> {
        panic!("a panic in init")
    }
    fn attach(_: Host) -> Result<Self, String> {
        Ok(Self)
    }
}
