//! The plugins `timing`, `random`, `environment` and `runtime`, called by actors that are driven over HTTP.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use theater_tests::{HTTP, PROMPT, Running, Scratch, chain, get, manifest, texts, try_get};

fn actor(scratch: &Scratch, name: &str, handler: &str) -> (Running, std::net::SocketAddr) {
    Running::actor(scratch, &manifest(name, &format!("{HTTP}{handler}")))
}

fn ask(address: std::net::SocketAddr, path: &str) -> (u16, String) {
    let response = get(address, path);
    (response.status, response.text().trim_end().to_owned())
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

const TIMING: &str = "[[handlers]]\ntype = \"timing\"\n";

#[test]
// [timing-1 timing-8]
fn the_clock_tells_the_time_in_milliseconds_and_the_chain_has_its_readings() {
    let scratch = Scratch::new();
    let (mut running, address) = actor(&scratch, "clock", TIMING);
    let before = now();
    let (status, told) = ask(address, "/now");
    let after = now();
    let told: u64 = told.parse().unwrap();
    assert_eq!(status, 200);
    assert!((before..=after).contains(&told), "{before} {told} {after}");
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    assert_eq!(texts(&chain(&running.data, "clock"), "host"), [format!("() -> {told}")]);
}

#[test]
// [timing-5]
fn a_wait_takes_as_long_as_it_says_and_a_past_deadline_none() {
    let scratch = Scratch::new();
    let (_running, address) = actor(&scratch, "clock", TIMING);
    let start = Instant::now();
    assert_eq!(ask(address, "/sleep/60"), (200, "ok".into()));
    assert!(start.elapsed() >= Duration::from_millis(60));
    assert_eq!(ask(address, "/deadline/0"), (200, "ok".into()));
    let deadline = now() + 60;
    assert_eq!(ask(address, &format!("/deadline/{deadline}")), (200, "ok".into()));
    assert!(now() >= deadline);
}

#[test]
// [timing-3 timing-4]
fn a_wait_outside_the_configured_bounds_is_err() {
    let scratch = Scratch::new();
    let timing = "[[handlers]]\ntype = \"timing\"\nmax_sleep_duration = 50\nmin_sleep_duration = 10\n";
    let (_running, address) = actor(&scratch, "clock", timing);
    let (status, text) = ask(address, "/sleep/51");
    assert_eq!(status, 400);
    assert!(text.contains("max_sleep_duration"), "{text}");
    let (status, text) = ask(address, "/sleep/9");
    assert_eq!(status, 400);
    assert!(text.contains("min_sleep_duration"), "{text}");
    assert_eq!(ask(address, "/sleep/10"), (200, "ok".into()));
}

#[test]
// [timing-7]
fn a_wait_that_cannot_fit_in_the_call_is_err_and_names_the_limit() {
    let scratch = Scratch::new();
    let (_running, address) = actor(&scratch, "clock", &format!("{TIMING}[limits]\ncall_timeout_ms = 2000\n"));
    let start = Instant::now();
    let (status, text) = ask(address, "/sleep/600000");
    assert_eq!(status, 400);
    assert!(text.contains("call_timeout_ms"), "{text}");
    assert!(start.elapsed() < PROMPT);
}

#[test]
// [timing-6]
fn a_stop_interrupts_a_wait_with_err() {
    let scratch = Scratch::new();
    let (mut running, address) = actor(&scratch, "clock", TIMING);
    let waiting = std::thread::spawn(move || try_get(address, "/sleep/3600000"));
    running.wait_for_queued("/sleep/3600000");
    let (status, took) = running.stop();
    assert!(status.success(), "{status}");
    assert!(took < PROMPT, "{took:?}");
    drop(waiting.join().unwrap());
    let events = chain(&running.data, "clock");
    let waits = texts(&events, "host");
    assert!(waits.len() == 1 && waits[0].contains("err("), "{waits:?}");
    assert_eq!(texts(&events, "stopped"), ["by program"]);
}

/// Starts the actor and draws 20 bytes, an integer, a float and a UUID.
fn draw(handler: &str) -> [String; 4] {
    let scratch = Scratch::new();
    let (_running, address) = actor(&scratch, "dice", handler);
    ["/bytes/20", "/range/1/7", "/float", "/uuid"].map(|path| {
        let (status, text) = ask(address, path);
        assert_eq!(status, 200, "{path}: {text}");
        text
    })
}

#[test]
// [random-1 random-5]
fn seeded_dice_give_the_golden_values_at_every_start() {
    // Computed with another implementation of ChaCha20: key 7 as 8 little-endian bytes and 24 zeros, nonce 0.
    let golden =
        ["f19ee3b965429844e496af300ed6cb0ddf11e754", "5", "0.4245846483770761", "cec5fdef-3742-4c03-99fc-116ba7fa2ee5"];
    let seeded = "[[handlers]]\ntype = \"random\"\nconfig = { seed = 7 }\n";
    assert_eq!(draw(seeded), golden);
    assert_eq!(draw(seeded), golden);
}

#[test]
// [random-15]
fn what_was_drawn_stands_in_the_chain() {
    let scratch = Scratch::new();
    let (mut running, address) = actor(&scratch, "dice", "[[handlers]]\ntype = \"random\"\n");
    let (_, drawn) = ask(address, "/bytes/100");
    let (_, uuid) = ask(address, "/uuid");
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let texts = texts(&chain(&running.data, "dice"), "host");
    assert_eq!(texts, [format!("(100) -> ok(hex{drawn:?})"), format!("() -> ok({uuid:?})")]);
}

#[test]
// [random-6]
fn unseeded_dice_differ() {
    let unseeded = "[[handlers]]\ntype = \"random\"\n";
    let (one, other) = (draw(unseeded), draw(unseeded));
    assert_ne!(one[0], other[0]);
    assert_ne!(one[3], other[3]);
}

#[test]
// [random-2 random-3 random-8 random-12]
fn what_dice_cannot_do_is_err() {
    let scratch = Scratch::new();
    let random = "[[handlers]]\ntype = \"random\"\nmax_bytes = 16\nmax_int = 100\n";
    let (_running, address) = actor(&scratch, "dice", random);
    for (path, part) in [
        ("/bytes/17", "max_bytes"),
        ("/range/0/101", "max_int"),
        ("/range/5/5", "min has to be below max"),
        ("/range/6/5", "min has to be below max"),
    ] {
        let (status, text) = ask(address, path);
        assert_eq!(status, 400, "{path}");
        assert!(text.contains(part), "{path}: {text}");
    }
    assert_eq!(ask(address, "/bytes/0"), (200, String::new()));
    assert_eq!(ask(address, "/range/99/100"), (200, "99".into()));
}

fn env(handler: &str) -> (Scratch, Running, std::net::SocketAddr) {
    let scratch = Scratch::new();
    let path =
        scratch.write("env.toml", manifest("env", &format!("{HTTP}[[handlers]]\ntype = \"environment\"\n{handler}")));
    let variables = [("T_ONE", "1"), ("T_TWO", "zwei"), ("T_SECRET", "no"), ("OTHER_T", "no")];
    let running = Running::start_with(&scratch.path().join("data"), &[&path.display().to_string()], &variables);
    let address = running.address(0);
    (scratch, running, address)
}

#[test]
// [environment-1 environment-2 environment-4 environment-5 environment-8]
fn only_allowed_variables_are_there() {
    let allowed = "allowed_vars = [\"OTHER_T\"]\nallowed_prefixes = [\"T_\"]\ndenied_vars = [\"T_SECRET\", \"OTHER_T\"]\nallow_list_all = true\n";
    let (_scratch, mut running, address) = env(allowed);
    assert_eq!(ask(address, "/get/T_ONE"), (200, "1".into()));
    assert_eq!(ask(address, "/list"), (200, "T_ONE=1\nT_TWO=zwei".into()));
    assert_eq!(ask(address, "/exists/T_TWO"), (200, "true".into()));
    // Denied and missing variables are indistinguishable.
    for name in ["T_SECRET", "OTHER_T", "T_MISSING", "PATH"] {
        assert_eq!(ask(address, &format!("/exists/{name}")), (200, "false".into()), "{name}");
        let missing = (400, format!("the variable \"{name}\" is missing or not allowed"));
        assert_eq!(ask(address, &format!("/get/{name}")), missing);
    }
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let recorded = texts(&chain(&running.data, "env"), "host");
    assert_eq!(recorded[0], "(\"T_ONE\") -> some(\"1\")");
}

#[test]
// [environment-6 environment-9]
fn without_allow_list_all_the_list_is_empty_and_without_a_list_nothing_is_allowed() {
    let (_scratch, _running, address) = env("allowed_vars = [\"T_ONE\"]\n");
    assert_eq!(ask(address, "/list"), (200, String::new()));
    assert_eq!(ask(address, "/get/T_ONE").0, 200);
    let (_scratch, _running, address) = env("");
    assert_eq!(ask(address, "/get/T_ONE").0, 400);
}

#[test]
// [runtime-1 runtime-14 runtime-15]
fn an_actors_own_chain_links_and_equals_what_the_program_shows() {
    let scratch = Scratch::new();
    let (mut running, address) = actor(&scratch, "runtime-probe", "");
    assert_eq!(ask(address, "/log/hello"), (200, "ok".into()));
    let (status, text) = ask(address, "/chain");
    assert_eq!(status, 200);
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let events = chain(&running.data, "runtime-probe");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    assert!(lines.len() > 6, "{text}");
    let mut parent = "-";
    for (line, event) in lines.iter().zip(&events) {
        let [hash, its_parent, kind, length] = line[..] else { panic!("{line:?}") };
        assert_eq!(its_parent, parent, "{text}");
        // The first 8 bytes of the full hash, big-endian.
        assert_eq!(hash, &event["hash"].as_str().unwrap()[..16]);
        let expected = match event["type"].as_str().unwrap() {
            "queued" | "return" => "wasm".to_owned(),
            "host" => event["function"].as_str().unwrap().to_owned(),
            other => format!("runtime/{other}"),
        };
        assert_eq!(kind, expected);
        assert_eq!(length, event["bytes"].to_string());
        parent = hash;
    }
    // The result is the chain up to the call: the next event is the call itself.
    assert_eq!(events[lines.len()]["function"], "theater:simple/runtime/get-chain");
}

#[test]
// [runtime-2 runtime-9 runtime-10]
fn get_chain_gives_the_newest_events_that_the_config_allows() {
    let scratch = Scratch::new();
    let (mut running, address) =
        actor(&scratch, "runtime-probe", "[[handlers]]\ntype = \"runtime\"\nmax_chain_events = 2\n");
    let (_, text) = ask(address, "/chain");
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let events = chain(&running.data, "runtime-probe");
    let call = events.iter().position(|event| event["function"] == "theater:simple/runtime/get-chain").unwrap();
    let hashes: Vec<_> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let newest: Vec<_> = events[call - 2..call].iter().map(|event| &event["hash"].as_str().unwrap()[..16]).collect();
    assert_eq!(hashes, newest);
}

#[test]
// [runtime-1 runtime-3 runtime-4 runtime-5]
fn an_actors_log_is_on_stderr_with_its_name_and_with_control_characters_escaped() {
    let scratch = Scratch::new();
    let (running, address) = actor(&scratch, "runtime-probe", "");
    assert_eq!(ask(address, "/log/one%0Atwo%1B%5B31m"), (200, "ok".into()));
    let line = running.wait_for_error("one\\ntwo");
    assert!(line.contains("one\\ntwo\\u{1b}[31m"), "{line}");
    assert!(line.contains("runtime-probe"), "{line}");
    let id = running.wait_for_line("ready").split(' ').nth(1).unwrap()[..8].to_owned();
    assert!(line.contains(&id), "{line}");
}

#[test]
// [runtime-2 runtime-6 runtime-8]
fn the_log_level_silences_the_stream_and_the_chain_has_every_call() {
    let scratch = Scratch::new();
    let (mut running, address) =
        actor(&scratch, "runtime-probe", "[[handlers]]\ntype = \"runtime\"\nlog_level = \"error\"\n");
    assert_eq!(ask(address, "/log/psst"), (200, "ok".into()));
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let errors = running.all_errors();
    assert!(!errors.iter().any(|line| line.contains("psst")), "{errors:?}");
    assert_eq!(texts(&chain(&running.data, "runtime-probe"), "host"), ["(\"psst\") -> ()"]);
}

#[test]
// [runtime-7]
fn too_much_log_is_left_out_and_counted() {
    let scratch = Scratch::new();
    let runtime = "[[handlers]]\ntype = \"runtime\"\nmax_log_bytes_per_second = 8\n";
    let (mut running, address) = actor(&scratch, "runtime-probe", runtime);
    assert_eq!(ask(address, "/log/much-too-long-a-line"), (200, "ok".into()));
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let errors = running.all_errors().join("\n");
    assert!(!errors.contains("much-too-long-a-line"), "{errors}");
    assert!(errors.contains("1 line (20 bytes) left out: max_log_bytes_per_second is 8"), "{errors}");
    // The chain has the whole line.
    let events = chain(&running.data, "runtime-probe");
    assert!(
        events.iter().any(|event| event["text"].as_str().is_some_and(|text| text.contains("much-too-long-a-line")))
    );
}

#[test]
// [runtime-11 runtime-13]
fn shutdown_lets_the_call_finish_and_ends_the_program_with_success() {
    let scratch = Scratch::new();
    let (mut running, address) = actor(&scratch, "runtime-probe", "");
    let (status, text) = ask(address, "/shutdown/bye");
    assert_eq!(status, 200);
    let (first, second) = text.split_once('\n').unwrap();
    assert_eq!(first, "first: ok");
    assert!(second.starts_with("second: err: "), "{second}");
    let ended = running.wait();
    assert_eq!(ended.code(), Some(0));
    running.wait_for_line("runtime-probe stopped by shutdown");
    let events = chain(&running.data, "runtime-probe");
    let last = events.last().unwrap();
    assert_eq!((&last["type"], &last["text"]), (&"stopped".into(), &"by shutdown with b\"bye\"".into()));
}

#[test]
// [runtime-17]
fn calls_that_wait_while_the_actor_shuts_down_are_err() {
    let scratch = Scratch::new();
    let (mut running, address) = actor(&scratch, "runtime-probe", "");
    let first = std::thread::spawn(move || ask(address, "/late-shutdown/bye"));
    running.wait_for_queued("/late-shutdown/bye");
    let second = std::thread::spawn(move || ask(address, "/log/too-late"));
    running.wait_for_queued("/log/too-late");
    assert_eq!(first.join().unwrap(), (200, "ok".into()), "the running call finishes");
    let (status, text) = second.join().unwrap();
    assert_eq!(status, 503, "{text}");
    assert_eq!(running.wait().code(), Some(0));
}

#[test]
// [runtime-18]
fn a_shutdown_in_init_ends_the_start() {
    let scratch = Scratch::new();
    scratch.write("first", "shutdown");
    let text = manifest("runtime-probe", HTTP);
    let path = scratch.write("manifest.toml", format!("init_state = \"first\"\n{text}")).display().to_string();
    let data = scratch.path().join("data").display().to_string();
    let started = theater_tests::theater(&["run", "--data", &data, &path]);
    let told = String::from_utf8_lossy(&started.stderr);
    assert_eq!(started.status.code(), Some(1), "{told}");
    assert!(told.contains("[A0003]") && told.contains("it was asked to stop before it was ready"), "{told}");
    assert!(!String::from_utf8_lossy(&started.stdout).contains(" ready "), "{told}");
}

#[test]
fn get_chain_gives_no_more_than_fits_into_one_value() {
    let scratch = Scratch::new();
    let (_running, address) = actor(&scratch, "runtime-probe", "[limits]\nvalue_bytes = 4000\n");
    for number in 0..20 {
        assert_eq!(ask(address, &format!("/log/{number}")).0, 200);
    }
    let (status, text) = ask(address, "/chain");
    assert_eq!(status, 200, "{text}");
    let lines = text.lines().count();
    assert!((1..60).contains(&lines), "{lines} of more than 60 events:\n{text}");
    // The actor still answers.
    assert_eq!(ask(address, "/log/again").0, 200);
}
