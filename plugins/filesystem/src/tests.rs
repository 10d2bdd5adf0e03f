//! Tests of every function with real folders, files and programs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use theater_plugin_api::testing::{FakeHost, attach, block_on};
use theater_plugin_api::{Bytes, Handler};

use crate::theater::simple::filesystem::{CommandResult, CommandSuccess};
use crate::{Filesystem, FilesystemHandler, jail};

/// A folder `jail` with a sibling `secret`, removed on drop.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("theater-filesystem-{}-{number}", std::process::id()));
        std::fs::create_dir_all(path.join("jail")).unwrap();
        std::fs::create_dir_all(path.join("secret")).unwrap();
        std::fs::write(path.join("secret/key"), "the secret").unwrap();
        Self(path)
    }
    pub(crate) fn jail(&self) -> PathBuf {
        self.0.join("jail")
    }
    pub(crate) fn secret(&self) -> PathBuf {
        self.0.join("secret")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// An actor in the folder `jail`.
pub(crate) struct Case {
    pub(crate) host: FakeHost,
    pub(crate) folder: Arc<FilesystemHandler>,
    pub(crate) scratch: Scratch,
}

/// Creates a case in which everything is granted; `more` adds to the config.
pub(crate) fn case(more: Value) -> Case {
    let scratch = Scratch::new();
    let mut config = json!({ "path": scratch.jail(), "read": true, "write": true, "execute": true });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let host = FakeHost::new();
    let folder = block_on(attach::<Filesystem>(&host, "filesystem", config)).unwrap();
    Case { host, folder, scratch }
}

impl Case {
    fn one<T: serde::de::DeserializeOwned>(&self, function: &str, path: &str) -> Result<T, String> {
        block_on(self.host.call(&self.folder, function, &(path,))).unwrap()
    }
    pub(crate) fn read(&self, path: &str) -> Result<String, String> {
        self.one::<Bytes>("read-file", path).map(|bytes| String::from_utf8(bytes.into_vec()).unwrap())
    }
    pub(crate) fn write(&self, path: &str, content: &str) -> Result<(), String> {
        block_on(self.host.call(&self.folder, "write-file", &(path, content))).unwrap()
    }
    pub(crate) fn list(&self, path: &str) -> Result<Vec<String>, String> {
        self.one("list-files", path)
    }
    pub(crate) fn exists(&self, path: &str) -> Result<bool, String> {
        self.one("path-exists", path)
    }
    pub(crate) fn change(&self, function: &str, path: &str) -> Result<(), String> {
        self.one(function, path)
    }
    pub(crate) fn run(&self, dir: &str, program: &str, args: &[&str]) -> Result<CommandResult, String> {
        block_on(self.host.call(&self.folder, "execute-command", &(dir, program, args))).unwrap()
    }
    fn nix(&self, command: &str) -> Result<CommandResult, String> {
        block_on(self.host.call(&self.folder, "execute-nix-command", &(".", command))).unwrap()
    }
}

fn success(result: Result<CommandResult, String>) -> CommandSuccess {
    match result {
        Ok(CommandResult::Success(success)) => success,
        other => panic!("{other:?}"),
    }
}

fn failure(result: Result<CommandResult, String>) -> String {
    match result {
        Ok(CommandResult::Error(error)) => error.message,
        other => panic!("{other:?}"),
    }
}

fn refused(config: Value) -> String {
    block_on(attach::<Filesystem>(&FakeHost::new(), "filesystem", config)).err().unwrap()
}

/// [filesystem-1]
#[test]
fn the_folder_of_path_must_be_there() {
    let scratch = Scratch::new();
    for path in [scratch.jail().join("missing"), scratch.secret().join("key")] {
        assert!(refused(json!({ "path": path })).contains("could not be opened as a folder"));
    }
    assert!(refused(json!({})).contains("has no folder"));
    assert!(refused(json!({ "path": scratch.jail(), "new_dir": true })).contains("exclude each other"));
}

/// [filesystem-2]
#[test]
fn a_new_folder_is_private_below_the_data_folder() {
    let host = FakeHost::new();
    let config = json!({ "new_dir": true, "read": true, "write": true });
    let folder = block_on(attach::<Filesystem>(&host, "filesystem", config.clone())).unwrap();
    let written: Result<(), String> = block_on(host.call(&folder, "write-file", &("a", "1"))).unwrap();
    assert_eq!(written, Ok(()));
    let data = host.host().data_folder().unwrap();
    assert_eq!(std::fs::read_to_string(data.join("files/a")).unwrap(), "1");
    let again = block_on(attach::<Filesystem>(&host, "filesystem", config)).unwrap();
    let read: Result<Bytes, String> = block_on(host.call(&again, "read-file", &("a",))).unwrap();
    assert_eq!(read.unwrap().into_vec(), b"1");
    let other = FakeHost::new();
    assert_ne!(other.host().data_folder().unwrap(), data);
}

/// [filesystem-2]
#[test]
fn what_a_private_folder_leaves_is_removed_unless_it_is_kept() {
    let scratch = Scratch::new();
    for (keep, left) in [(true, true), (false, false)] {
        let private = scratch.jail().join("private");
        let config = serde_json::from_value(json!({ "new_dir": true, "keep": keep })).unwrap();
        drop(jail::Jail::open(&config, Some(&private)).unwrap());
        std::fs::write(private.join("files/a"), "1").unwrap();
        jail::remove_unless_kept(&private).unwrap();
        assert_eq!(private.exists(), left);
    }
    jail::remove_unless_kept(&scratch.jail().join("never")).unwrap();
}

/// [filesystem-6] [filesystem-48] [filesystem-50]
#[test]
fn each_function_needs_its_own_power_and_says_so() {
    let all = [
        ("read", vec!["read-file", "list-files", "path-exists"]),
        ("write", vec!["delete-file", "create-dir", "delete-dir"]),
    ];
    for (permission, functions) in all {
        let case = case(json!({ permission: false }));
        for function in functions {
            let answer: Result<Value, String> = match function {
                "read-file" | "list-files" | "path-exists" => case.read("a").map(Value::from),
                _ => case.change(function, "a").map(Value::from),
            };
            assert!(answer.unwrap_err().contains(&format!("config = {{ {permission} = true }}")), "{function}");
        }
        assert_eq!(case.host.metric("denied"), Some(3.0));
    }
    assert!(case(json!({ "read": false })).list(".").unwrap_err().contains("read = true"));
    assert!(case(json!({ "read": false })).exists(".").unwrap_err().contains("read = true"));
    let case = case(json!({ "write": false, "execute": false, "allowed_commands": ["true"] }));
    assert!(case.write("a", "").unwrap_err().contains("write = true"));
    assert!(case.run(".", "true", &[]).unwrap_err().contains("execute = true"));
    assert!(case.nix("true").unwrap_err().contains("execute = true"));
}

/// [filesystem-48]
#[test]
fn without_any_key_nothing_is_granted() {
    let scratch = Scratch::new();
    let host = FakeHost::new();
    let folder = block_on(attach::<Filesystem>(&host, "filesystem", json!({ "path": scratch.jail() }))).unwrap();
    let case = Case { host, folder, scratch };
    assert!(case.read("a").is_err() && case.write("a", "").is_err() && case.run(".", "true", &[]).is_err());
    assert!(case.scratch.jail().read_dir().unwrap().next().is_none());
}

/// [filesystem-14]
#[test]
fn nothing_changes_a_file_without_the_write_flag() {
    let case = case(json!({ "write": false }));
    std::fs::write(case.scratch.jail().join("a"), "whole").unwrap();
    assert!(case.write("a", "").is_err() && case.change("delete-file", "a").is_err());
    assert_eq!(case.read("a").unwrap(), "whole");
}

/// [filesystem-8] [filesystem-15] [filesystem-16]
#[test]
fn a_folder_a_pipe_and_too_many_bytes_are_not_read() {
    let case = case(json!({ "max_file_bytes": 10 }));
    std::fs::create_dir(case.scratch.jail().join("folder")).unwrap();
    assert!(case.read("folder").unwrap_err().contains("is a folder"));
    assert!(case.read(".").unwrap_err().contains("is a folder"));
    std::fs::write(case.scratch.jail().join("ten"), "0123456789").unwrap();
    assert_eq!(case.read("ten").unwrap(), "0123456789");
    std::fs::write(case.scratch.jail().join("eleven"), "01234567890").unwrap();
    assert!(case.read("eleven").unwrap_err().contains("max_file_bytes = 11"));
    assert!(case.write("eleven", "01234567890").unwrap_err().contains("max_file_bytes = 11"));
    assert!(case.read("missing").unwrap_err().contains("No such file"));
    let pipe = std::process::Command::new("mkfifo").arg(case.scratch.jail().join("pipe")).status().unwrap();
    assert!(pipe.success() && case.read("pipe").unwrap_err().contains("neither a file nor a folder"));
}

/// [filesystem-17] [filesystem-49]
#[test]
fn a_file_is_written_where_its_folder_is() {
    let case = case(json!({}));
    assert!(case.write("missing/a", "1").unwrap_err().contains("No such file"));
    assert!(case.write(".", "1").unwrap_err().contains("is a folder"));
    case.change("create-dir", "folder").unwrap();
    assert!(case.write("folder", "1").unwrap_err().contains("is a folder"));
    case.write("folder/a", "").unwrap();
    case.write("folder/a", "\u{e9}").unwrap();
    assert_eq!(case.read("folder/a").unwrap(), "\u{e9}");
    assert!(case.write("folder/a/b", "1").is_err());
}

/// [filesystem-18]
#[test]
fn a_reader_sees_the_old_or_the_new_file_and_nothing_else_is_left() {
    let case = case(json!({}));
    let path = case.scratch.jail().join("a");
    let (old, new) = ("a".repeat(1 << 20), "b".repeat(2 << 20));
    case.write("a", &old).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            for _ in 0..200 {
                let seen = std::fs::read_to_string(&path).unwrap();
                assert!(seen == old || seen == new, "a part of {} bytes", seen.len());
            }
        });
        for _ in 0..20 {
            case.write("a", &new).unwrap();
            case.write("a", &old).unwrap();
        }
        reader.join().unwrap();
    });
    assert_eq!(case.list(".").unwrap(), ["a"]);
    let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o640);
}

