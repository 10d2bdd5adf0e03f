//! Paths that try to leave the folder: every function refuses all of them, and no error names a manifest line.

use std::os::unix::fs::symlink;

use serde_json::json;

use crate::tests::{Case, case};

/// Paths that climb, in every spelling. `{secret}` is the absolute path of the sibling, `{jail}` of the folder itself.
const CLIMBING: [&str; 62] = [
    "..",
    "../",
    "../.",
    "./..",
    "../..",
    "../secret",
    "../secret/key",
    "./../secret/key",
    "././../secret/key",
    ".//..//secret//key",
    "../jail/../secret/key",
    "../jail/inside",
    "folder/..",
    "folder/../",
    "folder/../inside",
    "folder/../../secret/key",
    "folder/./../../secret/key",
    "folder//../..//secret/key",
    "folder/deep/../../../secret/key",
    "missing/../inside",
    "missing/../../secret/key",
    "inside/../../secret/key",
    "inside/..",
    "../../../../../../../../../../etc/passwd",
    "folder/../../../../../../../../etc/passwd",
    "/",
    "//",
    "///",
    "/.",
    "/..",
    "/etc",
    "/etc/passwd",
    "//etc/passwd",
    "///etc//passwd",
    "/./etc/passwd",
    "/../etc/passwd",
    "/etc/../etc/passwd",
    "/proc/self/environ",
    "/proc/self/root/etc/passwd",
    "/proc/self/cwd",
    "/proc/self/fd/0",
    "/proc/1/root",
    "/dev/null",
    "/dev/zero",
    "/dev/stdin",
    "/sys/kernel",
    "/tmp",
    "{secret}",
    "{secret}/key",
    "{secret}/../secret/key",
    "/{secret}/key",
    "{jail}",
    "{jail}/inside",
    "{jail}/../secret/key",
    "\0",
    "\0/../secret/key",
    "inside\0",
    "inside\0.txt",
    "..\0/secret/key",
    "../secret/key\0",
    "../secret\0/key",
    "folder/\0/../../secret/key",
];

/// Links in the folder and their targets.
const LINKS: [(&str, &str); 20] = [
    ("l1", "../secret"),
    ("l2", "../secret/key"),
    ("l3", ".."),
    ("l4", "../../"),
    ("l5", "{secret}"),
    ("l6", "{secret}/key"),
    ("l7", "/"),
    ("l8", "/etc"),
    ("l9", "/etc/passwd"),
    ("l10", "/proc/self/root"),
    ("l11", "folder/../../secret"),
    ("l12", "folder/up"),
    ("l13", "l1"),
    ("l14", "l13"),
    ("l15", "./l3/secret"),
    ("l16", "/proc/self/cwd"),
    ("l17", "{jail}/../secret"),
    ("l18", "/tmp/../etc"),
    ("l19", "l19"),
    ("l20", "folder/back/../../secret"),
];

/// Paths through a link that leads out.
const THROUGH: [&str; 42] = [
    "l1",
    "l1/",
    "l1/.",
    "l1/key",
    "./l1/key",
    "folder/up",
    "folder/up/secret",
    "folder/up/secret/key",
    "l2",
    "l3",
    "l3/",
    "l3/secret/key",
    "l3/jail/inside",
    "l4",
    "l4/etc",
    "l5",
    "l5/key",
    "l6",
    "l7",
    "l7/etc/passwd",
    "l7/etc",
    "l8",
    "l8/passwd",
    "l8/./passwd",
    "l9",
    "l10",
    "l10/etc/passwd",
    "l11",
    "l11/key",
    "l12",
    "l12/secret/key",
    "l13",
    "l13/key",
    "l14",
    "l14/key",
    "l15",
    "l15/key",
    "l16",
    "l17",
    "l17/key",
    "l18/passwd",
    "l20",
];

