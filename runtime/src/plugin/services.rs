//! The services that this core offers to plugins.

use theater_plugin_api::service::{
    SERVICE_CHAIN, SERVICE_CHILDREN, SERVICE_LIFECYCLE, SERVICE_MESSAGES, SERVICE_RECORD,
};

/// The services this core offers, with their minor versions.
pub const SERVICES: [(&str, u32); 5] =
    [(SERVICE_CHAIN, 0), (SERVICE_LIFECYCLE, 0), (SERVICE_MESSAGES, 0), (SERVICE_CHILDREN, 0), (SERVICE_RECORD, 0)];

/// Whether a service is offered with at least that minor.
#[must_use]
pub fn offers(id: &str, minimum_minor: u32) -> bool {
    SERVICES.iter().any(|(known, minor)| *known == id && *minor >= minimum_minor)
}