/// [filesystem-19] [filesystem-20] [filesystem-21]
#[test]
fn a_list_has_names_sorted_by_bytes_and_goes_no_deeper() {
    let case = case(json!({}));
    case.change("create-dir", "folder/deeper").unwrap();
    for name in ["b", "B", "a", "\u{e9}", "a b", ".hidden", "folder/inner"] {
        case.write(name, "").unwrap();
    }
    assert_eq!(case.list("").unwrap(), [".hidden", "B", "a", "a b", "b", "folder", "\u{e9}"]);
    assert_eq!(case.list("folder/").unwrap(), ["deeper", "inner"]);
    assert!(case.list("a").is_err() && case.list("missing").is_err());
}

/// [filesystem-22]
#[test]
fn only_a_file_that_is_there_is_deleted() {
    let case = case(json!({}));
    case.write("a", "").unwrap();
    case.change("create-dir", "folder").unwrap();
    assert!(case.change("delete-file", "folder").unwrap_err().contains("is a folder"));
    assert!(case.change("delete-file", "missing").unwrap_err().contains("No such file"));
    case.change("delete-file", "a").unwrap();
    assert_eq!(case.list(".").unwrap(), ["folder"]);
}

/// [filesystem-23] [filesystem-24]
#[test]
fn a_folder_is_made_with_its_parents_and_again_is_ok() {
    let case = case(json!({}));
    for path in ["a/b/c", "a/b/c", "a", ".", ""] {
        case.change("create-dir", path).unwrap();
    }
    assert!(case.scratch.jail().join("a/b/c").is_dir());
    case.write("file", "").unwrap();
    assert!(case.change("create-dir", "file").is_err() && case.change("create-dir", "file/a").is_err());
}