/// Names that look like climbing but do not climb; no such file exists, so reading fails.
const HARMLESS: [&str; 20] = [
    "%2e%2e/secret/key",
    "%2e%2e%2fsecret%2fkey",
    "..%2fsecret%2fkey",
    "..%252fsecret%252fkey",
    "%c0%ae%c0%ae/secret/key",
    "..%c0%afsecret/key",
    "..\\secret\\key",
    "folder\\..\\..\\secret\\key",
    "C:\\Windows\\win.ini",
    "\\\\server\\share",
    "file:///etc/passwd",
    "~/.ssh/id_rsa",
    "~root",
    "$HOME/.profile",
    "...",
    ".../secret/key",
    "....//secret/key",
    "\u{2025}/secret/key",
    "\u{ff0e}\u{ff0e}/secret/key",
    ".. /secret/key",
];

fn prepared() -> (Case, impl Fn(&str) -> String) {
    let case = case(json!({ "allowed_commands": ["ls"] }));
    let (jail, secret) = (case.scratch.jail(), case.scratch.secret());
    let filled = move |text: &str| {
        text.replace("{secret}", &secret.display().to_string()).replace("{jail}", &jail.display().to_string())
    };
    let jail = case.scratch.jail();
    std::fs::create_dir_all(jail.join("folder/deep")).unwrap();
    std::fs::write(jail.join("inside"), "inside").unwrap();
    symlink("../..", jail.join("folder/up")).unwrap();
    symlink("..", jail.join("folder/back")).unwrap();
    for (name, target) in LINKS {
        symlink(filled(target), jail.join(name)).unwrap();
    }
    (case, filled)
}

/// Returns all files outside, with their bytes.
fn outside(case: &Case) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = case.scratch.secret().read_dir().unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap())).collect()
}

fn refuse_all(paths: &[&str], manifest_line: &str) {
    let (case, filled) = prepared();
    let before = outside(&case);
    for path in paths.iter().map(|path| filled(path)) {
        let answers = [
            case.read(&path),
            case.list(&path).map(|names| names.concat()),
            case.run(&path, "ls", &[]).map(|answer| format!("{answer:?}")),
        ];
        for answer in answers {
            let sentence = answer.expect_err(&path);
            assert!(!sentence.contains(manifest_line) && !sentence.contains("the secret"), "{path:?}: {sentence}");
        }
    }
    assert_eq!(outside(&case), before);
}

/// [filesystem-10] [filesystem-11]
#[test]
fn paths_that_climb_are_refused_by_every_function() {
    refuse_all(&CLIMBING, "config");
    let (case, filled) = prepared();
    let before = outside(&case);
    for path in CLIMBING.iter().map(|path| filled(path)) {
        for function in ["delete-file", "create-dir", "delete-dir"] {
            assert!(case.change(function, &path).is_err(), "{function} {path:?}");
        }
        assert!(case.write(&path, "x").is_err() && case.exists(&path).is_err(), "{path:?}");
    }
    assert_eq!(outside(&case), before);
    assert_eq!(case.read("inside").unwrap(), "inside");
}

/// [filesystem-12]
#[test]
fn links_that_lead_out_are_refused() {
    refuse_all(&THROUGH, "config");
    let (case, _) = prepared();
    let before = outside(&case);
    for path in THROUGH {
        let below = format!("{}/new", path.trim_end_matches(['/', '.']));
        assert!(case.write(&below, "x").is_err() && case.change("create-dir", &below).is_err(), "{below}");
        assert!(case.change("delete-file", &format!("{}/key", path.trim_end_matches(['/', '.']))).is_err(), "{path}");
    }
    assert_eq!(outside(&case), before);
    // The link itself is inside: it may be removed or replaced by a file.
    case.change("delete-file", "l2").unwrap();
    case.write("l6", "mine").unwrap();
    assert_eq!((outside(&case), case.read("l6").unwrap().as_str()), (before, "mine"));
    // A link that stays inside is followed.
    symlink("inside", case.scratch.jail().join("stays")).unwrap();
    assert_eq!(case.read("stays").unwrap(), "inside");
}

/// [filesystem-10]
#[test]
fn names_that_only_look_like_a_climb_are_names() {
    refuse_all(&HARMLESS, "config");
    let (case, _) = prepared();
    for path in HARMLESS.iter().filter(|path| !path.contains('/')) {
        case.write(path, path).unwrap();
        assert_eq!(case.read(path).unwrap(), **path);
    }
}

#[test]
fn there_are_as_many_vectors_as_promised() {
    assert!(CLIMBING.len() + THROUGH.len() + HARMLESS.len() >= 120);
}
