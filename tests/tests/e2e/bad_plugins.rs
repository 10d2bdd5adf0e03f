//! Broken plugins (`tests/bad-plugins`), each next to the actor `hello-http`, which has to keep answering.
//!
//! The expected output is in `fixtures/bad-plugins/<name>.txt`. `UPDATE_GOLDEN=1` rewrites these files.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use theater_tests::{
    HTTP, PROMPT, Running, Scratch, bad_plugins, build_folder, get, manifest, plugin_folder, repository, theater,
    try_get, wait_until,
};

/// The library of a broken plugin, and its file name in the plugin folder.
fn broken(name: &str) -> (PathBuf, String) {
    let file = name.replace('-', "_");
    (bad_plugins().join(format!("lib{file}.so")), format!("libbad_{file}.so"))
}

/// Creates a plugin folder with our plugins and these.
fn plugins_and(scratch: &Scratch, files: &[(PathBuf, String)]) -> PathBuf {
    let folder = plugin_folder(scratch);
    for (file, name) in files {
        std::fs::copy(file, folder.join(name)).unwrap();
    }
    folder
}

/// The manifest of a `prober` that calls the plugin with this handler type.
fn prober(handler: &str, limits: &str) -> String {
    manifest("prober", &format!("restart = \"never\"\n{HTTP}[[handlers]]\ntype = \"bad:{handler}\"\n{limits}"))
}

/// A running program with `hello-http` and one `prober`, and the output to compare.
struct Play {
    running: Running,
    scratch: Scratch,
    hello: SocketAddr,
    prober: Option<SocketAddr>,
    seen: String,
}

impl Play {
    /// Starts both and waits until the prober is ready or refused.
    fn start(files: &[(PathBuf, String)], handler: &str, limits: &str) -> Self {
        let scratch = Scratch::new();
        let plugins = plugins_and(&scratch, files);
        let hello = scratch.write("hello.toml", manifest("hello-http", HTTP));
        let prober = scratch.write("prober.toml", prober(handler, limits));
        let arguments = ["--plugins", text(&plugins), text(&hello), text(&prober)];
        let running = Running::start(&scratch.path().join("data"), &arguments);
        let hello = running.address(0);
        let is_ready = wait_until("the prober's start", || {
            let is_ready = running.lines().iter().any(|line| line.contains(" prober ready"));
            let is_refused = running.errors().iter().any(|line| line.contains("\"prober\" did not start"));
            (is_ready || is_refused).then_some(is_ready)
        });
        let prober = is_ready.then(|| running.address(1));
        assert_eq!(get(hello, "/").text(), "Hello! You are visitor number 1.\n");
        Self { running, scratch, hello, prober, seen: String::new() }
    }

    /// Sends a request to the prober and records the answer.
    fn ask(&mut self, path: &str) {
        let address = self.prober.expect("the prober runs");
        let answer = match try_get(address, path) {
            Ok(response) => format!("{} {}", response.status, response.text().trim_end()),
            Err(_) => "the connection breaks".to_owned(),
        };
        writeln!(self.seen, "GET {path}: {answer}").unwrap();
        if answer.starts_with("500") {
            // The call failed the actor, which ends after the answer.
            self.running.wait_for_error("actor failed");
        }
    }

