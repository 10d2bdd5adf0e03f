//! A third-party plugin that is built outside this workspace, copied into the plugin folder and used by an actor.

use std::net::SocketAddr;
use std::path::Path;

use theater_tests::{
    HTTP, PATIENCE, Running, Scratch, build_outside, chain, get, manifest, plugin_folder, repository, texts, theater,
    try_get, wait_until,
};

/// Creates a plugin folder with our plugins and acme's.
fn plugins(scratch: &Scratch) -> String {
    let folder = plugin_folder(scratch);
    let built = build_outside(&repository().join("tests/acme-greeter"), &["--lib"]);
    std::fs::copy(built.join("libacme_greeter.so"), folder.join("libacme_greeter.so")).unwrap();
    folder.display().to_string()
}

fn greeter(config: &str) -> String {
    manifest("greeter", &format!("{HTTP}[[handlers]]\ntype = \"acme:greeter\"\n{config}"))
}

fn start(scratch: &Scratch, manifests: &[String]) -> Running {
    let mut arguments = vec!["--plugins".to_owned(), plugins(scratch)];
    for (number, manifest) in manifests.iter().enumerate() {
        arguments.push(scratch.write(&format!("{number}.toml"), manifest).display().to_string());
    }
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    Running::start(&scratch.path().join("data"), &arguments)
}

/// Starts the program with one greeter. Its plugins are in the folder `plugins`.
pub fn one(scratch: &Scratch, config: &str) -> (Running, SocketAddr) {
    let running = start(scratch, &[greeter(config)]);
    let address = running.address(0);
    (running, address)
}

fn ask(address: SocketAddr, path: &str) -> (u16, String) {
    let response = get(address, path);
    (response.status, response.text().trim_end().to_owned())
}

fn ok(text: &str) -> (u16, String) {
    (200, text.to_owned())
}

