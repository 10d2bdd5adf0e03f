//! Broken: has the same plugin name as `name-twice-a`.

#![forbid(unsafe_code)]

use probe::Fixture;
use theater_plugin_api::Host;

probe::plugin!(Broken, "bad-name-twice", "bad:name-twice-b");

struct Broken;

impl Fixture for Broken {
    fn attach(_: Host) -> Result<Self, String> {
        Ok(Self)
    }
}
