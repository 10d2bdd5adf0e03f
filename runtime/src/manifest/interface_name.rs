//! Names of interfaces in manifests.

/// The package of the interfaces that older manifests call `ntwk:theater/`.
pub const PACKAGE: &str = "theater:simple/";
const OLD_PACKAGE: &str = "ntwk:theater/";

/// The current name of an interface.
pub(super) fn interface_name(name: &str) -> String {
    name.strip_prefix(OLD_PACKAGE).map_or_else(|| name.to_owned(), |rest| format!("{PACKAGE}{rest}"))
}
