use std::path::Path;

use serde_json::json;

use super::{Limits, Manifest, OnError, Restart, RestartPolicy, Values};
use crate::support::error::Error;

fn read(text: &str) -> Result<Manifest, Error> {
    Manifest::parse(Path::new("a.toml"), Path::new("."), text, &Values::new())
}

fn refused(text: &str) -> String {
    let error = read(text).unwrap_err();
    let help = error.help().map(|help| format!(" | {help}")).unwrap_or_default();
    format!("{} {error}{help}", error.code())
}

const HEAD: &str = "name = \"a\"\ncomponent_path = \"a.wasm\"\n";

#[test]
fn a_manifest_of_the_seed_reads_as_it_stands() {
    let manifest = read(
        "name = \"counter-actor\"\ncomponent_path = \"counter.wasm\"\n[interface]\nimplements = [\n\"ntwk:theater/actor\",\n\
         \"ntwk:theater/http-server\"\n]\nrequires = [\n\"ntwk:theater/message-server-host\"\n]\n[[handlers]]\n\
         type = \"message-server\"\nconfig = {}\n[[handlers]]\ntype = \"http-server\"\nconfig = { port = 8080 }\n",
    )
    .unwrap();
    assert_eq!(manifest.implements, ["theater:simple/actor", "theater:simple/http-server"]);
    assert_eq!(manifest.handlers[1].config, json!({"port": 8080}));
    assert_eq!((manifest.limits, manifest.on_error), (Limits::default(), OnError::Continue));
}

#[test]
fn flat_keys_are_a_config() {
    let manifest = read(&format!("{HEAD}[[handler]]\ntype = \"x\"\nport = 1\n")).unwrap();
    assert_eq!(manifest.handlers[0].config, json!({"port": 1}));
}

#[test]
fn mistakes_are_told_with_their_line_and_what_to_do() {
    assert_eq!(
        refused("name = \"a\"\ncomponent_pth = \"a.wasm\"\n"),
        "M0003 a.toml:2: unknown key \"component_pth\" | did you mean \"component_path\"?"
    );
    assert_eq!(refused("name = 1\n"), "M0004 a.toml:1: name is a number, it takes a string | write name = \"..\"");
    assert_eq!(
        refused("name = \"a\"\n"),
        "M0005 a.toml: component_path is missing | add a line like component_path = \"my_actor.wasm\""
    );
    assert_eq!(
        refused(&format!("{HEAD}[[handlers]]\ntype = \"x\"\nport = 1\nconfig = {{}}\n")),
        "M0006 a.toml:3: handler \"x\" has both a config table and keys next to it: port | put all of them into config = { .. }, or all next to type"
    );
    assert_eq!(
        refused("name = \"a\"\ncomponent_path = \"${where}/a.wasm\"\n"),
        "M0007 a.toml:2: ${where} has no value and no default; give one with --set where=VALUE, or write ${where:-DEFAULT}"
    );
    assert!(refused("name = \"a\n").starts_with("M0002 a.toml:1: not TOML: "), "{}", refused("name = \"a\n"));
    assert_eq!(
        refused(&format!("{HEAD}[limits]\nmemory_bytes = -1\n")),
        "M0009 a.toml:4: memory_bytes: -1 is not a number of 0 or more | write a whole number"
    );
    assert_eq!(
        refused(&format!("{HEAD}on_error = \"panic\"\n")),
        "M0009 a.toml:3: on_error: \"panic\" is not known | write one of \"continue\", \"fail\""
    );
}

#[test]
fn values_are_escaped_in_strings_and_numbers_elsewhere() {
    let values: Values = [("dir".to_owned(), json!("a\"b\\c")), ("port".to_owned(), json!(80))].into_iter().collect();
    let text = "name = \"x\"\ncomponent_path = \"${dir}.wasm\" # ${nothing}\n[[handlers]]\ntype = \"t\"\n\
                config = { port = ${port}, other = ${missing:-7}, word = \"$${literal}\" }\n";
    let manifest = Manifest::parse(Path::new("a.toml"), Path::new("."), text, &values).unwrap();
    assert_eq!(manifest.component, "a\"b\\c.wasm");
    assert_eq!(manifest.handlers[0].config, json!({"port": 80, "other": 7, "word": "${literal}"}));
    let words: Values = [("port".to_owned(), json!("eighty"))].into_iter().collect();
    let error = Manifest::parse(Path::new("a.toml"), Path::new("."), "name = ${port}\n", &words).unwrap_err();
    assert!(error.to_string().contains("outside a string"), "{error}");
}

#[test]
fn a_childs_limits_are_bounded_key_by_key() {
    let parent = Limits { memory_bytes: 100, call_timeout_ms: 0, tree_bytes: 50, depth: 3, ..Limits::default() };
    let asked =
        Limits { memory_bytes: 4 << 30, call_timeout_ms: 7, tree_bytes: 0, mailbox_size: 5, ..Limits::default() };
    let child = asked.within(&parent.for_children());
    let expected = (100, 7, 50, 5, 2);
    assert_eq!(
        (child.memory_bytes, child.call_timeout_ms, child.tree_bytes, child.mailbox_size, child.depth),
        expected,
        "0 is no limit where it means none, and then the other side's counts"
    );
    assert_eq!(
        Limits { call_timeout_ms: 0, ..asked }.within(&Limits { call_timeout_ms: 9, ..parent }).call_timeout_ms,
        9
    );
    assert_eq!(asked.within(&Limits::unbounded()), asked);
    let none = Limits { depth: 0, ..parent };
    assert_eq!(none.for_children().depth, 0);
}

#[test]
fn the_restart_policy_of_a_top_level_actor_has_defaults() {
    let policy = |text: &str| read(&format!("{text}{HEAD}")).unwrap().restarts;
    assert_eq!(policy(""), RestartPolicy { restart: Restart::OnFailure, max_restarts: 3, window_ms: 5_000 });
    let said = "restart = \"always\"\nmax_restarts = 0\nrestart_window_ms = 7\n";
    assert_eq!(policy(said), RestartPolicy { restart: Restart::Always, max_restarts: 0, window_ms: 7 });
    assert!(refused(&format!("restart = \"sometimes\"\n{HEAD}")).contains("on-failure"));
    assert!(refused(&format!("save_chain = 1\n{HEAD}")).contains("true or false"));
}
