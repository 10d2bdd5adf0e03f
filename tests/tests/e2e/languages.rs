//! Actors in every language of `tests/guests`: 200 requests of 1 MiB with default limits, a kill, a resume, a replay.
//!
//! Small components are committed. `THEATER_TEST_GUESTS` names a folder with all of them, which `tests/guests/build`
//! creates and `.ci/run` uses.

use std::path::{Path, PathBuf};
use std::process::Command;

use theater_tests::talk::post;
use theater_tests::{Running, Scratch, component, get, repository, theater, wait_until};

const MIB: usize = 1 << 20;
const REQUESTS: u32 = 200;

/// The component of a language, or `None` if it is not committed and `THEATER_TEST_GUESTS` is not set.
fn guest(language: &str) -> Option<PathBuf> {
    let (folder, is_whole) = match std::env::var_os("THEATER_TEST_GUESTS") {
        Some(folder) => (PathBuf::from(folder), true),
        None => (repository().join("tests/guests/components"), false),
    };
    let path = folder.join(format!("{language}.wasm"));
    assert!(path.exists() || !is_whole, "{} is missing", path.display());
    path.exists().then_some(path)
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
    ($($language:ident)*) => { $(
        #[test]
        fn $language() {
            let Some(component) = guest(stringify!($language)) else { return };
            lives_through_requests_a_kill_and_a_replay(&component, |number| format!("{number} {MIB}"), true);
        }
    )* };
}

languages! { assemblyscript c go python quickjs starlingmonkey wat zig }

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
