//! The licences of all dependencies, and releases with advisories that must not come back.
//!
//! The advisory database cannot be reached from a test. The list of refused releases was made from the RustSec database of
//! 2026-08-21; look again before each release.

use serde_json::Value as Json;
use theater_tests::repository;

/// Licences that may be linked into a program under MIT or Apache-2.0.
const LICENCES: [&str; 12] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "Unlicense",
    "BSL-1.0",
    "CC0-1.0",
];

/// Packages under another licence, with the reason why that is no obstacle.
const EXCEPTIONS: [(&str, &str, &str); 1] = [(
    "generational-arena",
    "MPL-2.0",
    "a dependency of abi_stable, used unchanged: the licence covers its own files only",
)];

/// Packages whose releases below the given version have an advisory: name, version, advisory.
const REFUSED: [(&str, &str, &str); 7] = [
    ("tungstenite", "0.20.1", "RUSTSEC-2023-0065"),
    ("rustls", "0.23.5", "RUSTSEC-2024-0336"),
    ("webpki", "0.22.2", "RUSTSEC-2023-0052"),
    ("ring", "0.17.12", "RUSTSEC-2025-0009"),
    ("async-h1", "2.3.0", "RUSTSEC-2020-0093"),
    ("wasmtime", "48.0.8", "the release that was checked"),
    ("h2", "0.4.4", "RUSTSEC-2024-0332"),
];

/// Advisories that are accepted, with the reason.
const ACCEPTED: [(&str, &str, &str); 6] = [
    ("async-std", "RUSTSEC-2025-0052", "discontinued, no vulnerability; named in one module per crate"),
    ("tide", "RUSTSEC-2026-0170", "unmaintained; only its HTTP/1 server, behind a strict check of requests"),
    ("http-types", "RUSTSEC-2026-0174", "header values; no header is built from unchecked text"),
    ("surf", "RUSTSEC-2026-0169", "unmaintained; only its client interface, on connections of our own"),
    ("rand", "RUSTSEC-2026-0097", "of 0.7, through http-types; needs a logger that draws random numbers"),
    ("paste", "RUSTSEC-2024-0436", "unmaintained macro of a dependency; runs at build time only"),
];

/// All packages that are compiled for this platform.
fn packages() -> Vec<Json> {
    let output = theater_tests::cargo()
        .current_dir(repository())
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .args(["--filter-platform", &format!("{}-unknown-linux-gnu", std::env::consts::ARCH)])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Json = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

/// Whether an SPDX expression allows one of the licences for each of its parts.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace(['(', ')'], "").replace(" / ", " OR ").replace('/', " OR ");
    let mut parts = expression.split(" AND ");
    parts.all(|part| part.split(" OR ").any(|licence| LICENCES.contains(&licence.trim())))
}

#[test]
fn every_dependency_has_an_allowed_licence_or_a_written_exception() {
    assert!(is_allowed("(MIT OR GPL-3.0) AND ISC") && !is_allowed("MIT AND GPL-3.0") && !is_allowed(""));
    let packages = packages();
    assert!(packages.len() > 100);
    for package in &packages {
        let (name, licence) = (package["name"].as_str().unwrap(), package["license"].as_str().unwrap_or_default());
        let is_exception = EXCEPTIONS.iter().any(|(known, of, _)| (*known, *of) == (name, licence));
        assert!(is_exception || is_allowed(licence), "{name} has the licence {licence:?}");
    }
    for (name, licence, _) in EXCEPTIONS {
        assert!(packages.iter().any(|package| package["name"] == name), "{name} ({licence}) is not used any more");
    }
}

#[test]
fn no_release_with_a_known_advisory_is_used_but_the_accepted_ones() {
    let version = |text: &str| -> Vec<u64> {
        text.split(['.', '-', '+']).take(3).map(|number| number.parse().unwrap_or(0)).collect()
    };
    let packages = packages();
    for package in &packages {
        let (name, found) = (package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        for (refused, below, advisory) in REFUSED {
            assert!(name != refused || version(found) >= version(below), "{name} {found}: {advisory}");
        }
    }
    for (name, advisory, _) in ACCEPTED {
        assert!(packages.iter().any(|package| package["name"] == name), "{name} ({advisory}) is not used any more");
    }
}

/// The crates that are published have the metadata that the registry shows, and contain what they need.
#[test]
fn the_published_crates_are_complete() {
    let published =
        ["theater-plugin-abi", "theater-encoding", "theater-plugin-macros", "theater-plugin-api", "theater-chain"];
    let packages = packages();
    for name in published {
        let package = packages.iter().find(|package| package["name"] == name).unwrap_or_else(|| panic!("{name}"));
        for key in ["description", "license", "readme", "rust_version"] {
            assert!(package[key].as_str().is_some_and(|value| !value.is_empty()), "{name}: {key}");
        }
        for key in ["keywords", "categories"] {
            assert!(package[key].as_array().is_some_and(|value| !value.is_empty()), "{name}: {key}");
        }
        let listed = theater_tests::cargo()
            .current_dir(repository())
            .args(["package", "--list", "--allow-dirty", "--offline", "-p", name])
            .output()
            .expect("cargo runs");
        let files = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert!(listed.status.success(), "{name}: {}", String::from_utf8_lossy(&listed.stderr));
        assert!(
            files.lines().any(|file| file == "src/lib.rs") && files.lines().any(|file| file == "README.md"),
            "{files}"
        );
    }
}
