//! The architecture's rules as tests: what depends on what, which names and words stand where, and that what is kept in two
//! places says the same.
//!
//! Source is read as text. Comments and the content of string literals are no code: [`code`] blanks them out, for rules
//! that are about code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use theater_runtime::manifest::Limits;
use theater_tests::source::{Imports, SourceFile, code, folder_of, shipped_files};
use theater_tests::{repository, theater};
use wit_parser::{Function, Interface, Resolve, Type, TypeDefKind, TypeOwner};

/// Every file below a folder whose name ends in `ending`, sorted; build output is none of ours.
fn files(folder: impl AsRef<Path>, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![repository().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && entry.file_name() != "target" {
                open.push(entry.path());
            } else if kind.is_file() && entry.file_name().to_string_lossy().ends_with(ending) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

fn read(path: impl AsRef<Path>) -> String {
    let path = repository().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A path as it is named in this repository.
fn named(path: &Path) -> String {
    path.strip_prefix(repository()).unwrap_or(path).display().to_string()
}

/// Whether a word stands in a text, not as a part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word)
        .any(|(at, _)| !part(text[..at].chars().next_back()) && !part(text[at + word.len()..].chars().next()))
}

#[test]
fn the_reader_of_source_knows_code_from_comments_and_literals() {
    let source = "let a = \"unsafe \\\" x\"; // unsafe\nfn f<'a>(c: char) { c == '\"' || c == '\\'' } /* unsafe\n */ r#\"unsafe\"#; r\"un\"; x";
    let read = code(source);
    assert!(!has_word(&read, "unsafe"), "{read}");
    assert!(read.contains("fn f<'a>(c: char)") && read.ends_with("; x"), "{read}");
    assert_eq!(read.lines().count(), source.lines().count());
}

// --- arrows ---------------------------------------------------------------------------------------------------------

/// The packages of the workspace: folder and the workspace's own packages each depends on, for whatever reason.
fn packages() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(repository())
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .output()
        .expect("cargo runs");
    let metadata: Json = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<_> = packages.iter().map(|package| text(&package["name"])).collect();
    let package = |package: &Json| {
        let folder = named(Path::new(&text(&package["manifest_path"])).parent().unwrap());
        let dependencies =
            package["dependencies"].as_array().unwrap().iter().map(|dependency| text(&dependency["name"]));
        (text(&package["name"]), (folder, dependencies.filter(|name| ours.contains(name)).collect()))
    };
    packages.iter().map(package).collect()
}

#[test]
fn dependencies_point_from_plugins_and_the_runtime_to_the_plugin_api_only() {
    let packages = packages();
    let part_of = |name: &str| packages[name].0.split('/').next().unwrap().to_owned();
    for (name, (folder, dependencies)) in &packages {
        let part = part_of(name);
        for dependency in dependencies {
            let to = part_of(dependency);
            let allowed = match part.as_str() {
                "plugin-api" => to == "plugin-api",
                "runtime" => to == "plugin-api" || packages[dependency].0 == "runtime/chain",
                // A library that plugins share is linked into each of them.
                // Tests of both use certificates that a crate of `tests/` makes.
                "plugins" => {
                    let folder = &packages[dependency].0;
                    to == "plugin-api" || folder.starts_with("plugins/shared/") || folder == "tests/certificates"
                }
                // Tests take plugins as files on disk.
                "tests" => to != "plugins" || !is_plugin(&packages[dependency].0),
                _ => false,
            };
            assert!(allowed, "{name} ({folder}) depends on {dependency}: {part} -> {to}");
        }
    }
    let parts: BTreeSet<_> = packages.keys().map(|name| part_of(name)).collect();
    assert_eq!(parts.into_iter().collect::<Vec<_>>(), ["plugin-api", "plugins", "runtime", "tests"]);
}

/// The floors of `runtime/src`, the highest first: a use leads down or stays on its floor.
const FLOORS: [&str; 11] =
    ["main", "cli", "lib", "control", "core", "replay", "wasm", "plugin", "actor", "manifest", "support"];

/// Pairs of files that use each other, with the reason.
const PAIRS: [(&str, &str, &str); 0] = [];

/// The uses that run up, as sentences.
fn running_up(files: &[SourceFile]) -> Vec<String> {
    let height = |path: &str| {
        let folder = folder_of(path);
        let floor = folder.strip_prefix("runtime/src/")?;
        let at = FLOORS.iter().position(|known| *known == floor);
        Some(at.unwrap_or_else(|| panic!("{path}: its floor is not in the list")))
    };
    let imports = Imports::of(files);
    let up = imports
        .arrows
        .iter()
        .filter(|((from, to), _)| matches!((height(from), height(to)), (Some(a), Some(b)) if a > b));
    up.map(|((from, to), names)| format!("{from} uses {names:?} of {to}")).collect()
}

#[test]
fn no_use_runs_up_and_a_planted_one_is_found() {
    let mut files = shipped_files();
    assert!(files.len() > 150, "{}", files.len());
    assert_eq!(running_up(&files), Vec::<String>::new());
    let planted = |file: &str, line: &str| {
        let mut files = files.clone();
        let file = files.iter_mut().find(|known| known.path == file).unwrap();
        file.text.insert_str(0, line);
        running_up(&files)
    };
    let found = planted("runtime/src/support/budget.rs", "use crate::{core::{Core}, manifest::Limits};\n");
    assert_eq!(found.len(), 2, "{found:?}");
    let found = planted("runtime/src/actor/mailbox.rs", "fn f() { crate::wasm::engine::VERSION; }\n");
    assert!(found.len() == 1 && found[0].contains("wasm/engine.rs"), "{found:?}");
    // A comment is no use.
    assert_eq!(planted("runtime/src/support/budget.rs", "// use crate::core::Core;\n"), Vec::<String>::new());
    files.retain(|file| !file.path.ends_with("lib.rs"));
    assert_eq!(running_up(&files), Vec::<String>::new());
}

#[test]
fn no_files_use_each_other_but_the_listed_pairs() {
    let imports = Imports::of(&shipped_files());
    let is_listed =
        |from: &str, to: &str| PAIRS.iter().any(|(a, b, _)| (*a, *b) == (from, to) || (*b, *a) == (from, to));
    let cycles = imports.cycles(is_listed);
    assert!(cycles.is_empty(), "{}", cycles.iter().map(|cycle| cycle.join(", ")).collect::<Vec<_>>().join("\n"));
    for (a, b, reason) in PAIRS {
        let both = [(a, b), (b, a)].map(|(from, to)| imports.arrows.contains_key(&(from.to_owned(), to.to_owned())));
        assert!(both == [true, true] && !reason.is_empty(), "{a} and {b} do not use each other any more");
    }
}

/// Whether a folder of `plugins/` is a plugin, not a library for plugins.
fn is_plugin(folder: &str) -> bool {
    let manifest: toml::Table = read(format!("{folder}/Cargo.toml")).parse().unwrap();
    manifest.get("lib").and_then(|lib| lib.get("crate-type")).is_some_and(|kinds| kinds.to_string().contains("cdylib"))
}

/// The folders of plugins and of the libraries that they share.
fn plugin_folders() -> Vec<String> {
    let mut folders: Vec<_> = ["plugins", "plugins/shared"]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(repository().join(folder)).unwrap())
        .map(|entry| named(&entry.unwrap().path()))
        .filter(|folder| repository().join(folder).join("Cargo.toml").exists())
        .collect();
    folders.sort();
    folders
}

