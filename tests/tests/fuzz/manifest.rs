//! Fuzzes the manifest parser and its `${}` substitution with edited manifests.

use std::path::Path;

use serde_json::json;
use theater_runtime::manifest::{Manifest, Values};
use theater_tests::repository;

use super::edit::{edit, seed};

/// Valid manifests: those of the repository, and one with every key.
pub struct Target {
    good: Vec<String>,
    values: Values,
}

const EVERY: &str = r#"name = "every-${name}" # ${unused
version = "0.1.0"
component = "a.wasm"
init_state = { json = { a = [1, 2.5, true, "x"] } }
on_error = "fail"
instance = "kept"
[interface]
implements = ["theater:simple/actor"]
requires = ["ntwk:theater/runtime"]
[[handlers]]
type = "acme:greeter"
config = { count = ${count:-3}, text = '$${literal}', quoted = "${quoted}" }
[[handlers]]
type = "http-server"
port = ${port}
[limits]
memory_bytes = 1000000
run_timeout_ms = 5
[chain]
sync = "none"
[permissions.http-server]
ports = [80]
"#;
const WORDS: &[&[u8]] = &[
    b"${",
    b"${name}",
    b"${a:-",
    b"}",
    b"$${",
    b"\"\"\"",
    b"'''",
    b"\"",
    b"#",
    b"\n[limits]\n",
    b"\n[[handlers]]\n",
    b"= -1\n",
    b"= 1e400\n",
    b"= 99999999999999999999\n",
    b"= 2020-01-01\n",
    b"a.b.c = 1\n",
    b"\xff",
    "é€\u{10000}".as_bytes(),
    b"\r\n",
    b"\\u12",
];

impl Target {
    pub fn new() -> Self {
        let mut good = vec![EVERY.to_owned()];
        let folders =
            ["manifests", "tests/manifests"].map(|folder| std::fs::read_dir(repository().join(folder)).unwrap());
        for entry in folders.into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "toml") {
                good.push(std::fs::read_to_string(path).unwrap());
            }
        }
        let values = [("name", json!("x")), ("quoted", json!("a\"\n")), ("port", json!(8080)), ("count", json!(true))];
        let target = Self { good, values: values.map(|(name, value)| (name.to_owned(), value)).into() };
        for text in &target.good {
            let parsed = target.parse(text);
            assert!(parsed.is_ok(), "{parsed:?}: {text}");
        }
        target
    }

    fn parse(&self, text: &str) -> Result<(), String> {
        let folder = Path::new("/nowhere");
        let manifest = Manifest::parse(&folder.join("fuzz.toml"), folder, text, &self.values);
        manifest.map(drop).map_err(|error| format!("{error} {error:?}"))
    }

    pub fn run(&self, input: &[u8]) {
        let (seed, script) = seed(input);
        let mut text = self.good[seed as usize % self.good.len()].clone().into_bytes();
        edit(&mut text, script, WORDS);
        drop(self.parse(&String::from_utf8_lossy(&text)));
        drop(self.parse(&String::from_utf8_lossy(script)));
    }
}
