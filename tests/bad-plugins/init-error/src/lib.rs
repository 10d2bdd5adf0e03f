//! Broken: `init` returns an error.

#![forbid(unsafe_code)]

use probe::Fixture;
use theater_plugin_api::Host;

probe::plugin!(Broken, "bad-init-error", "bad:init-error");

struct Broken;

impl Fixture for Broken {
    fn init() -> Result<(), String> {
        Err("no licence file".to_owned())
    }
    fn attach(_: Host) -> Result<Self, String> {
        Ok(Self)
    }
}