// --- names ----------------------------------------------------------------------------------------------------------

/// The names of plugins, handler types and interfaces, but `actor`: the core itself calls that one.
fn forbidden_names() -> BTreeSet<String> {
    let functions = read("tests/golden/functions.tsv");
    let types = read("tests/golden/types.tsv");
    let interfaces = functions.lines().chain(types.lines()).filter_map(|line| line.split('\t').next());
    let mut names: BTreeSet<_> = interfaces.flat_map(|names| names.split(", ")).map(ToOwned::to_owned).collect();
    for folder in plugin_folders() {
        names.insert(folder.rsplit('/').next().unwrap().to_owned());
    }
    names.remove("actor");
    names
}

/// Whether a line has the name where it can mean nothing but the handler, plugin or interface.
///
/// `process`, `random`, `runtime`, `store`, `supervisor`, `timing`, `types` and more are English words, too: of those only
/// the forms are looked for that name the thing, `"random"` and `theater:simple/random`. A name of two words is one in
/// any place, comments included, with `-` or `_` between them.
fn names_it(line: &str, name: &str) -> bool {
    let quoted = line.contains(&format!("\"{name}\"")) || line.contains(&format!("\\\"{name}\\\""));
    let interface = [" ", "\"", "`", "@", "/", "\\", ".", ","]
        .iter()
        .any(|end| format!("{line} ").contains(&format!("theater:simple/{name}{end}")));
    let two_words = name.contains('-') && (has_word(line, name) || has_word(line, &name.replace('-', "_")));
    quoted || interface || two_words
}