    /// Stops the program and compares the recorded output with the golden file.
    fn end(mut self, golden: &str) {
        assert_eq!(get(self.hello, "/").text(), "Hello! You are visitor number 2.\n");
        let (status, took) = self.running.stop();
        assert!(took < PROMPT, "the program ends within a second, it took {took:?}");
        writeln!(self.seen, "exit code {}", status.code().expect("the program ends by itself")).unwrap();
        self.seen.push_str(&log(&self.running, &self.scratch));
        let differing = [
            ("actor=\"", "<id>"),
            ("id is ", "<id>"),
            ("request ", "<id>"),
            ("127.0.0.1:", "<port>"),
            ("src/lib.rs:", "<line>"),
        ];
        self.seen = differing.iter().fold(self.seen, |seen, (before, instead)| blank(&seen, before, instead));
        compare(golden, &self.seen);
        verify(&self.scratch);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Checks that the chains of all actors verify.
fn verify(scratch: &Scratch) {
    let verified = theater(&["chain", "verify", "--data", text(&scratch.path().join("data"))]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

/// The warnings and errors on stderr, without values that differ between runs and without the log of the HTTP server.
fn log(running: &Running, scratch: &Scratch) -> String {
    let mut told = String::new();
    let mut within_error = false;
    for line in running.all_errors() {
        let logged = line.split_once("Z ").filter(|_| line.starts_with("20")).map(|(_, rest)| rest.trim_start());
        // Help lines may follow an error.
        within_error = line.starts_with("error[") || (within_error && logged.is_none());
        match logged {
            Some(line) if line.contains("plugin=\"http-server\"") => continue,
            Some(line) if line.starts_with("WARN") || line.starts_with("ERROR") => told.push_str(line),
            None if within_error => told.push_str(&line),
            _ => continue,
        }
        told.push('\n');
    }
    let folder = scratch.path().display().to_string();
    told.replace(&folder, "<scratch>").replace(&repository().display().to_string(), "<repository>")
}

/// Replaces the number after each `before` (decimal or hexadecimal digits and colons) with `instead`.
fn blank(told: &str, before: &str, instead: &str) -> String {
    let mut parts = told.split(before);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(before);
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || "abcdef:".contains(c));
        let is_number = rest.len() < part.len() && (rest.is_empty() || rest.starts_with(['"', ')', ' ', '\n']));
        if is_number {
            out.push_str(instead);
        }
        out.push_str(if is_number { rest } else { part });
    }
    out
}

fn compare(golden: &str, seen: &str) {
    let path = repository().join("tests/tests/e2e/fixtures/bad-plugins").join(format!("{golden}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, seen).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == seen,
        "{} differs (UPDATE_GOLDEN=1 rewrites it)\n--- expected\n{expected}\n--- seen\n{seen}",
        path.display()
    );
}

/// Checks that the prober does not start and `hello-http` does.
fn refused(name: &str) {
    refused_with(name, &[broken(name)]);
}

fn refused_with(name: &str, files: &[(PathBuf, String)]) {
    let play = Play::start(files, name, "");
    assert!(play.prober.is_none(), "{name} is refused");
    play.end(name);
}

/// Starts the prober and requests these paths one after the other.
fn asked(name: &str, limits: &str, paths: &[&str]) {
    let mut play = Play::start(&[broken(name)], name, limits);
    for path in paths {
        play.ask(path);
    }
    play.end(name);
}

#[test]
fn a_file_that_is_no_library_is_refused_when_it_is_named() {
    let scratch = Scratch::new();
    let file = scratch.write("text.so", "This is a text.\n");
    refused_with("text", &[(file, "libbad_text.so".to_owned())]);
}

#[test]
fn a_library_for_another_machine_is_refused() {
    let scratch = Scratch::new();
    let mut bytes = std::fs::read(broken("older").0).unwrap();
    // e_machine of the ELF header, little-endian: RISC-V.
    bytes[18..20].copy_from_slice(&243u16.to_le_bytes());
    let file = scratch.write("riscv.so", bytes);
    refused_with("other-machine", &[(file, "libbad_other_machine.so".to_owned())]);
}

#[test]
fn a_library_without_a_descriptor_is_refused() {
    refused("no-descriptor");
}

#[test]
fn a_section_with_another_magic_is_refused() {
    refused("wrong-magic");
}

#[test]
fn a_section_with_another_layout_is_refused() {
    refused("bad-layout-version");
}

#[test]
fn a_plugin_of_the_next_abi_is_refused() {
    refused("abi-too-new");
}

#[test]
fn a_plugin_of_the_abi_before_is_refused() {
    refused("abi-too-old");
}

#[test]
fn a_plugin_whose_panics_abort_is_refused() {
    refused("panic-abort-flag");
}

#[test]
fn a_descriptor_that_is_not_json_is_refused() {
    refused("descriptor-json");
}

#[test]
fn a_plugin_that_needs_an_unknown_service_is_refused() {
    refused("service-missing");
}

#[test]
#[cfg_attr(missing_patch, ignore = "needs patch: tests/setup installs it")]
fn a_plugin_with_another_table_layout_is_refused() {
    refused("layout-differs");
}

#[test]
fn a_plugin_without_a_root_module_is_refused() {
    refused("no-entry");
}

#[test]
fn a_plugin_whose_init_fails_stops_only_the_actor_that_names_it() {
    refused("init-error");
}

#[test]
fn a_plugin_whose_init_panics_stops_only_the_actor_that_names_it() {
    refused("init-panics");
}

#[test]
fn a_handler_that_does_not_attach_stops_only_its_actor() {
    refused("attach-error");
}

#[test]
fn a_handler_that_panics_in_attach_stops_only_its_actor() {
    refused("attach-panics");
}

#[test]
fn of_two_files_with_one_plugin_name_the_second_one_is_refused() {
    refused_with("name-twice-b", &[broken("name-twice-a"), broken("name-twice-b")]);
}

#[test]
fn an_actor_that_names_the_handler_type_of_two_plugins_is_refused() {
    refused_with("handler-twice", &[broken("handler-twice-a"), broken("handler-twice-b")]);
}

#[test]
fn bad_plugins_that_no_manifest_names_are_warnings_only() {
    let scratch = Scratch::new();
    let mut files: Vec<_> = std::fs::read_dir(bad_plugins()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let named = |path: &PathBuf| (path.clone(), path.file_name().unwrap().to_str().unwrap().replace("lib", "libbad_"));
    let files: Vec<_> =
        files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "so")).map(named).collect();
    assert!(files.len() >= 28, "{files:?}");
    let plugins = plugins_and(&scratch, &files);
    let (mut running, hello) = {
        let path = scratch.write("hello.toml", manifest("hello-http", HTTP));
        let running = Running::start(&scratch.path().join("data"), &["--plugins", text(&plugins), text(&path)]);
        let address = running.address(0);
        (running, address)
    };
    assert_eq!(get(hello, "/").text(), "Hello! You are visitor number 1.\n");
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    compare("nobody-named-them", &log(&running, &scratch));
}

#[test]
fn a_panic_in_a_call_is_the_err_of_that_call_or_a_trap() {
    asked("call-panics", "", &["/run/x", "/run/ok", "/later/x", "/later/ok", "/bare"]);
}

#[test]
fn panics_in_a_row_are_each_answered_and_do_not_flood_the_log() {
    let play = Play::start(&[broken("call-panics")], "call-panics", "");
    let address = play.prober.expect("the prober runs");
    let count = 200;
    let start = Instant::now();
    for _ in 0..count {
        let response = get(address, "/run/x");
        assert_eq!(response.status, 400);
        assert!(response.text().starts_with("[P0101]"), "{}", response.text());
    }
    let seconds = 1 + usize::try_from(start.elapsed().as_secs()).unwrap();
    let Play { mut running, scratch, .. } = play;
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let lines = running.all_errors();
    let faults = lines.iter().filter(|line| line.contains("P0101")).count();
    assert!(faults <= 5 * (seconds + 1), "{faults} lines in {seconds} s");
    let held: usize = lines
        .iter()
        .filter_map(|line| line.split_once(" more plugin faults")?.0.rsplit(' ').next()?.parse::<usize>().ok())
        .sum();
    assert_eq!(faults + held, count, "every fault is logged or counted: {lines:?}");
    verify(&scratch);
}

#[test]
fn the_soak_of_panics_runs_in_its_short_form() {
    let output = Command::new(build_folder().join("panics_soak")).arg("2000").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["calls"], 2000);
}

#[test]
fn bytes_that_are_no_result_are_the_plugins_fault() {
    asked("wrong-bytes", "", &["/run/x", "/later/x", "/bare"]);
}

#[test]
fn a_result_above_value_bytes_is_the_plugins_fault() {
    let limits = "[limits]\nvalue_bytes = 10000\n";
    asked("too-many-bytes", limits, &["/run/100", "/run/10001", "/later/10001", "/later/3", "/bare"]);
}

#[test]
fn a_future_that_never_wakes_ends_with_the_timeout_of_its_call() {
    asked("never-wakes", "[limits]\ncall_timeout_ms = 300\n", &["/run/x", "/later/x"]);
}

#[test]
fn a_panic_in_the_drop_of_a_future_that_timed_out_is_held() {
    asked("drop-panics-in-cancelled-future", "[limits]\ncall_timeout_ms = 300\n", &["/run/x", "/later/x"]);
}

#[test]
fn a_panic_in_the_drop_of_a_future_is_held_when_the_program_ends() {
    let play = Play::start(&[broken("drop-panics-in-cancelled-future")], "drop-panics-in-cancelled-future", "");
    let address = play.prober.expect("the prober runs");
    let waiting = std::thread::spawn(move || try_get(address, "/later/waiting"));
    play.running.wait_for_queued("/later/waiting");
    play.end("drop-panics-in-cancelled-future-at-the-end");
    drop(waiting.join().unwrap());
}

#[test]
fn a_panic_in_the_drop_of_a_handler_is_recorded() {
    asked("drop-panics-in-handler", "", &["/run/x"]);
}

#[test]
fn a_panic_in_a_spawned_task_is_recorded_and_the_actor_goes_on() {
    let mut play = Play::start(&[broken("spawned-task-panics")], "spawned-task-panics", "");
    play.ask("/run/x");
    play.running.wait_for_error("P0105");
    play.ask("/later/y");
    play.end("spawned-task-panics");
}

#[test]
#[cfg_attr(missing_patch, ignore = "needs patch: tests/setup installs it")]
fn a_plugin_of_an_older_api_runs() {
    asked("older", "", &["/run/x", "/later/y", "/bare"]);
}

#[test]
#[cfg_attr(missing_patch, ignore = "needs patch: tests/setup installs it")]
fn a_plugin_of_a_newer_api_runs_and_does_without_what_this_core_has_not() {
    asked("newer", "", &["/run/x", "/later/y", "/bare", "/run/weather"]);
}

#[test]
fn a_plugin_with_another_allocator_runs() {
    asked("other-allocator", "", &["/run/x", "/later/y", "/bare"]);
}

/// The number of looping actors: four per core.
fn loopers() -> usize {
    4 * std::thread::available_parallelism().map_or(2, usize::from)
}

/// A program with `hello-http` and a number of probers that all loop inside the plugin.
struct Loops {
    running: Running,
    scratch: Scratch,
    hello: SocketAddr,
    asked: Vec<std::thread::JoinHandle<(Duration, std::io::Result<theater_tests::Response>)>>,
}

impl Loops {
    fn start(count: usize, run_timeout_ms: u64) -> Self {
        let scratch = Scratch::new();
        let plugins = plugins_and(&scratch, &[broken("sync-loop")]);
        let hello = scratch.write("hello.toml", manifest("hello-http", HTTP));
        let prober = prober("sync-loop", &format!("[limits]\nrun_timeout_ms = {run_timeout_ms}\n"));
        let prober = scratch.write("prober.toml", prober);
        let mut arguments = vec!["--plugins", text(&plugins), text(&hello)];
        arguments.extend((0..count).map(|_| text(&prober)));
        let running = Running::start(&scratch.path().join("data"), &arguments);
        let probers: Vec<_> = (1..=count).map(|number| running.address(number)).collect();
        let ask = |address| {
            std::thread::spawn(move || {
                let start = Instant::now();
                let answer = try_get(address, "/run/loop");
                (start.elapsed(), answer)
            })
        };
        let hello = running.address(0);
        let asked = probers.into_iter().map(ask).collect();
        Self { running, scratch, hello, asked }
    }

