//! Names of WIT interfaces: when two names match, and the interface that every actor exports.

/// The interface that every actor exports.
pub const ACTOR: &str = "theater:simple/actor";
/// Its function that starts an actor.
pub const INIT: &str = "init";

/// Whether this function is the export that starts an actor.
#[must_use]
pub fn is_init(interface: &str, function: &str) -> bool {
    function == INIT && meets(interface, ACTOR)
}

/// Whether an offered interface satisfies an import: the names are equal, and both have versions of the same semver track or
/// both have none.
#[must_use]
pub fn meets(offered: &str, import: &str) -> bool {
    let split = |name: &str| match name.split_once('@') {
        Some((name, version)) => (name.to_owned(), Some(track(version))),
        None => (name.to_owned(), None),
    };
    split(offered) == split(import)
}

/// The semver track of a version: the major version, for 0.x also the minor, for 0.0.x the whole version.
fn track(version: &str) -> String {
    if version.contains('-') {
        return version.to_owned();
    }
    let mut parts = version.split('.');
    let (major, minor, patch) = (parts.next(), parts.next(), parts.next());
    match (major, minor, patch) {
        (Some("0"), Some("0"), _) => version.to_owned(),
        (Some("0"), Some(minor), _) => format!("0.{minor}"),
        (Some(major), ..) => major.to_owned(),
        _ => version.to_owned(),
    }
}
