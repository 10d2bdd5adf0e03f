//! Broken: `attach` panics.

#![forbid(unsafe_code)]

use probe::Fixture;
use theater_plugin_api::Host;

probe::plugin!(Broken, "bad-attach-panics", "bad:attach-panics");

struct Broken;

impl Fixture for Broken {
    fn attach(_: Host) -> Result<Self, String> {
        panic!("a panic in attach")
    }
}