    fn told(&self, text: &str) -> usize {
        self.running.errors().iter().filter(|line| line.contains(text)).count()
    }
}

#[test]
fn endless_loops_in_four_times_as_many_actors_as_cores_cost_only_these_actors() {
    let count = loopers();
    let mut loops = Loops::start(count, 8_000);
    wait_until("a report of each loop", || (loops.told("has not returned") == count).then_some(()));
    assert_eq!(loops.told("code=\"P0107\""), count);
    // Every loop now occupies a thread, and each of these threads has been replaced.
    let mut times: Vec<_> = (0..50)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(get(loops.hello, "/").status, 200);
            start.elapsed()
        })
        .collect();
    times.sort();
    println!("hello-http beside {count} loops: median {:?}, worst {:?}", times[25], times[49]);
    assert!(times[25] < PROMPT, "{times:?}");
    for asked in std::mem::take(&mut loops.asked) {
        let (took, answer) = asked.join().unwrap();
        assert!(took >= Duration::from_millis(8_000), "{took:?}");
        let answer = answer.unwrap();
        assert_eq!(answer.status, 500, "{}", answer.text());
    }
    wait_until("the end of each actor", || (loops.told("actor failed") == count).then_some(()));
    let lost = "actor failed in a plugin: [P0107] plugin \"bad-sync-loop\" did not return within run_timeout_ms = 8000; its thread is lost until the program ends";
    assert_eq!(loops.told(lost), count, "{:?}", loops.running.errors());
    assert_eq!(get(loops.hello, "/").status, 200);
    let (status, took) = loops.running.stop();
    assert_eq!(status.code(), Some(1), "actors failed");
    assert!(took < PROMPT, "{took:?}");
    verify(&loops.scratch);
}