/// Words of two parts that name an interface and are ordinary English in the core: none so far.
const ORDINARY: [&str; 0] = [];

#[test]
fn no_plugin_handler_type_or_interface_is_named_in_the_core() {
    let names = forbidden_names();
    assert!(names.len() >= 21, "{names:?}");
    let mut found = Vec::new();
    for path in files("runtime/src", ".rs") {
        // Tests of the manifest reader need manifests; what tests say never becomes part of the core.
        if path.file_name().is_some_and(|name| name == "tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for (number, line) in text.lines().enumerate() {
            for name in names.iter().filter(|name| !ORDINARY.contains(&name.as_str())) {
                if names_it(line, name) {
                    found.push(format!("{}:{}: {name}: {}", named(&path), number + 1, line.trim()));
                }
            }
        }
    }
    assert!(found.is_empty(), "the core knows no interface:\n{}", found.join("\n"));
}

#[test]
fn the_search_for_names_finds_them() {
    assert!(names_it("match name { \"random\" => 1 }", "random"));
    assert!(names_it("/// As `theater:simple/store` does.", "store"));
    assert!(names_it("// like http_server does", "http-server"));
    assert!(!names_it("a random process stores the types of a runtime", "random"));
    assert!(!names_it("let process = Process::new(); // \"processes\"", "process"));
}

// --- unsafe and async-std -------------------------------------------------------------------------------------------

/// Every Rust file of what we ship, with its code.
fn shipped() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for folder in ["runtime", "plugin-api", "plugins"] {
        all.extend(
            files(folder, ".rs").into_iter().map(|path| (named(&path), code(&std::fs::read_to_string(&path).unwrap()))),
        );
    }
    all
}

#[test]
fn unsafe_code_is_in_the_listed_files_only() {
    let allowed = [
        "plugin-api/abi/src/lib.rs",
        "plugin-api/src/abi/handles.rs",
        "plugin-api/src/abi/host_handle.rs",
        "plugin-api/src/abi/host_tables.rs",
        "plugin-api/src/abi/loading.rs",
        "plugin-api/src/abi/plugin_side.rs",
        "plugin-api/src/abi/pointers.rs",
        "plugins/shared/child-process/src/before_exec.rs",
        "runtime/src/wasm/values/abi.rs",
    ];
    // No unsafe code, and no more to the compiler's lint: `bindings!` writes `#[unsafe(no_mangle)]` into a plugin for its entry
    // symbol, and a table's field has a type that says who has to argue when it is called.
    let is_unsafe =
        |code: &str| has_word(&code.replace("#[unsafe(", "#[").replace(": unsafe extern ", ": extern "), "unsafe");
    let found: BTreeSet<_> = shipped().into_iter().filter(|(_, code)| is_unsafe(code)).map(|(path, _)| path).collect();
    let allowed: BTreeSet<_> = allowed.into_iter().map(ToOwned::to_owned).collect();
    assert_eq!(found, allowed);
}

#[test]
fn every_plugin_forbids_unsafe_code_and_the_crates_that_need_it_deny_it() {
    for folder in plugin_folders().iter().filter(|folder| *folder != "plugins/shared/child-process") {
        assert!(code(&read(format!("{folder}/src/lib.rs"))).contains("#![forbid(unsafe_code)]"), "{folder}");
    }
    assert!(code(&read("tests/acme-greeter/src/lib.rs")).contains("#![forbid(unsafe_code)]"), "acme-greeter");
    for root in ["plugin-api/src/lib.rs", "plugins/shared/child-process/src/lib.rs", "runtime/src/lib.rs"] {
        assert!(code(&read(root)).contains("#![deny(unsafe_code)]"), "{root}");
    }
}

