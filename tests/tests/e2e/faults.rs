//! Disk errors under the journal, injected by `tests/faults.c`, which is preloaded into the program.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use theater_chain::verify;
use theater_tests::{HTTP, Running, Scratch, build_folder, get, manifest, replays, repository, try_get, wait_until};

fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = build_folder().parent().expect("target folder").join("outside/faults.so");
        std::fs::create_dir_all(library.parent().unwrap()).unwrap();
        let source = repository().join("tests/faults.c");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
        assert!(built.expect("the linker's compiler is there").success());
        library
    })
}

/// A program whose disk operations fail as the file `control` says.
struct Failing {
    scratch: Scratch,
    control: PathBuf,
}

impl Failing {
    fn new() -> Self {
        let scratch = Scratch::new();
        let control = scratch.path().join("control");
        Self { scratch, control }
    }

    fn variables(&self) -> [(&'static str, String); 2] {
        [("LD_PRELOAD", library().display().to_string()), ("FAULTS", self.control.display().to_string())]
    }

    fn start(&self, arguments: &[&str]) -> Running {
        let variables = self.variables();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Running::start_with(&self.data(), arguments, &variables)
    }

    fn hello(&self) -> Running {
        let text = manifest("hello-http", &format!("{HTTP}[chain]\nsync = \"always\"\n"));
        let path = self.scratch.write("manifest.toml", text).display().to_string();
        self.start(&[&path])
    }

    fn data(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    fn says(&self, what: &str) {
        // Replace the file atomically: the program may read it at any time.
        let draft = self.scratch.write("draft", what);
        std::fs::rename(draft, &self.control).unwrap();
    }

    fn heals(&self) {
        std::fs::remove_file(&self.control).unwrap();
    }
}

/// Visits once and returns the visitor's number, or `None` if the answer is not a greeting.
fn visitor(running: &Running) -> Option<u64> {
    let response = try_get(running.address(0), "/").ok().filter(|response| response.status == 200)?;
    response.text().trim_end_matches(".\n").rsplit(' ').next()?.parse().ok()
}

fn kill(mut running: Running) {
    running.signal("KILL");
    running.wait();
}

/// Kills and resumes the program, and checks that acknowledged calls survived and that the journal has only whole
/// calls.
fn goes_on(failing: &Failing, running: Running, answered: u64) {
    kill(running);
    let mut running = failing.start(&["--resume"]);
    let next = visitor(&running).expect("an answer");
    assert!(next > answered, "{next} after {answered}");
    assert!(running.stop().0.success());
    verify::read(&failing.data(), |_| {}).expect("it verifies");
    replays(&failing.data());
}

#[test]
fn a_disk_that_takes_nothing_fails_calls_until_it_does() {
    for fault in ["enospc", "eio", "half"] {
        let failing = Failing::new();
        let running = failing.hello();
        assert_eq!(visitor(&running), Some(1));
        failing.says(fault);
        let refused = get(running.address(0), "/");
        assert!(refused.status >= 500, "{fault}: {} {}", refused.status, refused.text());
        let said = running.wait_for_error("cannot be written");
        let words = if fault == "eio" { "Input/output error" } else { "No space left" };
        assert!(said.contains(words) && said.contains("calls fail meanwhile"), "{said}");
        assert!(get(running.address(0), "/").status >= 500, "and so it stays");
        failing.heals();
        let healed = wait_until("an answer", || visitor(&running));
        assert!((2..=4).contains(&healed), "{fault}: {healed}");
        goes_on(&failing, running, healed);
    }
}

#[test]
fn short_writes_are_gone_on_with() {
    let failing = Failing::new();
    failing.says("short");
    let running = failing.hello();
    for number in 1..=20 {
        assert_eq!(visitor(&running), Some(number));
    }
    failing.heals();
    goes_on(&failing, running, 20);
}

#[test]
fn a_flush_that_fails_once_loses_nothing_that_was_answered() {
    let failing = Failing::new();
    let running = failing.hello();
    let mut answered = visitor(&running).unwrap();
    for _ in 0..5 {
        failing.says("fsync-once");
        // The call whose flush failed is answered as failed; its outcome is unknown.
        let _ = visitor(&running);
        let next = wait_until("an answer", || visitor(&running));
        assert!(next > answered, "{next} after {answered}");
        answered = next;
    }
    goes_on(&failing, running, answered);
}

#[test]
fn what_is_read_otherwise_than_it_was_written_is_found_and_nobody_goes_on() {
    let failing = Failing::new();
    let mut running = failing.hello();
    for number in 1..=5 {
        assert_eq!(visitor(&running), Some(number));
    }
    assert!(running.stop().0.success());
    let journal = failing.data().join("journal/00000001.log");
    let whole = std::fs::read(&journal).unwrap();
    failing.says("flip");
    let verified = Command::new(build_folder().join("theater"))
        .args(["chain", "verify", "--data"])
        .arg(failing.data())
        .envs(failing.variables())
        .output()
        .unwrap();
    assert_eq!(verified.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&verified.stderr).contains("[J0004]"), "{verified:?}");
    let mut refused = failing.start(&["--resume"]);
    assert_eq!(refused.wait().code(), Some(1));
    assert!(refused.lines().is_empty());
    let said = refused.all_errors().join("\n");
    assert!(said.contains("00000001.log") && said.contains("was changed"), "{said}");
    assert_eq!(std::fs::read(&journal).unwrap(), whole, "nothing was written");
    failing.heals();
    let mut running = failing.start(&["--resume"]);
    assert_eq!(visitor(&running), Some(6));
    assert!(running.stop().0.success());
}
