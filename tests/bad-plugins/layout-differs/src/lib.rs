//! Broken: built against a plugin API one function of whose host table takes another type.
//! As it stands it is healthy; `../build` builds it against a copy of the repository with `other-api.patch` applied.

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