#[test]
fn async_std_is_named_in_one_file_of_each_crate() {
    let mut by_crate: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, _) in shipped().into_iter().filter(|(_, code)| has_word(code, "async_std")) {
        let folder = path.split_once("/src/").map_or(path.clone(), |(folder, _)| folder.to_owned());
        by_crate.entry(folder).or_default().push(path);
    }
    assert!(by_crate.contains_key("runtime"), "{by_crate:?}");
    for (name, paths) in by_crate {
        assert_eq!(paths.len(), 1, "{name}: {paths:?}");
    }
}

// --- WIT ------------------------------------------------------------------------------------------------------------

/// A type as functions.tsv and types.tsv write it: by name where it has one.
fn rendered(resolve: &Resolve, ty: &Type) -> String {
    match ty {
        Type::Id(id) => match &resolve.types[*id].name {
            Some(name) => name.clone(),
            None => structure(resolve, &resolve.types[*id].kind),
        },
        Type::Bool => "bool".to_owned(),
        Type::U8 => "u8".to_owned(),
        Type::U16 => "u16".to_owned(),
        Type::U32 => "u32".to_owned(),
        Type::U64 => "u64".to_owned(),
        Type::S8 => "s8".to_owned(),
        Type::S16 => "s16".to_owned(),
        Type::S32 => "s32".to_owned(),
        Type::S64 => "s64".to_owned(),
        Type::F32 => "f32".to_owned(),
        Type::F64 => "f64".to_owned(),
        Type::Char => "char".to_owned(),
        Type::String => "string".to_owned(),
        Type::ErrorContext => "error-context".to_owned(),
    }
}

fn structure(resolve: &Resolve, kind: &TypeDefKind) -> String {
    let of = |ty: &Type| rendered(resolve, ty);
    let with = |name: &str, ty: &Option<Type>| ty.as_ref().map_or(name.to_owned(), |ty| format!("{name}({})", of(ty)));
    let row = |items: Vec<String>| items.join(", ");
    match kind {
        TypeDefKind::Type(ty) => of(ty),
        TypeDefKind::List(ty) => format!("list<{}>", of(ty)),
        TypeDefKind::Option(ty) => format!("option<{}>", of(ty)),
        TypeDefKind::Result(result) => {
            let ok = result.ok.as_ref().map(of);
            match (ok, result.err.as_ref().map(of)) {
                (None, None) => "result".to_owned(),
                (Some(ok), None) => format!("result<{ok}>"),
                (ok, Some(err)) => format!("result<{}, {err}>", ok.unwrap_or("_".to_owned())),
            }
        }
        TypeDefKind::Tuple(tuple) => format!("tuple<{}>", row(tuple.types.iter().map(of).collect())),
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter().map(|field| format!("{}: {}", field.name, of(&field.ty))).collect();
            format!("record {{ {} }}", row(fields))
        }
        TypeDefKind::Variant(variant) => {
            format!("variant {{ {} }}", row(variant.cases.iter().map(|case| with(&case.name, &case.ty)).collect()))
        }
        TypeDefKind::Enum(cases) => {
            format!("enum {{ {} }}", row(cases.cases.iter().map(|case| case.name.clone()).collect()))
        }
        TypeDefKind::Flags(flags) => {
            format!("flags {{ {} }}", row(flags.flags.iter().map(|flag| flag.name.clone()).collect()))
        }
        other => panic!("{} is not used in wit/", other.as_str()),
    }
}

fn signature(resolve: &Resolve, function: &Function) -> (String, String) {
    let params: Vec<_> =
        function.params.iter().map(|param| format!("{}: {}", param.name, rendered(resolve, &param.ty))).collect();
    let result = function.result.as_ref().map_or("-".to_owned(), |ty| rendered(resolve, ty));
    (format!("({})", params.join(", ")), result)
}

/// The interfaces of `wit/` by name.
fn interfaces(resolve: &Resolve) -> BTreeMap<String, &Interface> {
    resolve.interfaces.iter().filter_map(|(_, found)| Some((found.name.clone()?, found))).collect()
}

