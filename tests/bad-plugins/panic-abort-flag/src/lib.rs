//! Broken: `../build` builds it with `panic = "abort"`.

#![forbid(unsafe_code)]

use probe::Fixture;
use theater_plugin_api::Host;

probe::plugin!(Broken, "bad-panic-abort-flag", "bad:panic-abort-flag");

struct Broken;

impl Fixture for Broken {
    fn attach(_: Host) -> Result<Self, String> {
        Ok(Self)
    }
}