/// [filesystem-25] [filesystem-26] [filesystem-27]
#[test]
fn only_an_empty_folder_inside_is_removed() {
    let case = case(json!({}));
    case.change("create-dir", "a/b").unwrap();
    assert!(case.change("delete-dir", "a").unwrap_err().contains("not empty"));
    assert!(case.change("delete-dir", "missing").unwrap_err().contains("No such file"));
    for root in ["", ".", "./", "a/.."] {
        assert!(case.change("delete-dir", root).is_err(), "{root:?}");
    }
    case.write("file", "").unwrap();
    assert!(case.change("delete-dir", "file").is_err());
    case.change("delete-dir", "a/b").unwrap();
    case.change("delete-dir", "a").unwrap();
    assert_eq!(case.list(".").unwrap(), ["file"]);
}

/// [filesystem-28] [filesystem-29]
#[test]
fn what_is_missing_is_not_there_and_what_is_outside_is_an_error() {
    let case = case(json!({}));
    case.write("a", "").unwrap();
    std::os::unix::fs::symlink("nowhere", case.scratch.jail().join("dangling")).unwrap();
    std::os::unix::fs::symlink(case.scratch.secret(), case.scratch.jail().join("out")).unwrap();
    for (path, there) in [("a", true), (".", true), ("b", false), ("b/c", false), ("a/b", false), ("dangling", false)] {
        assert_eq!(case.exists(path), Ok(there), "{path}");
    }
    for path in ["..", "/", "/etc", "out", "out/key", "out/missing"] {
        assert!(case.exists(path).is_err(), "{path}");
    }
}