fn wit() -> Resolve {
    let mut resolve = Resolve::default();
    resolve.push_dir(repository().join("wit")).unwrap_or_else(|error| panic!("wit/: {error:#}"));
    resolve
}

#[test]
fn the_functions_of_wit_are_those_of_functions_tsv() {
    let resolve = wit();
    let mut expected = BTreeSet::new();
    for line in read("tests/golden/functions.tsv").lines() {
        let [interface, function, params, result]: [&str; 4] =
            line.split('\t').collect::<Vec<_>>().try_into().unwrap_or_else(|_| panic!("four columns: {line}"));
        expected.insert([interface, function, params, result].map(ToOwned::to_owned));
    }
    let mut found = BTreeSet::new();
    for (name, interface) in interfaces(&resolve) {
        for function in interface.functions.values() {
            let (params, result) = signature(&resolve, function);
            found.insert([name.clone(), function.name.clone(), params, result]);
        }
    }
    assert_eq!(expected.len(), 89);
    same(&expected, &found, "functions.tsv", "wit/");
}

#[test]
fn the_types_of_wit_are_those_of_types_tsv() {
    let resolve = wit();
    let mut expected = BTreeSet::new();
    for line in read("tests/golden/types.tsv").lines() {
        let [owners, names, text]: [&str; 3] =
            line.split('\t').collect::<Vec<_>>().try_into().unwrap_or_else(|_| panic!("three columns: {line}"));
        // One line may stand for aliases with several names, and for several interfaces: `u64 (four aliases)`.
        let text = text.split(" (").next().unwrap_or(text).trim();
        let text = if line.contains(" aliases)") { text } else { line.rsplit('\t').next().unwrap() };
        for owner in owners.split(", ") {
            for name in names.split(", ") {
                expected.insert([owner, name, text].map(ToOwned::to_owned));
            }
        }
    }
    let mut found = BTreeSet::new();
    for (_, ty) in resolve.types.iter() {
        let (Some(name), TypeOwner::Interface(owner)) = (&ty.name, ty.owner) else { continue };
        // What `use` brings in is the same name of another interface.
        let used = matches!(ty.kind, TypeDefKind::Type(Type::Id(id)) if resolve.types[id].name.as_ref() == Some(name));
        if !used {
            let owner = resolve.interfaces[owner].name.clone().unwrap();
            found.insert([owner, name.clone(), structure(&resolve, &ty.kind)]);
        }
    }
    same(&expected, &found, "types.tsv", "wit/");
}

fn same(left: &BTreeSet<impl Ord + std::fmt::Debug>, right: &BTreeSet<impl Ord + std::fmt::Debug>, a: &str, b: &str) {
    let left: BTreeSet<_> = left.iter().map(|line| format!("{line:?}")).collect();
    let right: BTreeSet<_> = right.iter().map(|line| format!("{line:?}")).collect();
    let only_left: Vec<_> = left.difference(&right).cloned().collect();
    let only_right: Vec<_> = right.difference(&left).cloned().collect();
    assert!(
        only_left.is_empty() && only_right.is_empty(),
        "only in {a}:\n  {}\nonly in {b}:\n  {}",
        only_left.join("\n  "),
        only_right.join("\n  ")
    );
}

#[test]
fn wit_has_21_interfaces_one_per_file() {
    let resolve = wit();
    let names: BTreeSet<_> = interfaces(&resolve).into_keys().collect();
    let stems = files("wit", ".wit").into_iter().map(|path| path.file_stem().unwrap().display().to_string());
    let stems: BTreeSet<_> = stems.filter(|stem| stem != "world").collect();
    assert_eq!(names, stems);
    assert_eq!(names.len(), 21);
}

