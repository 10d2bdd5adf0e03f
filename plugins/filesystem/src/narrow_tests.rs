//! Property tests with random ceilings and configs: the narrowed config allows exactly what both allow.

use std::path::Path;

use serde_json::{Map, Value, json};
use theater_plugin_api::testing::{FakeHost, Seeded, attach, block_on, pairs};

use crate::Filesystem;
use crate::tests::Scratch;
use crate::theater::simple::filesystem::CommandResult;

const PROGRAMS: [&str; 3] = ["true", "echo", "/bin/sh"];
const FOLDERS: [&str; 4] = ["", "/a", "/a/b", "/ab"];
const NUMBERS: [(&str, u64); 2] = [("max_file_bytes", 16 << 20), ("command_timeout_ms", 60_000)];

/// Something that a config may allow.
#[derive(Debug)]
enum Act {
    /// Uses the permission of a flag.
    Flag(&'static str),
    Folder(String),
    Run(&'static str),
    Use(&'static str, u64),
}

fn acts(root: &str) -> Vec<Act> {
    let flags = ["read", "write", "execute", "new_dir"].map(Act::Flag).into_iter();
    let folders = FOLDERS.map(|folder| Act::Folder(format!("{root}{folder}"))).into_iter();
    let most = |(key, default): (&'static str, u64)| [1, 10, default, default + 1].map(|much| Act::Use(key, much));
    flags.chain(folders).chain(PROGRAMS.map(Act::Run)).chain(NUMBERS.into_iter().flat_map(most)).collect()
}

fn config(root: &str) -> impl Fn(&mut Seeded) -> Value {
    let root = root.to_owned();
    move |choices| {
        let mut config = Map::new();
        for key in ["read", "write", "execute", "new_dir"] {
            if !choices.one_in(4) {
                config.insert(key.to_owned(), json!(!choices.one_in(3)));
            }
        }
        if !choices.one_in(6) {
            config.insert("path".to_owned(), json!(format!("{root}{}", choices.pick(&FOLDERS))));
        }
        if !choices.one_in(4) {
            config.insert("allowed_commands".to_owned(), json!(choices.some(&PROGRAMS)));
        }
        for (key, default) in NUMBERS {
            let number = choices.pick(&[10, default, default + 1, 2 * default]);
            if !choices.one_in(3) {
                config.insert(key.to_owned(), json!(number));
            }
        }
        Value::Object(config)
    }
}

/// The rule of the specification, applied to the JSON config.
fn allows(config: &Value, act: &Act) -> bool {
    match act {
        Act::Flag(key) => config[key] == true,
        // A folder includes all folders below it.
        Act::Folder(folder) => config["path"].as_str().is_some_and(|path| Path::new(folder).starts_with(path)),
        Act::Run(program) => config["allowed_commands"].as_array().is_some_and(|list| list.contains(&json!(program))),
        Act::Use(key, much) => {
            let default = NUMBERS.iter().find(|(of, _)| of == key).unwrap().1;
            *much <= config.get(key).map_or(default, |most| most.as_u64().unwrap())
        }
    }
}

/// [filesystem-51]
#[test]
fn ten_thousand_pairs_allow_at_most_what_both_allow() {
    let (mut allowed, mut count) = (0, 0);
    for pair in pairs(&plugin(), "filesystem", 1, 10_000, config("/srv")) {
        for act in acts("/srv") {
            count += 1;
            // A child that asks for a folder around its parent's gets none at all.
            allowed += u32::from(match act {
                Act::Folder(_) => pair.at_most(&act, allows),
                _ => pair.exactly(&act, allows),
            });
        }
    }
    assert!(allowed > count / 10 && allowed < count / 2, "{allowed} of {count}");
}

fn plugin() -> Filesystem {
    Filesystem { host: FakeHost::new().host() }
}

/// [filesystem-51]
#[test]
fn calls_under_hundreds_of_pairs_do_only_what_both_allow() {
    let scratch = Scratch::new();
    let root = scratch.jail().display().to_string();
    for folder in FOLDERS {
        std::fs::create_dir_all(format!("{root}{folder}")).unwrap();
        std::fs::write(format!("{root}{folder}/file"), folder).unwrap();
    }
    let (mut attached, mut done) = (0, 0);
    for pair in pairs(&plugin(), "filesystem", 2, 500, config(&root)) {
        let host = FakeHost::new();
        let folder = block_on(attach::<Filesystem>(&host, "filesystem", pair.narrowed.clone()));
        let path = pair.narrowed["path"].as_str().filter(|_| pair.narrowed["new_dir"] != true);
        let (Ok(folder), Some(path)) = (folder, path) else { continue };
        attached += 1;
        let read: Result<theater_plugin_api::Bytes, String> =
            block_on(host.call(&folder, "read-file", &("file",))).unwrap();
        let inside = pair.both(&Act::Folder(path.to_owned()), allows);
        assert!(inside && read.is_ok() == pair.both(&Act::Flag("read"), allows), "{read:?} of {pair:#?}");
        let written: Result<(), String> = block_on(host.call(&folder, "write-file", &("new", "0123456789"))).unwrap();
        let may = pair.both(&Act::Flag("write"), allows) && pair.both(&Act::Use("max_file_bytes", 10), allows);
        assert_eq!(written.is_ok(), may, "{written:?} of {pair:#?}");
        for program in PROGRAMS {
            let none: &[&str] = &[];
            let run: Result<CommandResult, String> =
                block_on(host.call(&folder, "execute-command", &(".", program, none))).unwrap();
            let may = pair.both(&Act::Flag("execute"), allows) && pair.both(&Act::Run(program), allows);
            assert_eq!(run.is_ok(), may, "{run:?} of {pair:#?}");
            done += u32::from(may);
        }
    }
    assert!(attached >= 100 && done > 10, "{attached} {done}");
}

/// [filesystem-51] [filesystem-12]
#[test]
fn a_link_in_the_parents_folder_leads_no_child_out() {
    let scratch = Scratch::new();
    std::os::unix::fs::symlink(scratch.secret(), scratch.jail().join("link")).unwrap();
    let ceiling = json!({ "path": scratch.jail(), "read": true });
    let asked = json!({ "path": scratch.jail().join("link"), "read": true });
    let narrowed = crate::config::narrow(&ceiling, &asked).unwrap();
    let refused = block_on(attach::<Filesystem>(&FakeHost::new(), "filesystem", narrowed)).err().unwrap();
    assert!(refused.contains("could not be opened"), "{refused}");
    // Nor does a link in the grandparent's folder lead a grandchild out of its parent's folder.
    std::fs::create_dir(scratch.jail().join("inner")).unwrap();
    std::fs::create_dir(scratch.jail().join("other")).unwrap();
    std::os::unix::fs::symlink("../other", scratch.jail().join("inner/link")).unwrap();
    let child =
        crate::config::narrow(&ceiling, &json!({ "path": scratch.jail().join("inner"), "read": true })).unwrap();
    let asked = json!({ "path": scratch.jail().join("inner/link"), "read": true });
    let grandchild = crate::config::narrow(&child, &asked).unwrap();
    assert!(block_on(attach::<Filesystem>(&FakeHost::new(), "filesystem", grandchild)).is_err());
}
