//! Operator tasks: replacing plugins without rebuilding the core, and every command with text and JSON output.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value as Json;
use theater_tests::{
    HTTP, OURS, Running, Scratch, build_folder, chain, component, get, json_lines, manifest, plugin_folder, repository,
    texts, theater, wait_until,
};

fn digest(path: &Path) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(std::fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Builds acme's plugin with this version from a copy of its sources outside the repository.
fn greeter_of_version(scratch: &Scratch, version: &str) -> std::path::PathBuf {
    let source = repository().join("tests/acme-greeter");
    let copy = scratch.path().join(format!("acme-greeter-{version}"));
    let copied = Command::new("cp").args(["-rL"]).arg(&source).arg(&copy).status().unwrap();
    assert!(copied.success());
    let api = repository().join("plugin-api").display().to_string();
    let manifest = std::fs::read_to_string(copy.join("Cargo.toml")).unwrap();
    let manifest = manifest.replace("version = \"1.0.0\"", &format!("version = {version:?}"));
    std::fs::write(copy.join("Cargo.toml"), manifest.replace("../../plugin-api", &api)).unwrap();
    // All versions share one target folder, so that their dependencies are built once.
    let target = build_folder().parent().unwrap().join("outside/acme-greeter-versions");
    let status = theater_tests::cargo()
        .current_dir(&copy)
        .args(["build", "--quiet", "--lib"])
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .unwrap();
    assert!(status.success());
    let built = scratch.path().join(format!("libacme_greeter-{version}.so"));
    std::fs::copy(target.join("debug/libacme_greeter.so"), &built).unwrap();
    built
}

fn ok(arguments: &[&str]) -> Output {
    let output = theater(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(arguments: &[&str]) -> String {
    String::from_utf8(ok(arguments).stdout).unwrap()
}

fn objects(arguments: &[&str]) -> Vec<Json> {
    json_lines(&ok(&[&["-o", "json"], arguments].concat()).stdout)
}

#[test]
fn a_newer_build_of_a_plugin_is_used_from_the_next_start_on_and_the_chains_say_which() {
    let scratch = Scratch::new();
    let folder = plugin_folder(&scratch);
    let (plugins, data) = (folder.display().to_string(), scratch.path().join("data"));
    let (old, new) = (greeter_of_version(&scratch, "1.0.0"), greeter_of_version(&scratch, "1.1.0"));
    let (old_digest, new_digest) = (digest(&old), digest(&new));
    let file = folder.join("libacme_greeter.so");
    let greeter = manifest("greeter", &format!("{HTTP}[[handlers]]\ntype = \"acme:greeter\"\n"));
    let path = scratch.write("greeter.toml", greeter).display().to_string();
    let listed = || {
        let all = objects(&["plugin", "list", "--plugins", &plugins]);
        let greeter = all.into_iter().find(|plugin| plugin["name"] == "acme-greeter").unwrap();
        (greeter["version"].as_str().unwrap().to_owned(), greeter["digest"].as_str().unwrap().to_owned())
    };
    let mut ids = Vec::new();
    for (built, version, digest) in [(&old, "1.0.0", &old_digest), (&new, "1.1.0", &new_digest)] {
        // Like an operator: replace the file while the program is not running.
        std::fs::remove_file(&file).ok();
        std::fs::copy(built, &file).unwrap();
        assert_eq!(listed(), (version.to_owned(), digest.clone()));
        let short = text(&["plugin", "list", "--plugins", &plugins]);
        assert!(short.lines().any(|line| line.starts_with("acme-greeter") && line.contains(version)), "{short}");
        let mut running = Running::start(&data, &["--plugins", &plugins, &path]);
        let address = running.address(0);
        assert_eq!(get(address, "/greet/Ada").text(), "Hello, dear Ada! *smile, clap*\n");
        ids.push(running.wait_for_line("ready").split(' ').nth(1).unwrap().to_owned());
        assert!(running.stop().0.success());
    }
    for (id, version, digest) in [(&ids[0], "1.0.0", &old_digest), (&ids[1], "1.1.0", &new_digest)] {
        let created = &texts(&chain(&data, id), "created")[0];
        let record = format!("acme:greeter = acme-greeter {version} sha256:{digest}");
        assert!(created.contains(&record), "{record} in {created}");
    }
    assert_ne!(old_digest, new_digest);
}

#[test]
fn a_file_that_is_replaced_while_running_is_noticed_and_changes_nothing_before_the_next_start() {
    let scratch = Scratch::new();
    let folder = plugin_folder(&scratch);
    let file = folder.join("libtiming.so");
    let loaded = digest(&file);
    let clock = manifest("clock", &format!("{HTTP}[[handlers]]\ntype = \"timing\"\n"));
    let path = scratch.write("clock.toml", clock).display().to_string();
    let mut running =
        Running::start(&scratch.path().join("data"), &["--plugins", &folder.display().to_string(), &path]);
    let address = running.address(0);
    // The files are first read some time after the start, so the file is replaced until the change is reported.
    let mut bytes = std::fs::read(&file).unwrap();
    let line = theater_tests::wait_until("the notice", || {
        bytes.push(0);
        let new = scratch.write("new.so", &bytes);
        std::fs::rename(&new, &file).unwrap();
        running.errors().into_iter().find(|line| line.contains("on disk"))
    });
    assert!(line.contains("plugin \"timing\"") && line.contains(&format!("loaded {loaded}, on disk ")), "{line}");
    assert!(line.contains("used at the next start"), "{line}");
    assert_eq!(get(address, "/sleep/1").text(), "ok\n");
    assert!(running.stop().0.success());
}

/// Records a `hello-http` and a `clock`, stops them, and returns the data folder.
fn a_day(scratch: &Scratch) -> String {
    let hello = scratch.write("hello.toml", manifest("hello-http", HTTP)).display().to_string();
    let clock = manifest("clock", &format!("{HTTP}[[handlers]]\ntype = \"timing\"\n"));
    let clock = scratch.write("clock.toml", clock).display().to_string();
    let mut running = Running::start(&scratch.path().join("data"), &[&hello, &clock]);
    let (one, other) = (running.address(0), running.address(1));
    assert_eq!(get(one, "/").status, 200);
    assert_eq!(get(other, "/now").status, 200);
    assert!(running.stop().0.success());
    running.data.display().to_string()
}

#[test]
fn plugins_are_listed_and_shown() {
    let scratch = Scratch::new();
    let folder = plugin_folder(&scratch);
    let plugins = folder.display().to_string();
    let all = objects(&["plugin", "list", "--plugins", &plugins]);
    let names: Vec<_> = all.iter().map(|plugin| plugin["name"].as_str().unwrap()).collect();
    assert_eq!(names, OURS);
    assert_eq!(all.last().unwrap()["digest"], digest(&folder.join("libwebsocket_server.so")));
    assert_eq!(text(&["plugin", "list", "--plugins", &plugins]).lines().count(), OURS.len());

    let timing = objects(&["plugin", "inspect", "timing", "--plugins", &plugins]).remove(0);
    assert_eq!(timing["offers"][0]["function"], "theater:simple/timing/now");
    assert_eq!(timing["offers"][0]["signature"], "func() -> u64");
    let shown = text(&["plugin", "inspect", "timing", "--plugins", &plugins]);
    assert!(shown.contains("theater:simple/timing/now: func() -> u64"), "{shown}");
    assert!(shown.contains("config    max_sleep_duration: "), "{shown}");

    let unknown = theater(&["plugin", "inspect", "timng", "--plugins", &plugins]);
    assert_eq!(unknown.status.code(), Some(1));
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(said.contains("error[P0022]") && said.contains("did you mean \"timing\"?"), "{said}");
}

#[test]
fn interfaces_are_listed_with_who_offers_or_calls_them() {
    let all = objects(&["interfaces"]);
    let of = |name: &str| all.iter().find(|line| line["interface"] == name).unwrap();
    let timing = of("theater:simple/timing");
    assert_eq!((&timing["direction"], &timing["plugin"]), (&"import".into(), &"timing".into()));
    assert_eq!(timing["functions"], serde_json::json!(["now", "sleep", "deadline"]));
    let server = of("theater:simple/http-server");
    assert_eq!((&server["direction"], &server["required"]), (&"export".into(), &true.into()));
    let lines = text(&["interfaces"]);
    assert_eq!(lines.lines().count(), all.len());
    assert!(lines.contains("theater:simple/timing  import, handler timing: now, sleep, deadline"), "{lines}");
}

#[test]
fn inspect_shows_a_component_and_a_manifest_that_works() {
    let file = component("clock").display().to_string();
    let object = objects(&["inspect", &file]).remove(0);
    assert_eq!(object["digest"], digest(&component("clock")));
    assert_eq!(object["handlers"], serde_json::json!(["http-server", "timing"]));
    let shown = text(&["inspect", &file]);
    assert!(shown.contains("import theater:simple/timing;"), "{shown}");
    // The WIT is complete: it has the functions of imported interfaces.
    assert!(shown.contains("sleep: func(duration: u64) -> result<_, string>;"), "{shown}");
    let scratch = Scratch::new();
    let path = scratch.write("clock.toml", object["manifest"].as_str().unwrap()).display().to_string();
    assert!(text(&["validate", &path]).contains("is valid: actor clock"));
}

#[test]
fn validate_shows_what_each_handler_is_allowed() {
    let scratch = Scratch::new();
    let dice = manifest("dice", &format!("{HTTP}[[handlers]]\ntype = \"random\"\nseed = 5\n"));
    let path = scratch.write("dice.toml", dice).display().to_string();
    let all = objects(&["validate", &path]);
    let random = all.iter().find(|line| line["type"] == "random").unwrap();
    assert_eq!((&random["event"], &random["config"]["seed"]), (&"handler".into(), &5.into()));
    assert_eq!(all.last().unwrap()["event"], "valid");
    let lines = text(&["validate", &path]);
    assert!(lines.contains("handler random: plugin random "), "{lines}");
    assert!(lines.contains("\"seed\":5"), "{lines}");
}

#[test]
fn what_is_forgotten_or_has_no_place_is_told_of() {
    let scratch = Scratch::new();
    let permissions = scratch.write("permissions.toml", "[http-server]\n[htttp-client]\n").display().to_string();
    let told = |manifest: String, more: &[&str]| {
        let path = scratch.write("actor.toml", manifest).display().to_string();
        let output = theater(&[&["validate", &path][..], more].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let forgotten = told(manifest("hello-http", ""), &[]);
    assert!(forgotten.contains("exports theater:simple/http-server, which nothing calls"), "{forgotten}");
    assert!(forgotten.contains("type = \"http-server\""), "{forgotten}");
    let (set, allowed) = (["--set", "port=0", "--set", "prot=1"], ["--permissions", &permissions]);
    let place = manifest("hello-http", &HTTP.replace("port = 0", "port = ${port:-1}"));
    let unused = told(place, &[&set[..], &allowed].concat());
    assert!(unused.contains("--set prot=..: no manifest uses ${prot}"), "{unused}");
    assert!(unused.contains("the permissions name \"htttp-client\""), "{unused}");
    assert_eq!(unused.lines().count(), 2, "{unused}");
    assert_eq!(told(manifest("hello-http", HTTP), &[]), "");
}

#[test]
fn events_and_chains_are_listed_and_shown() {
    let scratch = Scratch::new();
    let data = a_day(&scratch);
    let at = |arguments: &[&str]| {
        [arguments, &["--data", &data]].concat().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let text_of = |arguments: &[&str]| text(&at(arguments).iter().map(String::as_str).collect::<Vec<_>>());
    let objects_of = |arguments: &[&str]| objects(&at(arguments).iter().map(String::as_str).collect::<Vec<_>>());

    let list = objects_of(&["chain", "list"]);
    let mut names: Vec<_> = list.iter().map(|chain| chain["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["clock", "hello-http"]);
    assert_eq!(text_of(&["chain", "list"]).lines().count(), 2);

    let all = objects_of(&["events"]);
    let clock = objects_of(&["events", "clock"]);
    let hello = objects_of(&["events", "hello-http"]);
    assert_eq!(all.len(), clock.len() + hello.len());
    assert_eq!(text_of(&["events"]).lines().count(), all.len());
    assert_eq!(objects_of(&["chain", "show", "clock"]), clock);
    // Id, short id and name select the same chain.
    let id = clock[0]["actor"].as_str().unwrap();
    assert_eq!(objects_of(&["chain", "show", id]), clock);
    assert_eq!(objects_of(&["chain", "show", &id[..8]]), clock);
    let shown = text_of(&["chain", "show", "clock"]);
    assert!(shown.contains("host theater:simple/timing/now () -> "), "{shown}");

    for command in [&["events", "nobody"][..], &["chain", "show", "nobody"], &["chain", "verify", "nobody"]] {
        let output = theater(&at(command).iter().map(String::as_str).collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("error[J0003] there is no chain \"nobody\" in ") && said.contains("chain list"),
            "{said}"
        );
    }
}

#[test]
fn chains_are_verified_exported_removed_and_cleaned_up_behind() {
    let scratch = Scratch::new();
    let data = a_day(&scratch);
    let verified = objects(&["chain", "verify", "--data", &data]);
    assert_eq!(verified.len(), 2);
    assert!(text(&["chain", "verify", "clock", "--data", &data]).contains("complete up to "));
    let head = chain(Path::new(&data), "clock").last().unwrap()["hash"].as_str().unwrap().to_owned();
    assert!(verified.iter().any(|chain| chain["head"] == head.as_str()));
    ok(&["chain", "verify", "clock", "--head", &head, "--data", &data]);
    let other = theater(&["chain", "verify", "hello-http", "--head", &head, "--data", &data]);
    assert_eq!(other.status.code(), Some(1));

    let file = scratch.path().join("clock.chain").display().to_string();
    let exported = text(&["chain", "export", "clock", "--to", &file, "--data", &data]);
    assert_eq!(exported, format!("{file}: {} bytes\n", std::fs::metadata(&file).unwrap().len()));
    assert!(text(&["chain", "export", "hello-http", "--to", &format!("{file}2"), "--data", &data]).contains("bytes"));
    // The file is self-contained: it can be verified and shown without a data folder.
    ok(&["chain", "verify", &file, "--head", &head]);
    assert_eq!(objects(&["chain", "show", &file]).last().unwrap()["hash"], head.as_str());

    let removed = objects(&["chain", "rm", "clock", "--data", &data]).remove(0);
    assert!(removed["removed"].as_u64().unwrap() > 4, "{removed}");
    assert_eq!(objects(&["chain", "list", "--data", &data]).len(), 1);
    ok(&["chain", "verify", "--data", &data]);
    // The component of `clock` is dropped and that of `hello-http` is retained, so that a second run drops nothing.
    let dropped = objects(&["chain", "gc", "--data", &data]).remove(0);
    assert!(dropped["files"].as_u64().unwrap() > 0, "{dropped}");
    assert_eq!(text(&["chain", "gc", "--data", &data]), "0 files deleted, 0 bytes\n");
    assert!(text(&["chain", "rm", "hello-http", "--data", &data]).contains("removed"));
    assert_eq!(text(&["chain", "list", "--data", &data]), "");
}

#[test]
fn a_running_programs_chains_can_be_read_but_not_removed() {
    let scratch = Scratch::new();
    let (running, address) = Running::actor(&scratch, &manifest("hello-http", HTTP));
    assert_eq!(get(address, "/").status, 200);
    let data = running.data.display().to_string();
    // With `sync = "batch"` an answer may be sent before its events are on disk.
    wait_until("the chain is on disk", || (objects(&["chain", "list", "--data", &data]).len() == 1).then_some(()));
    ok(&["chain", "verify", "--data", &data]);
    for command in [&["chain", "rm", "hello-http"][..], &["chain", "gc"]] {
        let output = theater(&[command, &["--data", &data]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("is in use by another theater, process {}", running.pid())), "{said}");
    }
}

#[test]
fn a_command_line_that_cannot_be_read_exits_with_2_and_leads_to_the_help() {
    for arguments in [
        &["frob"][..],
        &["run"],
        &["run", "--set", "x", "a.toml"],
        &["run", "--memory", "5q", "a.toml"],
        &["chain", "frob"],
        &["--log", "loud", "plugin", "list"],
        &["-o", "xml", "plugin", "list"],
        &[],
    ] {
        let output = theater(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(!said.is_empty() && output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_data_folder_without_a_journal_is_told_of() {
    let scratch = Scratch::new();
    let data = scratch.path().join("nowhere").display().to_string();
    let output = theater(&["chain", "list", "--data", &data]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("there is no journal here") && said.contains("--data DIR"), "{said}");
    assert!(!Path::new(&data).exists(), "reading makes no folder");
}

#[test]
fn the_version_names_the_abi_and_the_chain_format() {
    let version = text(&["--version"]);
    let (major, minor) = (theater_plugin_api::abi::ABI_MAJOR, theater_plugin_api::abi::ABI_MINOR);
    let format = theater_chain::event::FORMAT;
    assert!(version.contains(&format!("plugin ABI {major}.{minor}, chain format {format}")), "{version}");
    assert!(version.starts_with(&format!("theater {}", env!("CARGO_PKG_VERSION"))), "{version}");
}

#[test]
fn help_has_every_command() {
    let help = text(&["--help"]);
    let own = ["run", "validate", "inspect", "interfaces", "plugin", "events", "chain", "trace"];
    for command in own.into_iter().chain(["store", "send", "request"]) {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command}\n{help}");
    }
}