#[test]
fn every_manifest_validates() {
    let fixtures = files("tests/manifests", ".toml");
    for path in
        files("manifests", ".toml").into_iter().chain(fixtures).chain(files("tests/acme-greeter", "greeter.toml"))
    {
        let name = path.file_name().unwrap().display().to_string();
        let output = theater(&["validate", &path.display().to_string()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // A third party's plugin is built by the tests that use it.
        let elsewhere = name == "greeter.toml" && said.contains("acme:greeter");
        assert!(elsewhere || output.status.success(), "{name}: {said}");
    }
}

#[test]
fn every_manifest_and_every_actor_is_used_by_a_test_or_named_in_the_documentation() {
    let mut texts: Vec<_> = ["tests/tests", "tests/benches"]
        .into_iter()
        .filter(|folder| repository().join(folder).exists())
        .flat_map(|folder| files(folder, ".rs"))
        .collect();
    texts.retain(|path| !path.ends_with("architecture.rs"));
    let tests: String = texts.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap_or_default();
    let mut unused = Vec::new();
    for path in files("tests/manifests", ".toml") {
        let stem = path.file_stem().unwrap().display().to_string();
        let used = tests.contains(&format!("{stem:?}")) || readme.contains(&format!("manifests/{stem}.toml"));
        if !used {
            unused.push(named(&path));
        }
    }
    for actor in actors() {
        if !tests.contains(&format!("{actor:?}")) {
            unused.push(format!("tests/actors/{actor}"));
        }
    }
    assert!(unused.is_empty(), "no test and no documentation uses {unused:?}");
}

/// Members of the actors' workspace that are no actors, but shared by some.
const HELPERS: [&str; 2] = ["http", "message"];

/// The actors of `tests/actors`, from their workspace's list of members.
fn actors() -> Vec<String> {
    let workspace: toml::Table = read("tests/actors/Cargo.toml").parse().unwrap();
    let members = workspace["workspace"]["members"].as_array().unwrap();
    members
        .iter()
        .map(|member| member.as_str().unwrap().to_owned())
        .filter(|name| !HELPERS.contains(&name.as_str()))
        .collect()
}

/// The SHA-256 of an actor's source as `tests/actors/build` defines it.
fn source_sha256(actor: &str) -> String {
    let mut paths = vec!["tests/actors/Cargo.toml".to_owned(), "tests/actors/Cargo.lock".to_owned()];
    let source = read(format!("tests/actors/{actor}/src/lib.rs"));
    let mut folders: Vec<_> = HELPERS.iter().map(|helper| (format!("tests/actors/{helper}"), "")).collect();
    folders.extend([(format!("tests/actors/{actor}"), ""), ("wit".to_owned(), ".wit")]);
    if source.contains("theater_sdk") {
        folders.extend([("wit/sdk".to_owned(), ".rs"), ("wit/sdk".to_owned(), "Cargo.toml")]);
    }
    for third in ["acme-greeter", "bad-plugins"] {
        if source.contains(third) {
            folders.push((format!("tests/{third}/wit"), ".wit"));
        }
    }
    for (folder, ending) in folders {
        paths.extend(files(folder, ending).iter().map(|path| named(path)));
    }
    paths.sort();
    let line = |path: &String| format!("{}  {path}\n", sha256(&std::fs::read(repository().join(path)).unwrap()));
    sha256(paths.iter().map(line).collect::<String>().as_bytes())
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_actor_is_the_one_its_lock_was_written_for() {
    let lock: toml::Table = read("tests/actors/components.lock").parse().unwrap();
    let entries = lock["actor"].as_array().unwrap();
    let names: BTreeSet<_> = entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, actors().into_iter().collect());
    for entry in entries {
        let actor = entry["name"].as_str().unwrap();
        let component = std::fs::read(repository().join(format!("tests/actors/components/{actor}.wasm"))).unwrap();
        assert_eq!(
            entry["component_sha256"].as_str(),
            Some(sha256(&component).as_str()),
            "{actor}: the component differs"
        );
        assert_eq!(
            entry["source_sha256"].as_str(),
            Some(source_sha256(actor).as_str()),
            "{actor}: its source changed since the component was built; run tests/actors/build"
        );
    }
}

/// The lines of code in a text of Markdown: indented by four, or between fences.
fn code_lines(markdown: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in markdown.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            lines.push(line);
        } else if let Some(line) = line.strip_prefix("    ") {
            lines.push(line);
        }
    }
    lines
}

