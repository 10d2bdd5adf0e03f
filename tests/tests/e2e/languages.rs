//! Actors in every language of `tests/guests`: 200 requests of 1 MiB with default limits, a kill, a resume, a replay.
//!
//! Small components are committed. `THEATER_TEST_GUESTS` names a folder with all of them, which `tests/guests/build`
//! creates and `.ci/run` uses; without it the tests of the large ones are reported as ignored.

use std::path::{Path, PathBuf};
use std::process::Command;

use theater_tests::talk::post;
use theater_tests::{Running, Scratch, component, get, repository, theater, wait_until};

const MIB: usize = 1 << 20;
const REQUESTS: u32 = 200;

/// The component of a language: from the folder of `THEATER_TEST_GUESTS`, or a committed one.
fn guest(language: &str) -> PathBuf {
    let folder = std::env::var_os("THEATER_TEST_GUESTS")
        .map_or_else(|| repository().join("tests/guests/components"), PathBuf::from);
    let path = folder.join(format!("{language}.wasm"));
    assert!(path.exists(), "{} is missing: build it with tests/guests/build and name its folder", path.display());
    path
}

/// `answer` is the expected response to the request with this number. `fails` says whether the guest returns `err` for
/// `/err`.
fn lives_through_requests_a_kill_and_a_replay(component: &Path, answer: impl Fn(u32) -> String, fails: bool) {
    let language = component.display();
    let scratch = Scratch::new();
    let manifest = format!(
        "name = \"guest\"\ncomponent = \"{language}\"\n[chain]\nsync = \"always\"\n[[handlers]]\ntype = \"http-server\"\n"
    );
    let manifest = scratch.write("guest.toml", manifest).display().to_string();
    let data = scratch.path().join("data");
    let mut running = Running::start(&data, &[&manifest]);
    let at = running.address(0);
    let body = vec![b'x'; MIB];
    for number in 1..=REQUESTS {
        let response = post(at, "/", &body);
        assert_eq!((response.status, response.text()), (200, answer(number)), "{language}");
        if fails && number == REQUESTS / 2 {
            // An `err` does not change the state.
            assert_eq!(get(at, "/err").status, 500, "{language}");
        }
    }
    running.signal("KILL");
    wait_until("the end", || running.has_ended().then_some(()));

    let mut running = Running::start(&data, &["--resume"]);
    let response = post(running.address(0), "/", &body);
    assert_eq!((response.status, response.text()), (200, answer(REQUESTS + 1)), "{language}");
    running.signal("INT");
    running.wait();
    let replayed = theater(&["--data", &data.display().to_string(), "replay", "guest"]);
    assert!(replayed.status.success(), "{language}: {}", String::from_utf8_lossy(&replayed.stderr));
}

macro_rules! languages {
    ($($(#[$attribute:meta])* $language:ident)*) => { $(
        #[test]
        $(#[$attribute])*
        fn $language() {
            let component = guest(stringify!($language));
            lives_through_requests_a_kill_and_a_replay(&component, |number| format!("{number} {MIB}"), true);
        }
    )* };
}

languages! {
    assemblyscript
    c
    wat
    zig
    #[cfg_attr(missing_guests, ignore = "needs THEATER_TEST_GUESTS, the folder that tests/guests/build fills")]
    go
    #[cfg_attr(missing_guests, ignore = "needs THEATER_TEST_GUESTS, the folder that tests/guests/build fills")]
    python
    #[cfg_attr(missing_guests, ignore = "needs THEATER_TEST_GUESTS, the folder that tests/guests/build fills")]
    quickjs
    #[cfg_attr(missing_guests, ignore = "needs THEATER_TEST_GUESTS, the folder that tests/guests/build fills")]
    starlingmonkey
}

/// All other Rust actors are built the same way.
#[test]
fn rust() {
    let answer = |number| format!("Hello! You are visitor number {number}.\n");
    lives_through_requests_a_kill_and_a_replay(&component("hello-http"), answer, false);
}

#[test]
fn no_source_of_a_committed_guest_has_changed_since_it_was_built() {
    let folder = repository().join("tests/guests");
    let checked =
        Command::new("sha256sum").args(["--check", "--quiet", "components.lock"]).current_dir(folder).output();
    let checked = checked.expect("sha256sum is there");
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "run tests/guests/build: {said}");
}