#[test]
fn a_program_whose_plugins_loop_ends_when_it_is_told_to() {
    let mut loops = Loops::start(2, 60_000);
    wait_until("a report of each loop", || (loops.told("has not returned") == 2).then_some(()));
    let (status, took) = loops.running.stop();
    assert!(status.success(), "{status}");
    assert!(took < PROMPT, "{took:?}");
    verify(&loops.scratch);
}

/// Builds a workspace with Debian's compiler and returns the folder with the libraries.
fn built_by_debian(workspace: &str, arguments: &[&str]) -> PathBuf {
    let compiler = Path::new("/usr/bin/rustc");
    assert!(compiler.exists(), "this test builds plugins with Debian's compiler: install the package rustc-web");
    let target = build_folder().parent().unwrap().join("outside/rustc-web");
    let status = theater_tests::cargo()
        .current_dir(repository().join(workspace))
        .args(["build", "--quiet"])
        .args(arguments)
        .env("RUSTC", compiler)
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .unwrap();
    assert!(status.success(), "{workspace} builds with {}", compiler.display());
    target.join("debug")
}

#[test]
#[cfg_attr(missing_rustc_web, ignore = "needs rustc-web: tests/setup installs it")]
fn plugins_of_another_compiler_and_allocator_run_and_panic_as_ours_do() {
    let crates = ["call-panics", "other-allocator", "drop-panics-in-handler", "spawned-task-panics"];
    let arguments: Vec<_> = crates.iter().flat_map(|name| ["-p", name]).collect();
    let built = built_by_debian("tests/bad-plugins", &arguments);
    let file = |name: &str| {
        let file = name.replace('-', "_");
        (built.join(format!("lib{file}.so")), format!("libbad_{file}.so"))
    };
    // The golden files are the ones for the crates built with the workspace's compiler.
    for (name, paths) in [
        ("other-allocator", &["/run/x", "/later/y", "/bare"][..]),
        ("call-panics", &["/run/x", "/run/ok", "/later/x", "/later/ok", "/bare"]),
        ("drop-panics-in-handler", &["/run/x"]),
    ] {
        let mut play = Play::start(&[file(name)], name, "");
        for path in paths {
            play.ask(path);
        }
        play.end(name);
    }
    let mut play = Play::start(&[file("spawned-task-panics")], "spawned-task-panics", "");
    play.ask("/run/x");
    play.running.wait_for_error("P0105");
    play.ask("/later/y");
    play.end("spawned-task-panics");
}