/// [filesystem-13]
#[test]
fn a_swap_between_check_and_use_leads_nowhere() {
    let case = case(json!({}));
    let (jail, secret) = (case.scratch.jail(), case.scratch.secret());
    std::fs::create_dir(jail.join("inner")).unwrap();
    std::fs::write(jail.join("inner/key"), "public").unwrap();
    /// Ends the swapping on drop, even if an assertion fails.
    struct Ends<'a>(&'a std::sync::atomic::AtomicBool);
    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let ended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ends = Ends(&ended);
        scope.spawn(|| {
            std::os::unix::fs::symlink(&secret, jail.join("link")).unwrap();
            while !ended.load(Ordering::Relaxed) {
                // The folder and a link that leads out alternate under one name.
                for (from, to) in [("inner", "kept"), ("link", "inner"), ("inner", "link"), ("kept", "inner")] {
                    std::fs::rename(jail.join(from), jail.join(to)).unwrap();
                }
            }
        });
        let (mut read, mut refused, mut written) = (0, 0, 0);
        let start = std::time::Instant::now();
        while refused < 100 || read < 100 || written < 10 {
            assert!(start.elapsed().as_secs() < 60, "{read} {refused} {written}");
            match case.read("inner/key") {
                Ok(text) => {
                    assert_eq!(text, "public");
                    read += 1;
                }
                Err(_) => refused += 1,
            }
            written += u32::from(case.write("inner/new", "1").is_ok());
        }
    });
    let names: Vec<_> = secret.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["key"]);
}

/// [filesystem-30] [filesystem-39] [filesystem-49] [filesystem-50]
#[test]
fn only_named_programs_run_and_only_inside() {
    let case = case(json!({ "allowed_commands": ["echo", "no-such-program", "/bin/echo"] }));
    assert_eq!(success(case.run(".", "echo", &["a  b", "$HOME", "*"])).stdout, "a  b $HOME *\n");
    assert_eq!(success(case.run(".", "/bin/echo", &[])).stdout, "\n");
    assert!(case.run(".", "cat", &[]).unwrap_err().contains("allowed_commands = [\"cat\"]"));
    assert!(case.run(".", "/usr/bin/../bin/echo", &[]).unwrap_err().contains("is not allowed"));
    assert!(case.run(".", "no-such-program", &[]).unwrap_err().contains("was not found"));
    for folder in ["..", "/", "missing"] {
        assert!(case.run(folder, "echo", &[]).is_err(), "{folder}");
    }
    assert!(case.run(".", "echo", &["a\0b"]).unwrap_err().contains("NUL"));
}

/// [filesystem-7] [filesystem-31]
#[test]
fn a_name_stands_for_the_file_it_had_when_the_actor_started() {
    let case = case(json!({ "allowed_commands": ["true"] }));
    let file = case.folder.programs.get("true").unwrap();
    assert!(file.is_absolute() && file.ends_with("true"));
    // Neither PATH nor a file of that name in the folder is looked at any more.
    std::fs::write(case.scratch.jail().join("true"), "#!/bin/sh\nexit 9\n").unwrap();
    assert_eq!(success(case.run(".", "true", &[])).exit_code, 0);
}

/// [filesystem-33]
#[test]
fn there_is_no_shell_between() {
    let case = case(json!({ "allowed_commands": ["echo"] }));
    let said = success(case.run(".", "echo", &["a; touch b", "> c", "$(touch d)", "`touch e`", "&& touch f"])).stdout;
    assert_eq!(said, "a; touch b > c $(touch d) `touch e` && touch f\n");
    assert!(case.list(".").unwrap().is_empty());
}

