//! Messages to actors, from outside and from each other.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;
use theater_tests::talk::{TALK, ask, ask_until, manifests, post, start, tell, try_ask};
use theater_tests::{Scratch, chain, json_lines, repository, theater, wait_until};

fn verified(data: &Path) {
    let output = theater(&["chain", "verify", "--data", &data.display().to_string()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_manifest_is_started_asked_and_ended_in_one_command() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data").display().to_string();
    let counter = repository().join("manifests/counter.toml").display().to_string();
    let add = r#"counter={"type":"increment","payload":{"by":40}}"#;
    let get = r#"counter={"type":"get"}"#;
    let run = ["run", "-o", "json", "--data", &data, &counter, "--request", get, "--send", add, "--request", get];
    let output = theater(&run);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let counts: Vec<_> = json_lines(&output.stdout)
        .iter()
        .filter(|line| line["event"] == "request")
        .map(|line| line["result"]["payload"]["count"].as_u64())
        .collect();
    assert_eq!(counts, [Some(0), Some(40)], "in the order of the command line");
    let unknown = theater(&["run", "--data", &data, &counter, "--request", "nobody={}"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("nobody"));
    let no_json = theater(&["run", "--data", &data, &counter, "--request", "counter=hello"]);
    assert_eq!(no_json.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&no_json.stderr).contains("not JSON"));
    let help = theater(&["run", "--help"]);
    assert!(String::from_utf8_lossy(&help.stdout).contains("--request <ACTOR=JSON>"));
}

#[test]
// [msg-3 msg-39]
fn rounds_by_request_and_by_send_get_the_answers_that_belong_to_them_and_are_traced_end_to_end() {
    let scratch = Scratch::new();
    let (mut running, at) = start(&scratch, &[("ping", TALK), ("pong", TALK)]);
    for action in ["request", "send"] {
        let start = json!({"type": "start", "action": action, "payload": {"to": "pong", "count": 20}});
        assert_eq!(post(at[0], "/send", start.to_string().as_bytes()).status, 202);
        let report = ask_until(at[0], "report", |report| (report["done"] == true).then(|| report.clone()));
        assert_eq!((&report["right"], &report["wrong"]), (&json!(20), &json!(0)), "{action}");
    }
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    verified(&running.data);
    let of_pong = chain(&running.data, "pong");
    let arrived = of_pong.iter().rfind(|event| event["type"] == "queued" && !event["cause"].is_null()).unwrap();
    let of_ping = chain(&running.data, "ping");
    let sent = of_ping.iter().find(|event| event["hash"] == arrived["cause"]["hash"]).expect("the cause is ping's");
    assert_eq!(sent["type"], "host", "a message's cause is the sender's own call");
    let data = running.data.display().to_string();
    let hash = &arrived["hash"].as_str().unwrap()[..16];
    let by_hash = theater(&["trace", hash, "--data", &data]);
    let by_place = theater(&["trace", &format!("pong:{}", arrived["sequence"]), "--data", &data]);
    assert_eq!(by_hash.stdout, by_place.stdout);
    let text = String::from_utf8(by_hash.stdout).unwrap();
    let depth = |what: &str| {
        let line = text.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what} in\n{text}"));
        line.len() - line.trim_start().len()
    };
    assert_eq!(depth("start"), 0, "{text}");
    assert!(depth("message-server-host/send") > 0 && text.matches("handle-send").count() > 40, "{text}");
    let nothing = theater(&["trace", "ping:99999", "--data", &data]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("there is no event ping:99999"));
}

#[test]
fn what_is_published_comes_to_all_who_subscribed_in_order_until_they_close() {
    let scratch = Scratch::new();
    let one = format!("{TALK}\n[limits]\nmailbox_size = 50\n");
    let (mut running, at) = start(&scratch, &[("broker", TALK), ("subscriber", &one)]);
    let subscribe = json!({"broker": "broker", "topic": "news"});
    assert!(ask(at[1], "subscribe", subscribe)["channel"].is_string());
    ask_until(at[1], "report", |report| (report["confirmed"] == json!(["news"])).then_some(()));
    for number in 0..20 {
        let delivered = ask(at[0], "publish", json!({"topic": "news", "data": number}));
        assert_eq!(delivered["delivered"], 1);
    }
    assert_eq!(ask(at[0], "publish", json!({"topic": "other", "data": 1}))["delivered"], 0);
    let events: Vec<_> = (0..20).map(|number| json!({"topic": "news", "data": number})).collect();
    ask_until(at[1], "report", |report| (report["events"] == json!(events)).then_some(()));
    let _ = ask(at[1], "unsubscribe", json!({"topic": "news"}));
    ask_until(at[1], "report", |report| (report["closed"] == json!(["news"])).then_some(()));
    ask_until(at[0], "topics", |topics| (*topics == json!({})).then_some(()));
    assert!(try_ask(at[1], "publish", json!({"topic": "news", "data": 1})).is_err(), "the channel is closed");
    let refused = try_ask(at[1], "subscribe", json!({"broker": "subscriber", "topic": "news"})).unwrap_err();
    assert!(refused.contains("itself"), "{refused}");
    let nobody = try_ask(at[1], "subscribe", json!({"broker": "nobody", "topic": "news"})).unwrap_err();
    assert!(nobody.contains("nobody"), "{nobody}");
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
    verified(&running.data);
}

#[test]
fn the_port_takes_messages_as_http_says() {
    let scratch = Scratch::new();
    let (_running, at) = start(&scratch, &[("counter", TALK)]);
    let add = br#"{"type":"increment","payload":{"by":2}}"#;
    assert_eq!(post(at[0], "/send", add).status, 202);
    ask_until(at[0], "get", |counter| (counter["count"] == 2).then_some(()));
    assert_eq!(post(at[0], "/elsewhere", add).status, 404);
    let raw = |head: &str| {
        let request = format!("{head}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        theater_tests::exchange(at[0], request.as_bytes()).unwrap().status
    };
    assert_eq!(raw(&format!("GET /send HTTP/1.1\r\nHost: {}", at[0])), 405);
    assert_eq!(raw("POST /send HTTP/1.1\r\nHost: evil.example"), 421);
    assert_eq!(raw(&format!("POST /send HTTP/1.1\r\nHost: {}\r\nOrigin: http://evil.example", at[0])), 403);
    assert_eq!(post(at[0], "/request", b"no message").status, 500);
}

fn refused(address: SocketAddr, to: &str) -> String {
    let start = json!({"type": "start", "action": "send", "payload": {"to": to, "count": 1}});
    let response = post(address, "/request", start.to_string().as_bytes());
    response.text()
}

#[test]
fn a_message_nobody_takes_or_may_send_is_err_with_the_reason() {
    let scratch = Scratch::new();
    let shy = "[[handlers]]\ntype = \"message-server\"\nconfig = { port = 0, allow_from = [\"somebody\"] }\n";
    let bound = "[[handlers]]\ntype = \"message-server\"\nconfig = { port = 0, allow_to = [\"counter\"] }\n";
    let deaf = "[[handlers]]\ntype = \"http-server\"\nconfig = { port = 0 }\n";
    let all = [("ping", TALK), ("pong", shy), ("counter", bound), ("hello-http", deaf)];
    let (_running, at) = start(&scratch, &all);
    assert!(refused(at[0], "nobody").contains("nobody"));
    assert!(refused(at[0], "pong").contains("allow_from"), "{}", refused(at[0], "pong"));
    let deaf = refused(at[0], "hello-http");
    assert!(deaf.contains("message-server"), "{deaf}");
    let itself = json!({"type": "start", "action": "request", "payload": {"to": "ping", "count": 1}});
    let own = post(at[0], "/request", itself.to_string().as_bytes()).text();
    assert!(own.contains("\"wrong\":1"), "a request to oneself never ends, so it is refused at once: {own}");
}

#[test]
fn a_message_that_does_not_fit_the_schema_is_err_for_its_sender() {
    let scratch = Scratch::new();
    let schema = r#"[[handlers]]
type = "message-server"
[handlers.config]
port = 0
[handlers.config.schemas.handle-request]
type = "object"
required = ["type"]
"#;
    let (_running, at) = start(&scratch, &[("counter", schema)]);
    assert_eq!(post(at[0], "/request", br#"{"kind":"get"}"#).status, 400);
    assert_eq!(post(at[0], "/request", br#"{"type":"get"}"#).status, 200);
}

#[test]
fn a_request_waits_until_another_call_answers_or_cancels_it() {
    let scratch = Scratch::new();
    let handlers = format!("{TALK}[[handlers]]\ntype = \"http-framework\"\n[[handlers]]\ntype = \"store\"\n");
    let (mut running, at) = start(&scratch, &[("switchboard", &handlers)]);
    for (kind, status, text) in [("respond-to-request", 200, "later"), ("cancel-request", 500, "")] {
        let waiting = std::thread::spawn({
            let address = at[0];
            move || post(address, "/request", br#"{"type":"wait"}"#)
        });
        ask_until(at[0], "list-outstanding-requests", |listed| {
            (listed["ok"].as_array().unwrap().len() == 2).then_some(())
        });
        // The list also has the current request, after the deferred one.
        let listed = ask(at[0], "list-outstanding-requests", json!({}))["ok"].clone();
        let _ = ask(at[0], kind, json!({"request": listed[0], "content": text}));
        let answer = waiting.join().unwrap();
        assert_eq!((answer.status, answer.text() == text), (status, status == 200), "{}", answer.text());
        assert!(try_ask(at[0], kind, json!({"request": listed[0]})).is_err(), "once");
    }
    assert!(running.stop().0.success());
    theater_tests::replays(&running.data);
}

#[test]
fn chatters_lose_and_double_nothing() {
    let scratch = Scratch::new();
    let paths = manifests(&scratch, &[("chatter", TALK)]);
    let again: Vec<&str> = (0..6).map(|_| paths[0].as_str()).collect();
    let running = theater_tests::Running::start(&scratch.path().join("data"), &again);
    let at: Vec<SocketAddr> = (0..6).map(|number| running.address(number)).collect();
    let ids: Vec<String> = running
        .lines()
        .iter()
        .filter(|line| line.contains(" ready"))
        .map(|line| line.split(' ').nth(1).unwrap().to_owned())
        .collect();
    for (seed, address) in at.iter().enumerate() {
        tell(*address, "go", json!({"to": ids, "count": 500, "seed": seed}));
    }
    let reports = wait_until("all messages", || {
        let all: Vec<_> = at.iter().map(|address| ask(*address, "report", json!({}))).collect();
        let sum = |report: &serde_json::Value, key: &str| -> u64 {
            report[key].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
        };
        let accepted: u64 = all.iter().map(|report| sum(report, "accepted")).sum();
        let received: u64 = all.iter().map(|report| sum(report, "received")).sum();
        (accepted == 3000 && received == 3000).then_some(all)
    });
    for report in &reports {
        assert_eq!(report["out_of_order"], 0, "{report}");
    }
    for (from, report) in ids.iter().zip(&reports) {
        for (to, other) in ids.iter().zip(&reports) {
            assert_eq!(report["accepted"][to], other["received"][from], "{from} to {to}");
        }
    }
}
