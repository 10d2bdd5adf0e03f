//! Misbehaving guests, and the effects on their state and on other actors.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use theater_tests::{HTTP, Running, Scratch, chain, get, manifest, texts, theater, try_get, wait_until};

fn actor(scratch: &Scratch, name: &str, head: &str, tail: &str) -> (Running, SocketAddr) {
    Running::actor(scratch, &manifest(name, &format!("{head}{HTTP}{tail}")))
}

/// Checks that the request fails with 500, and that the program exits with 1 and reports the actor, the function and
/// the reason.
fn fails(name: &str, head: &str, limits: &str, path: &str, why: &str) {
    let scratch = Scratch::new();
    let head = format!("restart = \"never\"\n{head}");
    let (mut running, address) = actor(&scratch, name, &head, limits);
    assert_eq!(get(address, path).status, 500);
    assert_eq!(running.wait().code(), Some(1));
    let line = running.wait_for_error("error[A0005]");
    let start = format!("actor {name:?} failed in theater:simple/http-server/handle-request: ");
    assert!(line.contains(&start) && line.contains(why), "{line}");
    let events = chain(&running.data, name);
    let last = events.last().unwrap();
    assert_eq!(last["type"], "failed", "{last}");
    assert!(last["text"].as_str().unwrap().contains(why), "{last}");
}

#[test]
fn a_loop_is_interrupted_at_its_run_timeout() {
    let start = Instant::now();
    fails("looper", "", "[limits]\nrun_timeout_ms = 200\n", "/loop", "run_timeout_ms = 200");
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[test]
fn a_loop_is_interrupted_at_its_call_timeout() {
    let limits = "[limits]\ncall_timeout_ms = 200\nrun_timeout_ms = 600000\n";
    fails("looper", "", limits, "/loop", "call_timeout_ms = 200");
}

#[test]
fn an_allocator_is_stopped_at_its_memory_limit() {
    fails("allocator", "", "[limits]\nmemory_bytes = 33554432\n", "/alloc", "memory_bytes = 33554432");
}

#[test]
fn a_trap_a_panic_and_a_full_stack_end_the_actor_and_say_so() {
    fails("trapper", "", "", "/trap", "unreachable");
    fails("trapper", "", "", "/panic", "unreachable");
    fails("trapper", "", "", "/overflow", "stack");
}

#[test]
fn an_err_ends_an_actor_that_is_to_fail_on_errors() {
    fails("trapper", "on_error = \"fail\"\n", "", "/err", "asked to fail");
}

#[test]
// [http-server-7]
fn an_err_leaves_the_actor_alive_and_the_client_does_not_see_its_text() {
    let scratch = Scratch::new();
    let (mut running, address) = actor(&scratch, "trapper", "on_error = \"continue\"\n", "");
    let refused = get(address, "/err");
    assert_eq!(refused.status, 500);
    assert!(!refused.text().contains("asked to fail"), "{refused:?}");
    assert_eq!(get(address, "/").status, 200);
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let returns = texts(&chain(&running.data, "trapper"), "return");
    assert!(returns[1].starts_with("err(\"asked to fail\")"), "{returns:?}");
    assert!(returns[2].starts_with("ok("), "{returns:?}");
}

#[test]
fn a_big_state_lasts_and_only_changes_are_recorded() {
    const SIZE: usize = 20_000_000;
    let scratch = Scratch::new();
    let (mut running, address) = actor(&scratch, "big-state", "", "");
    for path in [&format!("/set/{SIZE}"), "/touch", "/read"] {
        let response = get(address, path);
        assert_eq!((response.status, response.text().trim_end()), (200, SIZE.to_string().as_str()), "{path}");
    }
    assert!(running.stop().0.success());
    let returns = texts(&chain(&running.data, "big-state"), "return");
    let state = |number: usize| returns[number].split_once("host calls, ").unwrap().1.to_owned();
    let of_size = format!("state of {SIZE} bytes, ");
    assert!(state(1).starts_with(&of_size) && state(2).starts_with(&of_size), "{returns:?}");
    assert_ne!(state(1), state(2));
    assert_eq!(state(3), "state unchanged");
}

#[test]
fn a_count_in_a_global_is_gone_after_init() {
    let scratch = Scratch::new();
    let (mut running, address) = actor(&scratch, "hidden-global", "", "");
    assert_eq!(get(address, "/").status, 500);
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let returns = texts(&chain(&running.data, "hidden-global"), "return");
    assert!(returns[1].contains("the static that init set is gone"), "{returns:?}");
}

#[test]
fn a_count_in_a_global_lasts_in_an_instance_that_is_kept() {
    let scratch = Scratch::new();
    let (mut running, address) = actor(&scratch, "hidden-global", "instance = \"kept\"\n", "[limits]\nidle_ms = 1\n");
    assert_eq!((get(address, "/").text(), get(address, "/").text()), ("1\n".to_owned(), "2\n".to_owned()));
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    assert_eq!(texts(&chain(&running.data, "hidden-global"), "instance"), ["1 (start)"]);
}

#[test]
fn a_fresh_instance_is_a_new_one_for_each_call() {
    let scratch = Scratch::new();
    let (mut running, address) = actor(&scratch, "hello-http", "instance = \"fresh\"\n", "");
    for number in 1..=3 {
        assert_eq!(get(address, "/").text(), format!("Hello! You are visitor number {number}.\n"));
    }
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    let instances = texts(&chain(&running.data, "hello-http"), "instance");
    assert_eq!(instances.len(), 4, "{instances:?}");
    assert_eq!(instances[2..], ["3 (fresh)", "4 (fresh)"]);
}

#[test]
fn an_idle_actor_loses_its_instance_and_keeps_its_state() {
    let scratch = Scratch::new();
    let (running, address) = actor(&scratch, "hello-http", "", "[limits]\nidle_ms = 1\n");
    let mut visits = 0;
    wait_until("an instance after idle time", || {
        visits += 1;
        assert_eq!(get(address, "/").text(), format!("Hello! You are visitor number {visits}.\n"));
        let instances = texts(&chain(&running.data, "hello-http"), "instance");
        instances.iter().any(|text| text.ends_with("(idle)")).then_some(())
    });
}

#[test]
fn an_init_that_fails_ends_the_program_and_frees_the_port() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let scratch = Scratch::new();
    let http = format!("[[handlers]]\ntype = \"http-server\"\nport = {}\n", free.port());
    let path = scratch.write("a.toml", manifest("init-fails", &http)).display().to_string();
    let data = scratch.path().join("data");
    let output = theater(&["run", "--data", &data.display().to_string(), &path]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("error[A0001] actor \"init-fails\" did not start: init returned err: init refused"),
        "{said}"
    );
    let events = chain(&data, "init-fails");
    assert_eq!(events.last().unwrap()["type"], "failed");
    TcpListener::bind(free).unwrap();
}

