//! Broken: built against a plugin API in which one function of the host table takes another type.
//! This source itself is healthy. `../build` builds it in a copy of the repository with `other-api.patch` applied.

#![forbid(unsafe_code)]

use probe::Fixture;
use theater_plugin_api::Host;

probe::plugin!(Broken, "bad-layout-differs", "bad:layout-differs");

struct Broken;

impl Fixture for Broken {
    fn attach(_: Host) -> Result<Self, String> {
        Ok(Self)
    }
}
