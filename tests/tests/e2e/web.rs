//! Actors and the network: outgoing requests, TLS on both sides, components from URLs.

use std::net::TcpStream;
use std::path::PathBuf;

use serde_json::{Value, json};
use theater_certificates::Authority;
use theater_tests::talk::{TALK, ask, start, try_ask};
use theater_tests::{Running, Scratch, chain, component, manifest, texts, wait_until};

/// Creates a certificate authority and a certificate for localhost next to it, and returns the authority's file.
fn certificates(scratch: &Scratch) -> PathBuf {
    let authority = Authority::new(scratch.path());
    let _ = authority.sign("localhost", false);
    authority.file()
}

/// Starts an actor that serves a folder over HTTPS, and returns the program and the port.
fn secure_files(scratch: &Scratch, folder: &str) -> (Running, u16) {
    let handlers = format!(
        "[[handlers]]\ntype = \"http-server\"\nconfig = {{ tls = {{ cert_path = \"localhost.pem\", key_path = \"localhost-key.pem\" }}, \
         tls_files = [\"localhost.pem\", \"localhost-key.pem\"] }}\n\
         [[handlers]]\ntype = \"filesystem\"\nconfig = {{ path = {folder:?}, read = true }}\n"
    );
    let path = scratch.write("files.toml", manifest("files", &handlers)).display().to_string();
    let running = Running::start(&scratch.path().join("files-data"), &[&path]);
    let line = running.wait_for_line("https://");
    (running, line.rsplit(':').next().unwrap().trim().parse().unwrap())
}

#[test]
// [http-client-32]
fn requests_and_responses_stand_whole_in_the_chain() {
    let scratch = Scratch::new();
    let ca = certificates(&scratch);
    std::fs::create_dir(scratch.path().join("site")).unwrap();
    scratch.write("site/page.txt", "the page");
    let (mut server, port) = secure_files(&scratch, "site");
    let client = |hosts: &str| {
        format!(
            "{TALK}[[handlers]]\ntype = \"http-client\"\nconfig = {{ allowed_hosts = [{hosts}], allow_private_addresses = \
             true, ca_files = [{:?}] }}\n",
            ca.display().to_string()
        )
    };
    let (mut running, at) = start(&scratch, &[("fetch", &client("\"localhost\""))]);
    let uri = format!("https://localhost:{port}/page.txt?a=b");
    let response = ask(at[0], "send", json!({ "uri": uri, "headers": [["x-asked", "1"], ["x-asked", "2"]] }));
    assert_eq!((&response["status"], &response["body"]), (&json!(200), &json!("the page")));
    assert_eq!(ask(at[0], "send", json!({ "method": "HEAD", "uri": uri }))["body"], Value::Null);
    let refused = |uri: &str| try_ask(at[0], "send", json!({ "uri": uri })).unwrap_err();
    assert!(refused(&format!("https://127.0.0.1:{port}/")).contains("allowed_hosts"));
    assert!(refused("https://example.com/").contains("allowed_hosts = [\"example.com\"]"));
    assert!(refused("/page.txt").contains("an absolute one is needed"));
    assert!(running.stop().0.success() && server.stop().0.success());
    let events = chain(&running.data, "fetch");
    let hosts = texts(&events, "host").join("\n");
    for recorded in [uri.as_str(), "x-asked", "the page", "text/plain", "status: 200"] {
        assert!(hosts.contains(recorded), "{recorded} in {hosts}");
    }
    assert!(texts(&events, "intent").iter().any(|text| text.contains(&uri)));
}