/// [filesystem-34] [filesystem-35]
#[test]
fn a_program_runs_in_the_folder_with_the_variables_of_env_alone() {
    let case = case(json!({ "allowed_commands": ["pwd", "env"], "env": { "A": "1", "B": "b c" } }));
    case.change("create-dir", "folder").unwrap();
    let said = success(case.run("folder", "pwd", &[])).stdout;
    assert_eq!(PathBuf::from(said.trim()), case.scratch.jail().join("folder").canonicalize().unwrap());
    let said = success(case.run(".", "env", &[])).stdout;
    let variables: BTreeMap<_, _> = said.lines().filter_map(|line| line.split_once('=')).collect();
    assert_eq!(variables, BTreeMap::from([("A", "1"), ("B", "b c")]));
}

/// [filesystem-9] [filesystem-36] [filesystem-42]
#[test]
fn at_the_timeout_the_whole_group_is_killed() {
    let case = case(json!({ "allowed_commands": ["sh"], "command_timeout_ms": 300 }));
    let script = "sleep 1000 & echo $! > child; sleep 1000";
    let said = failure(case.run(".", "sh", &["-c", script]));
    assert!(said.contains("timeout of 300 ms"), "{said}");
    let child = case.read("child").unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let lives = || {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        !(status.is_empty() || status.contains(") Z "))
    };
    while lives() {
        assert!(std::time::Instant::now() < end, "{child} is still running");
    }
}

#[test]
fn a_program_is_confined_to_the_folder_unless_the_config_says_otherwise() {
    if theater_child_process::missing().is_some_and(|missing| missing.contains("NOT confined")) {
        return;
    }
    let read = |case: &Case| {
        let key = case.scratch.secret().join("key").display().to_string();
        success(case.run(".", "sh", &["-c", "cat \"$1\"", "sh", &key])).stdout
    };
    let confined = case(json!({ "allowed_commands": ["sh"] }));
    assert_eq!(read(&confined), "");
    let write = ["-c", "echo x > made && cat made"];
    assert_eq!(success(confined.run(".", "sh", &write)).stdout, "x\n");
    let open = case(json!({ "allowed_commands": ["sh"], "confine": false }));
    assert_eq!(read(&open), "the secret");
    // Programs cannot change what the actor may not change.
    let reader = case(json!({ "allowed_commands": ["sh"], "write": false }));
    assert_ne!(success(reader.run(".", "sh", &write)).exit_code, 0);
    assert!(!reader.scratch.jail().join("made").exists());
    // A program that starts in a subfolder still reaches the whole folder.
    std::fs::create_dir(confined.scratch.jail().join("sub")).unwrap();
    assert_eq!(success(confined.run("sub", "sh", &["-c", "cat ../made"])).stdout, "x\n");
    let paths = [confined.scratch.secret()];
    let listed = case(json!({ "allowed_commands": ["sh"], "readable_paths": paths }));
    let key = paths[0].join("key").display().to_string();
    assert_eq!(success(listed.run(".", "sh", &["-c", "cat \"$1\"", "sh", &key])).stdout, "the secret");
}

#[test]
fn a_child_is_confined_where_its_parent_is() {
    let narrow = |above, below| crate::config::narrow(&above, &below).unwrap();
    let narrowed = narrow(json!({}), json!({ "confine": false, "readable_paths": ["/a"] }));
    assert_eq!((&narrowed["confine"], narrowed.get("readable_paths")), (&json!(true), None));
    assert_eq!(narrow(json!({ "confine": false }), json!({}))["confine"], json!(true));
    assert_eq!(narrow(json!({ "confine": false }), json!({ "confine": false }))["confine"], json!(false));
    let narrowed =
        narrow(json!({ "readable_paths": ["/a", "/b"] }), json!({ "readable_paths": ["/b", "/a/../c", "/a/link"] }));
    assert_eq!(narrowed["readable_paths"], json!(["/b"]));
}