/// Paths of the actor `greeter` that together use every part of the plugin ABI.
const GREETER: [&str; 12] = [
    "/greet/Ada",
    "/greet/Ada/birthday/36",
    "/greet/Ada/wedding/Bo/Cy",
    "/greet/Ada/other/tea",
    "/greet-later/Ada/5",
    "/average/1/2/4.5",
    "/mix",
    "/visit/Ada",
    "/count",
    "/fail/panic",
    "/fail/error",
    "/fail/wrong-bytes",
];

/// The answers of `greeter` with this file as its plugin.
fn greeter_answers(library: PathBuf) -> Vec<String> {
    let scratch = Scratch::new();
    let plugins = plugins_and(&scratch, &[(library, "libacme_greeter.so".to_owned())]);
    let path =
        scratch.write("greeter.toml", manifest("greeter", &format!("{HTTP}[[handlers]]\ntype = \"acme:greeter\"\n")));
    let mut running = Running::start(&scratch.path().join("data"), &["--plugins", text(&plugins), text(&path)]);
    let address = running.address(0);
    let answers = GREETER
        .iter()
        .map(|path| match try_get(address, path) {
            Ok(response) => format!("GET {path}: {} {}", response.status, response.text()),
            Err(error) => format!("GET {path}: {error}"),
        })
        .collect();
    running.stop();
    verify(&scratch);
    answers
}

#[test]
#[cfg_attr(missing_rustc_web, ignore = "needs rustc-web: tests/setup installs it")]
fn the_example_of_a_third_party_answers_alike_from_both_compilers() {
    let ours = theater_tests::build_outside(&repository().join("tests/acme-greeter"), &[]);
    let debians = built_by_debian("tests/acme-greeter", &[]);
    let name = "libacme_greeter.so";
    let ours = greeter_answers(ours.join(name));
    assert!(ours[0].starts_with("GET /greet/Ada: 200"), "{ours:?}");
    assert_eq!(ours, greeter_answers(debians.join(name)));
}