#[test]
fn a_component_comes_over_https_once_its_digest_is_in_the_manifest() {
    let scratch = Scratch::new();
    let ca = certificates(&scratch);
    std::fs::create_dir(scratch.path().join("components")).unwrap();
    std::fs::copy(component("counter"), scratch.path().join("components/counter.wasm")).unwrap();
    let (mut server, port) = secure_files(&scratch, "components");
    let run = |url: &str, more: &str, trusted: &str| {
        let text = format!("name = \"counter\"\ncomponent = \"{url}\"\n{more}{TALK}");
        let path = scratch.write("counter.toml", text).display().to_string();
        let arguments = [path.as_str(), "--request", r#"counter={"type":"get"}"#];
        let mut running = Running::start_with(&scratch.path().join("data"), &arguments, &[("SSL_CERT_FILE", trusted)]);
        wait_until("its end", || running.has_ended().then_some(()));
        let status = running.wait();
        (status.success(), running.lines().join("\n") + &running.all_errors().join("\n"))
    };
    let ca = ca.display().to_string();
    let url = format!("https://localhost:{port}/counter.wasm");
    let (well, said) = run(&url, "", &ca);
    assert!(!well && said.contains("[C0015]") && said.contains("does not name its sha256"), "{said}");
    let line = said.lines().find_map(|line| line.split("sha256 = ").nth(1)).unwrap().to_owned();
    let (well, said) = run(&url, &format!("sha256 = {line}\n"), &ca);
    assert!(well && said.contains("\"count\":0"), "{said}");
    let (well, said) = run(&url, &format!("sha256 = \"{}\"\n", "0".repeat(64)), &ca);
    assert!(!well && said.contains("[C0013]"), "{said}");
    let (well, said) = run(&url.replace("counter.wasm", "missing.wasm"), "", &ca);
    assert!(!well && said.contains("status 404"), "{said}");
    // An authority that the system does not trust is rejected.
    let stranger = Scratch::new();
    let other = certificates(&stranger);
    let (well, said) = run(&url, &format!("sha256 = {line}\n"), &other.display().to_string());
    assert!(!well && said.contains("TLS failed"), "{said}");
    assert!(server.stop().0.success());
}

#[test]
// [websocket-server-28]
fn websockets_are_served_and_what_was_said_stands_in_the_chain() {
    let scratch = Scratch::new();
    let handlers = "[[handlers]]\ntype = \"websocket-server\"\nconfig = { path = \"/ws\" }\n";
    let path = scratch.write("parrot.toml", manifest("parrot", handlers)).display().to_string();
    let mut running = Running::start(&scratch.path().join("data"), &[&path]);
    let line = running.wait_for_line("ws://");
    let url = line.split_whitespace().last().unwrap().to_owned();
    let address = url.strip_prefix("ws://").unwrap().split('/').next().unwrap().to_owned();
    let open = || tungstenite::client(url.as_str(), TcpStream::connect(&address).unwrap()).unwrap().0;
    // One after the other, because the order of two simultaneous connections is undefined.
    let mut one = open();
    assert_eq!(one.read().unwrap().to_string(), "you are client 1, one of 1");
    let mut other = open();
    assert_eq!(other.read().unwrap().to_string(), "you are client 2, one of 2");
    other.send(tungstenite::Message::text("pieces of eight")).unwrap();
    assert_eq!(other.read().unwrap().to_string(), "pieces of eight");
    one.close(None).unwrap();
    while one.read().is_ok() {}
    wait_until("the end of the first in the chain", || {
        texts(&chain(&running.data, "parrot"), "queued").iter().any(|text| text.contains("ty: close")).then_some(())
    });
    let (status, took) = running.stop();
    assert!(status.success() && took < theater_tests::PROMPT, "{status} {took:?}");
    let close = std::iter::from_fn(|| other.read().ok()).last().unwrap();
    assert!(matches!(close, tungstenite::Message::Close(Some(frame)) if u16::from(frame.code) == 1001));
    let events = chain(&running.data, "parrot");
    let queued = texts(&events, "queued").join("\n");
    for recorded in ["websocket 2 from 127.0.0.1:", "pieces of eight", "connect", "close"] {
        assert!(queued.contains(recorded), "{recorded} in {queued}");
    }
    assert!(texts(&events, "return").iter().any(|text| text.contains("pieces of eight")));
}

#[test]
// [websocket-server-1]
fn an_actor_without_the_export_does_not_start_with_a_websocket_server() {
    let scratch = Scratch::new();
    let path = scratch.write("counter.toml", manifest("counter", "[[handlers]]\ntype = \"websocket-server\"\n"));
    let output = theater_tests::theater(&["validate", &path.display().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("handle-message") && said.contains("websocket-server"), "{said}");
}