/// [filesystem-37] [filesystem-38]
#[test]
fn long_output_is_cut_and_says_so_and_bytes_become_text() {
    let case = case(json!({ "allowed_commands": ["sh"] }));
    let script = "head -c 3000000 /dev/zero | tr '\\0' x; head -c 1048577 /dev/zero | tr '\\0' y >&2";
    let said = success(case.run(".", "sh", &["-c", script]));
    let (kept, note) = said.stdout.split_at(1 << 20);
    assert!(kept.bytes().all(|byte| byte == b'x'));
    assert_eq!(note, "\n[cut: the first 1048576 of 3000000 bytes]");
    assert!(said.stderr.ends_with("y\n[cut: the first 1048576 of 1048577 bytes]"));
    let said = success(case.run(".", "sh", &["-c", "printf 'a\\377b'; printf '\\303' >&2"]));
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("a\u{fffd}b", "\u{fffd}"));
}

/// [filesystem-40] [filesystem-41] [filesystem-43]
#[test]
fn exit_codes_are_a_success_and_signals_and_failed_starts_are_not() {
    let case = case(json!({ "allowed_commands": ["sh", "/etc/ld.so.cache"] }));
    for code in [0, 1, 127, 255] {
        assert_eq!(success(case.run(".", "sh", &["-c", &format!("exit {code}")])).exit_code, code);
    }
    assert!(failure(case.run(".", "sh", &["-c", "kill -15 $$"])).contains("ended by signal 15"));
    let broken = case.scratch.jail().join("broken");
    std::fs::write(&broken, "#!/nowhere/interpreter\n").unwrap();
    std::fs::set_permissions(&broken, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let other = self::case(json!({ "allowed_commands": [broken] }));
    assert!(failure(other.run(".", broken.to_str().unwrap(), &[])).contains("could not be started"));
    // A process that the program left behind does not delay the call.
    assert_eq!(success(case.run(".", "sh", &["-c", "sleep 1000 & echo a"])).stdout, "a\n");
    let left = "mkfifo f; setsid sh -c 'echo > f; exec sleep 20' & read line < f; echo b; exit 4";
    let ended = success(case.run(".", "sh", &["-c", left]));
    assert_eq!((ended.stdout.as_str(), ended.exit_code), ("b\n", 4));
}

#[test]
fn a_stop_ends_a_running_program() {
    let case = case(json!({ "allowed_commands": ["sleep"] }));
    case.host.stop();
    assert!(case.run(".", "sleep", &["1000"]).unwrap_err().contains("being stopped"));
}

/// [filesystem-44] [filesystem-45]
#[test]
fn a_nix_command_is_what_nix_develop_runs() {
    let scratch = Scratch::new();
    let nix = scratch.secret().join("nix");
    std::fs::write(&nix, "#!/bin/sh\nfor word in \"$@\"; do echo \"<$word>\"; done\n").unwrap();
    std::fs::set_permissions(&nix, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let case = case(json!({ "allowed_commands": ["nix"] }));
    // This machine may not have nix: use a script that prints its arguments.
    let Case { host, folder, scratch: _scratch } = case;
    let folder = Arc::into_inner(folder).unwrap();
    let folder = Arc::new(FilesystemHandler { programs: crate::programs::Programs::named("nix", &nix), ..folder });
    let answer = block_on(host.call(&folder, "execute-nix-command", &(".", "cargo build 'a b' $HOME")));
    let said = success(answer.unwrap()).stdout;
    assert_eq!(said, "<develop>\n<--command>\n<cargo>\n<build>\n<a b>\n<$HOME>\n");
}

/// [filesystem-46] [filesystem-47]
#[test]
fn without_nix_the_error_says_whether_it_is_missing_or_not_allowed() {
    assert!(case(json!({})).nix("true").unwrap_err().contains("allowed_commands = [\"nix\"]"));
    assert!(case(json!({})).nix("'").unwrap_err().contains("cannot be split"));
    if theater_child_process::find("nix", std::env::var_os("PATH").as_deref()).is_none() {
        assert!(case(json!({ "allowed_commands": ["nix"] })).nix("true").unwrap_err().contains("was not found"));
    }
}

#[test]
fn handlers_stop_and_recover_without_a_word() {
    let case = case(json!({}));
    block_on(case.folder.stopped());
    case.host.recover(&case.folder, "write-file", &("a", "1"), &Ok::<(), String>(())).unwrap();
    assert_eq!(case.exists("a"), Ok(false), "no effect is repeated");
}