#[test]
fn the_readme_has_the_two_commands_and_names_only_what_is_there() {
    let Ok(readme) = std::fs::read_to_string(repository().join("README.md")) else { return };
    let lines = code_lines(&readme);
    let count = |wanted: &[&str]| lines.iter().filter(|line| wanted.contains(&line.trim_end())).count();
    assert_eq!(count(&["cargo build --release && target/release/theater run manifests/hello-http.toml"]), 1);
    assert_eq!(count(&["tests/setup && cargo test --workspace"]), 1);
    assert!(read(".ci/run").lines().any(|line| line == "tests/setup && cargo test --workspace"));
    assert!(readme.lines().count() <= 120);
    for line in readme.lines() {
        for word in line.split(|c: char| c.is_whitespace() || "`()|,;".contains(c)) {
            let word = word.trim_end_matches('.').trim_end_matches(':');
            let ours = ["runtime/", "plugin-api/", "plugins/", "wit/", "manifests/", "tests/"];
            if ours.iter().any(|folder| word.starts_with(folder)) {
                assert!(repository().join(word).exists(), "README.md names {word}, which is not there");
            }
        }
    }
}

/// Words in brackets in comments at the heads of tests.
fn marks_named_in(folder: &str) -> BTreeSet<String> {
    let sources: Vec<_> = files(folder, ".rs").into_iter().map(read).collect();
    let comments = sources.iter().flat_map(|source| source.lines()).filter_map(|line| {
        let line = line.trim();
        line.strip_prefix("// [").or_else(|| line.strip_prefix("/// ["))
    });
    let words = comments.flat_map(|words| words.split(['[', ']', ' ']));
    words.filter(|word| word.contains('-')).map(str::to_owned).collect()
}

#[test]
fn every_mark_is_named_by_a_test_and_every_test_names_marks_of_a_table() {
    let end_to_end = marks_named_in("tests/tests/e2e");
    let mut named = end_to_end.clone();
    let mut known = BTreeSet::new();
    for table in files("tests/marks", ".md") {
        let plugin = table.file_stem().unwrap().to_string_lossy().into_owned();
        let of_plugin = marks_named_in(&format!("plugins/{plugin}/src"));
        let text = read(&table);
        let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| mark "));
        for (number, row) in rows.enumerate() {
            let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [mark, sentence, shown] = cells[..] else { panic!("three cells: {row}") };
            assert!(mark.ends_with(&format!("-{}", number + 1)), "{plugin}: {mark} is row {}", number + 1);
            let by = match shown {
                "e2e" => &end_to_end,
                "" => &of_plugin,
                other => panic!("{mark}: {other}"),
            };
            assert!(by.contains(mark), "no test names {mark}: {sentence}");
            known.insert(mark.to_owned());
        }
        named.extend(of_plugin);
    }
    assert_eq!(files("tests/marks", ".md").len(), 13);
    let unknown: Vec<_> = named.difference(&known).collect();
    assert!(unknown.is_empty(), "marks that no table has: {unknown:?}");
}

#[test]
fn the_reference_of_manifests_and_the_table_of_plugins_are_generated() {
    for (path, expected) in theater_tests::reference::expected() {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &expected).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap();
        assert!(found == expected, "{} is out of date: UPDATE_GOLDEN=1 writes it", path.display());
    }
}

#[test]
fn the_reference_of_manifests_has_every_key_with_its_default() {
    let reference = read("manifests/README.md");
    let row = |key: &str| reference.lines().find(|line| line.starts_with("| ") && line.contains(key));
    let source = read("runtime/src/manifest/read.rs");
    let keys = source.split("const KEYS").nth(1).unwrap().split("];").next().unwrap();
    let keys: Vec<_> = keys.split('"').skip(1).step_by(2).collect();
    assert!(keys.len() >= 20, "{keys:?}");
    for key in keys {
        assert!(["`", "`[[", "`["].iter().any(|open| row(&format!("{open}{key}")).is_some()), "{key}");
    }
    for (key, default) in Limits::default().list() {
        let row = row(&format!("| `{key}` |")).unwrap_or_else(|| panic!("no row for {key}"));
        assert!(row.contains(&format!("| `{default}` |")), "{row}");
    }
    for key in ["sync", "snapshot_every", "keep", "retry_effects"] {
        assert!(row(&format!("| `{key}` |")).is_some(), "{key}");
    }
}
