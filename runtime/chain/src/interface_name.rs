//! Names of WIT interfaces: when two of them match, and the one that every actor exports.

/// The interface that every actor exports.
pub const ACTOR: &str = "theater:simple/actor";
/// Its function that starts an actor.
pub const INIT: &str = "init";

/// Whether this export starts an actor.
#[must_use]
pub fn is_init(interface: &str, function: &str) -> bool {
    function == INIT && meets(interface, ACTOR)
}

/// Whether an offered interface meets an import: the same name, and versions of one semver track, or no version on both.
#[must_use]
pub fn meets(offered: &str, import: &str) -> bool {
    let split = |name: &str| match name.split_once('@') {
        Some((name, version)) => (name.to_owned(), Some(track(version))),
        None => (name.to_owned(), None),
    };
    split(offered) == split(import)
}

/// What versions of one semver track have in common: the major, or for 0.x the minor, or for 0.0.x all.
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
