//! Fuzzes the reader of plugin files: the library, the section, its JSON, and the WIT in the JSON.

use serde_json::json;
use theater_plugin_api::descriptor::{HEADER, SECTION, parse_section, section};
use theater_runtime::plugin::descriptor::read;
use theater_tests::Scratch;

use super::edit::{edit, seed};
use super::elf::library;

/// A valid descriptor.
pub struct Target {
    json: Vec<u8>,
    scratch: Scratch,
}

const WIT: &str = "package a:b@1.0.0;\ninterface c {\n  use d:e/f.{g};\n  flags h { i, j }\n  variant k { l(u8), m }\n  n: func(o: list<option<g>>, p: tuple<char, h>) -> result<k, string>;\n  q: func(state: option<list<u8>>, params: tuple<g>) -> result<tuple<option<list<u8>>>, string>;\n}\n";
const OTHER: &str = "package d:e;\ninterface f {\n  record g { x: f64, y: string }\n}\n";
const WORDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\u0000",
    b"1e999",
    b"null",
    b"u64",
    b"list<",
    b"own<",
    b"borrow<",
    b"stream<u8>",
    b"type x = list<x>;",
    b"resource r;",
    b"async func()",
    b"package a:b;",
    b"use a:b/c@1.0.0.{k};",
    b"\xff",
    b"@0.0.0",
    b"%",
];

/// Builds a section with this JSON.
fn with(json: &[u8]) -> Vec<u8> {
    let mut bytes = section::<{ HEADER + 2 }>(b"{}", false)[..HEADER].to_vec();
    bytes[20..24].copy_from_slice(&(json.len() as u32).to_le_bytes());
    bytes.extend(json);
    bytes
}

impl Target {
    pub fn new() -> Self {
        let json = json!({
            "name": "fuzz", "version": "1.2.3", "services": [], "handlers": ["a:b"],
            "wit": [[["d.wit", OTHER]], [["a.wit", WIT]]],
            "provides": [{ "interface": "a:b/c@1.0.0", "functions": [{ "name": "n", "async": false, "effect": "pure" }] }],
            "calls": [{ "interface": "a:b/c@1.0.0", "functions": ["q"], "required": true }],
            "config": { "type": "object" }, "schemes": [], "commands": [["x", "help"]], "ambient": false,
        });
        let target = Self { json: json.to_string().into_bytes(), scratch: Scratch::new() };
        let path = target.scratch.write("good.so", library(SECTION, &with(&target.json)));
        let (functions, exports) = read(&path).unwrap_or_else(|error| panic!("{error}")).signatures().unwrap();
        assert_eq!((functions.len(), exports.len()), (1, 1));
        target
    }

    pub fn run(&self, input: &[u8]) {
        let (seed, script) = seed(input);
        let mut json = self.json.clone();
        if seed % 4 != 0 {
            edit(&mut json, script, WORDS);
        }
        let mut section = with(&json);
        if seed % 4 == 0 {
            edit(&mut section, script, WORDS);
        }
        // Formatting the error must not panic either.
        drop(parse_section(&section).map_err(|error| error.to_string()));
        let mut library = library(SECTION, &section);
        if seed % 8 == 1 {
            edit(&mut library, script, &[SECTION.as_bytes()]);
        }
        let path = self.scratch.write("changed.so", library);
        match read(&path) {
            Ok(found) => drop(found.signatures().map_err(|problem| problem.to_string())),
            Err(problem) => drop(format!("{problem} {:?}", problem.help())),
        }
    }
}