/// The actor id in the ready line with index `number`.
fn id(running: &Running, number: usize) -> String {
    let line = running.lines().into_iter().filter(|line| line.contains(" ready")).nth(number).unwrap();
    line.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn every_function_of_the_interface_works_from_the_guest_through_the_core_and_back() {
    let scratch = Scratch::new();
    let (running, address) = one(&scratch, "");
    for (path, answer) in [
        ("/greet/Ada", "Hello, dear Ada! *smile, clap*"),
        ("/greet/Ada/birthday/36", "Hello, dear Ada! Happy birthday number 36! *smile, clap*"),
        ("/greet/%C3%96rs/wedding/Eve/Ben", "Hello, dear Örs! To Eve and Ben! *smile, clap*"),
        ("/greet/Ada/other/rain", "Hello, dear Ada! The reason: rain. *smile, clap*"),
        ("/greet-later/Ada/20", "Hello, dear Ada! *smile, clap*"),
        ("/average/1/2/6", "3"),
        ("/average", "NaN"),
        (
            "/mix",
            "true 255 -128 65535 -32768 4294967295 -2147483648 18446744073709551615 -9223372036854775808 0.5 -0.25 🎭 \
             13 14 15 16 17 18 19 twenty",
        ),
        ("/owner", &id(&running, 0)),
        ("/count", "10"),
        ("/total", "11"),
    ] {
        assert_eq!(ask(address, path), ok(answer), "{path}");
    }
    for (path, part) in [
        ("/greet/", "nobody can be greeted without a name"),
        ("/start-ticks/0", "not every 0"),
        ("/fail/error", "the greeter was asked to fail"),
        ("/fail/wrong-bytes", "wrong bytes cannot be made"),
        ("/wait-for/nobody", "there is no living actor \"nobody\""),
    ] {
        let (status, text) = ask(address, path);
        assert_eq!(status, 400, "{path}");
        assert!(text.contains(part), "{path}: {text}");
    }
}

#[test]
fn the_chain_shows_calls_of_the_third_party_with_its_types() {
    let scratch = Scratch::new();
    let (mut running, address) = one(&scratch, "");
    assert_eq!(ask(address, "/greet/Ada/birthday/36").0, 200);
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let events = chain(&running.data, "greeter");
    let call = events.iter().find(|event| event["function"] == "acme:greeter/hello@1.0.0/greet").unwrap();
    let text = call["text"].as_str().unwrap();
    for part in ["name: \"Ada\"", "initial: 'A'", "tone: warm", "birthday(36)", "ok(\"Hello, dear Ada!"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_visit_calls_the_actor_back_and_the_answer_is_logged() {
    let scratch = Scratch::new();
    let (mut running, address) = one(&scratch, "");
    assert_eq!(ask(address, "/visit/Ada"), ok("Ada is on the way"));
    running.wait_for_error("Ada was told: Come in, Ada!");
    running.wait_for_error("Ada is here");
    assert_eq!(ask(address, "/state"), ok("ticks: 0\nvisits: 1"));
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let queued = texts(&chain(&running.data, "greeter"), "queued");
    assert!(queued.iter().any(|text| text.ends_with("from a visit of acme:greeter")), "{queued:?}");
}

#[test]
fn ticks_come_by_themselves_and_end_with_the_actor() {
    let scratch = Scratch::new();
    let (mut running, address) = one(&scratch, "");
    assert_eq!(ask(address, "/start-ticks/1"), ok("ok"));
    wait_until("three ticks", || {
        let (_, text) = ask(address, "/state");
        let ticks: u64 = text.lines().next()?.strip_prefix("ticks: ")?.parse().ok()?;
        (ticks >= 3).then_some(())
    });
    let (status, took) = running.stop();
    assert!(status.success(), "{status}");
    assert!(took.as_millis() < 1000, "{took:?}");
    let events = chain(&running.data, "greeter");
    assert_eq!(events.last().unwrap()["type"], "stopped");
    assert!(!running.all_errors().iter().any(|line| line.contains("WARN")), "{:?}", running.errors());
}

#[test]
fn a_stop_interrupts_a_late_greeting_with_err() {
    let scratch = Scratch::new();
    let (mut running, address) = one(&scratch, "");
    let waiting = std::thread::spawn(move || try_get(address, "/greet-later/Ada/3600000"));
    running.wait_for_queued("/greet-later/Ada/3600000");
    let (status, took) = running.stop();
    assert!(status.success() && took.as_millis() < 1000, "{status} {took:?}");
    drop(waiting.join().unwrap());
    let calls = texts(&chain(&running.data, "greeter"), "host");
    assert!(calls.iter().any(|text| text.contains("the actor is being stopped")), "{calls:?}");
}

#[test]
fn a_panic_in_the_plugin_is_a_fault_of_one_call_of_one_actor() {
    let scratch = Scratch::new();
    let mut running = start(&scratch, &[greeter(""), greeter("").replace("\"greeter\"", "\"other\"")]);
    let (faulty, other) = (running.address(0), running.address(1));
    // The function returns `result<_, string>`, so that the actor gets the fault as `err` and continues to run.
    let (status, text) = ask(faulty, "/fail/panic");
    assert_eq!(status, 400);
    assert!(text.contains("P0101") && text.contains("the greeter was asked to panic"), "{text}");
    let warning = running.wait_for_error("plugin fault");
    assert!(warning.contains("P0101") && warning.contains("acme-greeter"), "{warning}");
    for address in [faulty, other] {
        assert_eq!(ask(address, "/greet/Ada").0, 200);
    }
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let faults = texts(&chain(&running.data, "greeter"), "fault");
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("[P0101] plugin \"acme-greeter\": "), "{faults:?}");
    assert!(faults[0].contains("the greeter was asked to panic"), "{faults:?}");
    assert_eq!(texts(&chain(&running.data, "other"), "fault"), Vec::<String>::new());
}

#[test]
fn calls_are_counted_per_actor_and_in_total_per_process() {
    let scratch = Scratch::new();
    let running = start(&scratch, &[greeter(""), greeter("").replace("\"greeter\"", "\"other\"")]);
    let (one, other) = (running.address(0), running.address(1));
    assert_eq!(ask(one, "/count"), ok("1"));
    assert_eq!(ask(one, "/count"), ok("2"));
    assert_eq!(ask(other, "/count"), ok("1"));
    assert_eq!(ask(other, "/total"), ok("4"));
    assert_eq!(ask(one, "/total"), ok("5"));
}

#[test]
fn a_circle_of_waits_is_refused_at_once_and_printed() {
    let scratch = Scratch::new();
    let mut running = start(&scratch, &[greeter(""), greeter("").replace("\"greeter\"", "\"other\"")]);
    let (one, other) = (running.address(0), running.address(1));
    let (one_id, other_id) = (id(&running, 0), id(&running, 1));
    let (status, text) = ask(one, &format!("/wait-for/{one_id}"));
    assert_eq!(status, 400);
    let label = |name: &str, id: &str| format!("{name:?} ({})", &id[..8]);
    let (one_label, other_label) = (label("greeter", &one_id), label("other", &other_id));
    assert_eq!(
        text,
        format!("this wait would never end: {one_label} waits (wait-for of acme:greeter) for {one_label}")
    );
    // Each waits for the other. The second wait would close the cycle and is refused; the first one continues.
    let (sender, answers) = std::sync::mpsc::channel();
    for (address, path) in [(one, format!("/wait-for/{other_id}")), (other, format!("/wait-for/{one_id}"))] {
        let sender = sender.clone();
        std::thread::spawn(move || sender.send(try_get(address, &path)));
    }
    let refused = answers.recv_timeout(PATIENCE).unwrap().unwrap();
    let text = refused.text();
    assert_eq!(refused.status, 400);
    assert!(text.starts_with("this wait would never end: "), "{text}");
    let step = |label: &str| format!("{label} waits (wait-for of acme:greeter) for ");
    assert!(text.contains(&step(&other_label)) && text.contains(&step(&one_label)), "{text}");
    assert!(answers.try_recv().is_err(), "the first one still waits");
    let (stopped, took) = running.stop();
    assert!(stopped.success() && took.as_millis() < 1000, "{stopped} {took:?}");
}

#[test]
fn a_config_changes_the_greeting_and_a_wrong_one_is_refused_by_schema_or_plugin() {
    let scratch = Scratch::new();
    let (_running, address) = one(&scratch, "config = { greeting = \"Moin\", max_names = 1 }\n");
    assert_eq!(ask(address, "/greet/Ada"), ok("Moin, dear Ada! *smile, clap*"));
    let (status, text) = ask(address, "/greet/Ada/wedding/Eve/Ben");
    assert_eq!(status, 400);
    assert!(text.contains("max_names = 3"), "{text}");
    let folder = scratch.path().join("plugins").display().to_string();
    for (config, code, part) in [
        ("greeting = 5\n", "M0008", "5 is not of type \"string\""),
        ("greting = \"Hi\"\n", "M0008", "did you mean \"greeting\"?"),
        ("max_names = 0\n", "M0008", "0 is less than the minimum of 1"),
        ("greeting = \" \"\n", "H0003", "greeting is blank"),
    ] {
        let path = scratch.write("wrong.toml", greeter(config)).display().to_string();
        let data = scratch.path().join("other").display().to_string();
        let output = theater(&["run", "--plugins", &folder, "--data", &data, &path]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with(&format!("error[{code}] {path}:6: ")) && said.contains(part), "{config}{said}");
    }
}

#[test]
fn without_the_plugin_the_start_says_what_is_missing() {
    let scratch = Scratch::new();
    let folder = plugin_folder(&scratch);
    let path = scratch.write("a.toml", greeter("")).display().to_string();
    let output = theater(&["run", "--plugins", &folder.display().to_string(), "--data", &data(&scratch), &path]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("error[H0001]") && said.contains("acme:greeter"), "{said}");
    let path = scratch.write("b.toml", manifest("greeter", HTTP)).display().to_string();
    let output = theater(&["run", "--plugins", &folder.display().to_string(), "--data", &data(&scratch), &path]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("error[C0004]") && said.contains("acme:greeter/hello@1.0.0"), "{said}");
}

fn data(scratch: &Scratch) -> String {
    scratch.path().join("data").display().to_string()
}

#[test]
fn the_manifest_beside_the_plugin_is_valid_and_plugin_inspect_takes_a_path() {
    let scratch = Scratch::new();
    let folder = plugins(&scratch);
    let path = repository().join("tests/acme-greeter/greeter.toml").display().to_string();
    let output = theater(&["validate", "--plugins", &folder, &path]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = Path::new(&folder).join("libacme_greeter.so").display().to_string();
    let output = theater(&["plugin", "inspect", &file]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.starts_with("acme-greeter 1.0.0\n"), "{said}");
    assert!(said.contains("acme:greeter/hello@1.0.0/average: func(values: list<f64>) -> f64"), "{said}");
    assert!(said.contains("acme:greeter/visitor@1.0.0/handle-tick"), "{said}");
}