#[test]
fn an_init_that_fails_frees_its_port_and_leaves_the_other_actors_alone() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let scratch = Scratch::new();
    let http = format!("[[handlers]]\ntype = \"http-server\"\nport = {}\n", free.port());
    let first = scratch.write("first.toml", manifest("init-fails", &http)).display().to_string();
    let second = scratch.write("second.toml", manifest("hello-http", HTTP)).display().to_string();
    let mut running = Running::start(&scratch.path().join("data"), &[&first, &second]);
    running.wait_for_error("init refused");
    let address = running.address(0);
    TcpListener::bind(free).unwrap();
    assert_eq!(get(address, "/").status, 200);
    // A failure at the start still determines the exit code.
    assert_eq!(running.stop().0.code(), Some(1));
    assert_eq!(chain(&running.data, "hello-http").last().unwrap()["text"], "by program");
}

#[test]
fn an_actor_answers_while_another_one_loops() {
    let scratch = Scratch::new();
    let looper =
        scratch.write("looper.toml", manifest("looper", &format!("restart = \"never\"\n{HTTP}"))).display().to_string();
    let hello = scratch.write("hello.toml", manifest("hello-http", HTTP)).display().to_string();
    let mut running = Running::start(&scratch.path().join("data"), &[&looper, &hello]);
    let (looping, answering) = (running.address(0), running.address(1));
    let request = std::thread::spawn(move || try_get(looping, "/loop"));
    running.wait_for_queued("/loop");
    let start = Instant::now();
    for number in 1..=20 {
        assert_eq!(get(answering, "/").text(), format!("Hello! You are visitor number {number}.\n"));
    }
    let took = start.elapsed();
    // The loop runs for 5 s: requests that had waited for it would have taken longer.
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(!request.is_finished(), "the loop was over");
    assert_eq!(request.join().unwrap().unwrap().status, 500);
    // The looping actor has failed and the other one still answers. The exit code reports the failure.
    assert_eq!(get(answering, "/").status, 200);
    assert_eq!(running.stop().0.code(), Some(1));
}
