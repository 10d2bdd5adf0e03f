//! Broken: requires a service that the core does not have.

#![forbid(unsafe_code)]

use probe::Fixture;
use theater_plugin_api::Host;

probe::plugin!(Broken, "bad-service-missing", "bad:service-missing", { "theater.unheard-of": 0 });

struct Broken;

impl Fixture for Broken {
    fn attach(_: Host) -> Result<Self, String> {
        Ok(Self)
    }
}
