//! Healthy: built against a plugin API that does not know the service `theater.lifecycle`.
//! `../build` builds it in a copy of the repository with `other-api.patch` applied.

#![forbid(unsafe_code)]

use probe::Fixture;
use theater_plugin_api::Host;

probe::plugin!(Healthy, "bad-older", "bad:older");

struct Healthy;

impl Fixture for Healthy {
    fn attach(_: Host) -> Result<Self, String> {
        Ok(Self)
    }
}