/// An actor whose `init` calls a function of `typed-fault` with a path, and traps unless the first two bytes of the
/// result (`ok` or `err`, and the case of the error) are as given.
fn calls(function: &str, result: &str, path: &str, ok: u8, case: u8) -> String {
    let length = path.len();
    format!(
        r#"(component
  (import "bad:typed-fault/files@1.0.0" (instance $files
    (type $cases (variant (case "gone") (case "io" string)))
    (export "error" (type $error (eq $cases)))
    (export "{function}" (func (param "path" string) (result (result {result} (error $error)))))))
  (core module $memory
    (memory (export "memory") 1)
    (data (i32.const 64) "{path}")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))
  (core instance $memory (instantiate $memory))
  (alias core export $memory "memory" (core memory $mem))
  (alias core export $memory "realloc" (core func $realloc))
  (core func $lowered (canon lower (func $files "{function}") (memory $mem) (realloc $realloc)))
  (core module $m
    (import "memory" "memory" (memory 1))
    (import "files" "{function}" (func $call (param i32 i32 i32)))
    (func (export "init") (param i32 i32 i32 i32 i32) (result i32)
      (call $call (i32.const 64) (i32.const {length}) (i32.const 1024))
      (if (i32.ne (i32.load8_u (i32.const 1024)) (i32.const {ok})) (then unreachable))
      (if (i32.ne (i32.load8_u (i32.const 1028)) (i32.const {case})) (then unreachable))
      (i32.const 0)))
  (core instance $files (export "{function}" (func $lowered)))
  (core instance $i (instantiate $m (with "memory" (instance $memory)) (with "files" (instance $files))))
  (func $init (param "state" (option (list u8))) (param "params" (tuple string))
     (result (result (tuple (option (list u8))) (error string)))
     (canon lift (core func $i "init") (memory $mem) (realloc $realloc)))
  (instance $actor (export "init" (func $init)))
  (export "theater:simple/actor" (instance $actor)))"#
    )
}

/// The command line that starts such an actor.
fn typed(scratch: &Scratch, component: &str) -> [String; 3] {
    let plugins = plugins_and(scratch, &[broken("typed-fault")]);
    let component = scratch.write("calls.wat", component).display().to_string();
    let manifest = format!(
        "name = \"calls\"\ncomponent_path = {component:?}\nrestart = \"never\"\n[chain]\nsync = \"always\"\n[[handlers]]\ntype = \"bad:typed-fault\"\n"
    );
    let manifest = scratch.write("calls.toml", manifest);
    ["--plugins".to_owned(), text(&plugins).to_owned(), text(&manifest).to_owned()]
}

#[test]
fn a_panic_is_the_case_of_a_typed_error_that_is_named_for_it() {
    let scratch = Scratch::new();
    let arguments = typed(&scratch, &calls("read", "string", "a", 1, 1));
    let data = scratch.path().join("data");
    let mut running = Running::start(&data, &arguments.each_ref().map(String::as_str));
    running.wait_for_line(" calls ready");
    assert!(running.stop().0.success());
    let calls = theater_tests::texts(&theater_tests::chain(&data, "calls"), "host");
    assert!(calls[0].contains("err(io(\"[P0101]") && calls[0].contains("a panic in read of a"), "{calls:?}");
    assert_eq!(theater_tests::replays(&data), 1);
}

#[test]
fn an_idempotent_effect_that_a_crash_cut_off_is_made_again_with_its_key() {
    let scratch = Scratch::new();
    let file = scratch.path().join("keys");
    let arguments = typed(&scratch, &calls("save", "", text(&file), 0, 0));
    let data = scratch.path().join("data");
    let arguments = arguments.each_ref().map(String::as_str);
    let keys = || std::fs::read_to_string(&file).unwrap_or_default();
    let mut running = Running::start(&data, &arguments);
    wait_until("the first call", || keys().ends_with('\n').then_some(()));
    running.signal("KILL");
    running.wait();
    let mut running = Running::start(&data, &[&["--resume"], &arguments[..]].concat());
    let keys: Vec<_> = wait_until("the second call", || {
        let keys: Vec<_> = keys().lines().map(ToOwned::to_owned).collect();
        (keys.len() > 1).then_some(keys)
    });
    running.wait_for_line(" calls ready");
    assert!(running.stop().0.success());
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert_eq!(keys[0], keys[1]);
    assert_eq!(theater_tests::replays(&data), 1);
}
