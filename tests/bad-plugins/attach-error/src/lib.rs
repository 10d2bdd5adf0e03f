//! Broken: `attach` returns an error.

#![forbid(unsafe_code)]

use probe::Fixture;
use theater_plugin_api::Host;

probe::plugin!(Broken, "bad-attach-error", "bad:attach-error");

struct Broken;

impl Fixture for Broken {
    fn attach(_: Host) -> Result<Self, String> {
        Err("no seat left".to_owned())
    }
}
