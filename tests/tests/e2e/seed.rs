//! The manifests in the two texts that this project is based on start unchanged.
//!
//! `fixtures/seed` has the texts, byte for byte, and a component with the exports that the manifests name. Every
//! handler in these manifests has a plugin, so that none of them may be refused. The manifest of the README's first
//! command, which has a fixed port too, is also started here.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};

use theater_tests::talk::post;
use theater_tests::{Running, Scratch, get, json_lines, repository, theater, wait_until};

const TEXTS: [&str; 2] =
    [include_str!("fixtures/seed/interface-system.txt"), include_str!("fixtures/seed/interfaces.txt")];
const COMPONENT: &str = include_str!("fixtures/seed/actor.wat");
/// The fixed ports in the manifests.
const PORTS: [u16; 2] = [8080, 8081];

/// Extracts the manifests of a text: each begins at a line with a name and is as long as its lines parse as TOML.
fn manifests(text: &str) -> Vec<&str> {
    let lines: Vec<usize> = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let begins = lines.iter().copied().filter(|at| text[*at..].starts_with("name = \""));
    begins
        .map(|from| {
            let ends = lines.iter().copied().filter(|end| *end > from);
            let longest = ends.map(|end| &text[from..end]).rfind(|cut| cut.parse::<toml::Table>().is_ok());
            longest.expect("a line with a name is TOML")
        })
        .collect()
}

/// Locks the fixed ports against other tests until the file is dropped, and waits until they are free.
fn ports() -> File {
    let lock = File::create(std::env::temp_dir().join("theater-test-ports-8080-8081.lock")).unwrap();
    lock.lock().unwrap();
    for port in PORTS {
        wait_until(&format!("port {port} to be free"), || TcpListener::bind(("127.0.0.1", port)).ok());
    }
    lock
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Creates a folder with a manifest and the component that it names, and returns the path of the manifest.
fn folder(manifest: &str) -> (Scratch, String) {
    let table: toml::Table = manifest.parse().unwrap();
    let scratch = Scratch::new();
    scratch.write(table["component_path"].as_str().unwrap(), COMPONENT);
    let path = scratch.write("manifest.toml", manifest).display().to_string();
    (scratch, path)
}

#[test]
fn every_manifest_of_the_texts_is_cut_out_whole() {
    let [system, interfaces] = TEXTS.map(manifests);
    let names: Vec<_> = system.iter().map(|manifest| manifest.lines().next().unwrap()).collect();
    assert_eq!(names, ["name = \"my-actor\"", "name = \"counter-actor\""]);
    assert_eq!(interfaces, [""; 0]);
    for sign in ["[[handlers]]", "component_path", "[interface]"] {
        let printed: usize = TEXTS.iter().map(|text| text.matches(sign).count()).sum();
        let cut: usize = system.iter().map(|manifest| manifest.matches(sign).count()).sum();
        assert!(printed > 0 && cut == printed, "{sign}: {cut} of {printed}");
    }
}

#[test]
fn every_manifest_of_the_texts_starts_as_it_stands() {
    let _ports = ports();
    let manifests = manifests(TEXTS[0]);

    let (scratch, path) = folder(manifests[0]);
    let mut running = Running::start(&scratch.path().join("data"), &[&path]);
    let ready = running.wait_for_line(" ready ");
    assert!(ready.contains("my-actor ready http://127.0.0.1:8080 http://127.0.0.1:8081"), "{ready}");
    let answer = post(at(8080), "/request", b"any bytes");
    assert_eq!((answer.status, answer.text().as_str()), (200, "any bytes"));
    assert_eq!(get(at(8081), "/any/path").text(), "hello");
    assert!(running.stop().0.success());

    let (scratch, path) = folder(manifests[1]);
    let data = scratch.path().join("data");
    let mut running = Running::start(&data, &[&path]);
    let ready = running.wait_for_line(" ready ");
    assert!(ready.ends_with("counter-actor ready http://127.0.0.1:8080"), "{ready}");
    assert_eq!(get(at(8080), "/").text(), "hello");
    assert!(running.stop().0.success());
    let request = r#"counter-actor={"type":"request_type"}"#;
    let asked = theater(&["run", "-o", "json", "--data", &data.display().to_string(), &path, "--request", request]);
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let answers = json_lines(&asked.stdout);
    assert!(answers.iter().any(|line| line["result"]["type"] == "request_type"), "{answers:?}");
}

#[test]
fn the_readmes_first_manifest_counts_visitors_on_its_port() {
    let _ports = ports();
    let scratch = Scratch::new();
    let manifest = repository().join("manifests/hello-http.toml").display().to_string();
    let mut running = Running::start(&scratch.path().join("data"), &[&manifest]);
    let ready = running.wait_for_line(" ready ");
    assert!(ready.ends_with("hello-http ready http://127.0.0.1:8080"), "{ready}");
    for count in [1, 2] {
        assert_eq!(get(at(8080), "/").text(), format!("Hello! You are visitor number {count}.\n"));
    }
    assert!(running.stop().0.success());
}

#[test]
fn the_sdk_shows_the_printed_actor() {
    let printed = TEXTS[0].lines().find(|line| line.contains("#[actor::export]")).unwrap();
    let docs = std::fs::read_to_string(repository().join("wit/sdk/src/lib.rs")).unwrap();
    let example = docs.split("//! ```\n").nth(1).unwrap();
    // The example has hidden lines where the text has an ellipsis.
    let shown = example.lines().filter_map(|line| line.strip_prefix("//!")).filter(|line| !line.starts_with(" #  "));
    let together = |text: &str| text.split_whitespace().collect::<String>();
    assert_eq!(together(&shown.collect::<String>()), together(printed));
}
