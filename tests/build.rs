//! Sets `missing_NAME` for each program that some tests need and that this machine does not have: those tests are then
//! reported as ignored, by name. With `CI=true` nothing is set, so that they run and fail.

use std::path::Path;
use std::process::Command;

/// Name, and a command that succeeds where it is installed.
const NEEDED: [(&str, &[&str]); 8] = [
    ("chromium", &["chromium", "--version"]),
    ("wrk", &["sh", "-c", "command -v wrk"]),
    ("strace", &["strace", "--version"]),
    ("patch", &["patch", "--version"]),
    ("rustc_web", &["test", "-x", "/usr/bin/rustc"]),
    ("python3", &["python3", "--version"]),
    ("python3_clients", &["/usr/bin/python3", "-c", "import requests, websockets"]),
    ("guests", &["sh", "-c", "test -d \"$THEATER_TEST_GUESTS\""]),
];

fn main() {
    println!("cargo::rerun-if-env-changed=CI");
    println!("cargo::rerun-if-env-changed=PATH");
    println!("cargo::rerun-if-env-changed=THEATER_TEST_GUESTS");
    let must_run = std::env::var("CI").is_ok_and(|value| value == "true");
    for (name, words) in NEEDED {
        println!("cargo::rustc-check-cfg=cfg(missing_{name})");
        let (program, arguments) = words.split_first().unwrap_or((&"false", &[]));
        let is_there = Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success());
        if !is_there && !must_run {
            println!("cargo::rustc-cfg=missing_{name}");
            println!(
                "cargo::warning=tests that need {} are not run; `tests/setup` installs it",
                name.replace('_', "-")
            );
            // A file that is not there makes cargo look again at each build.
            println!("cargo::rerun-if-changed={}", Path::new("not-there").join(name).display());
        }
    }
}
