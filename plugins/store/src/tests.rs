//! Behaviour as actors and operators see it. Each test names the marks of `tests/marks/store.md` that it covers.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use theater_plugin_api::testing::{FakeHost, attach_to, block_on};
use theater_plugin_api::{Bytes, Plugin};

use crate::hash::Hash;
use crate::theater::simple::store::ContentRef;
use crate::{StoreHandler, Stores};

mod crash;
mod narrowing;
mod speed;

/// A plugin with a data folder.
struct World {
    core: FakeHost,
    plugin: Stores,
}

/// An actor with the handler `store`.
struct Actor {
    host: FakeHost,
    handler: Arc<StoreHandler>,
}

impl World {
    fn new() -> Self {
        let core = FakeHost::new();
        Self { plugin: Stores::init(core.host()).unwrap(), core }
    }

    /// A new run of the program with the same data folder.
    fn again(self) -> Self {
        let Self { core, plugin } = self;
        drop(plugin);
        Self { plugin: Stores::init(core.host()).unwrap(), core }
    }

    fn folder(&self) -> PathBuf {
        self.core.host().data_folder().unwrap()
    }

    /// The path of a content's file.
    fn file(&self, content: &[u8]) -> PathBuf {
        let hash = Hash::of(content).to_string();
        self.folder().join("contents").join(&hash[..2]).join(hash)
    }

    fn actor(&self, config: Value) -> Actor {
        self.started(FakeHost::new(), config)
    }

    fn started(&self, host: FakeHost, config: Value) -> Actor {
        let handler = block_on(attach_to(&self.plugin, &host, "store", config)).unwrap();
        Actor { host, handler }
    }

    /// An actor and a store that it created.
    fn owner(&self, config: Value) -> (Actor, String) {
        let actor = self.actor(config);
        let store = actor.ask("new", &()).unwrap();
        (actor, store)
    }

    fn command(&self, words: &[&str]) -> Result<Value, String> {
        block_on(self.plugin.command("store", json!({ "args": words })))
    }

    fn resolve(&self, url: &str) -> Result<Vec<u8>, String> {
        block_on(self.plugin.resolve(url, "", &Value::Null))
    }
}

impl Actor {
    fn ask<T: DeserializeOwned>(&self, function: &str, arguments: &impl Serialize) -> Result<T, String> {
        block_on(self.host.call(&self.handler, function, arguments)).unwrap()
    }

    fn store(&self, store: &str, content: &str) -> Result<ContentRef, String> {
        self.ask("store", &(store, Bytes::from(content)))
    }

    fn at_label(&self, store: &str, label: &str, content: &str) -> ContentRef {
        self.ask("store-at-label", &(store, label, Bytes::from(content))).unwrap()
    }

    fn get(&self, store: &str, content: &ContentRef) -> Result<String, String> {
        let bytes: Result<Bytes, String> = self.ask("get", &(store, content));
        bytes.map(|bytes| String::from_utf8(bytes.into_vec()).unwrap())
    }

    /// The content of a label's newest reference.
    fn newest(&self, store: &str, label: &str) -> Option<String> {
        let newest: Option<ContentRef> = self.ask("get-by-label", &(store, label)).unwrap();
        newest.map(|content| self.get(store, &content).unwrap())
    }

    fn labels(&self, store: &str) -> Vec<String> {
        self.ask("list-labels", &(store,)).unwrap()
    }

    fn size(&self, store: &str) -> u64 {
        self.ask("calculate-total-size", &(store,)).unwrap()
    }
}

fn reference(content: &str) -> ContentRef {
    ContentRef { hash: Hash::of(content.as_bytes()).to_string() }
}

/// [store-1]
#[test]
fn a_content_is_named_by_its_hash_and_read_by_it() {
    let world = World::new();
    let (actor, store) = world.owner(json!({}));
    let content = actor.store(&store, "abc").unwrap();
    assert_eq!(content.hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(actor.store(&store, "abc").unwrap(), content);
    assert_eq!(actor.get(&store, &content), Ok("abc".to_owned()));
    let empty = actor.store(&store, "").unwrap();
    assert_eq!(actor.get(&store, &empty), Ok(String::new()));
    assert_eq!(actor.ask("exists", &(&store, &content)), Ok(true));
    assert_eq!(actor.ask("exists", &(&store, reference("other"))), Ok(false));
    let missing = actor.get(&store, &reference("other")).unwrap_err();
    assert!(missing.contains("has no content"), "{missing}");
}

/// [store-2]
#[test]
fn contents_are_on_disk_under_the_data_folder_and_nothing_is_before_the_first_call() {
    let world = World::new();
    let actor = world.actor(json!({ "stores": ["shared-assets"] }));
    assert_eq!(fs::read_dir(world.folder()).unwrap().count(), 0);
    actor.store("shared-assets", "abc").unwrap();
    assert_eq!(fs::read(world.file(b"abc")).unwrap(), b"abc");
    assert_eq!(fs::read_dir(world.folder().join("aside")).unwrap().count(), 0);
}

/// [store-3]
#[test]
fn another_actors_store_looks_like_none() {
    let world = World::new();
    let (owner, store) = world.owner(json!({}));
    let content = owner.at_label(&store, "app", "abc");
    let other = world.actor(json!({ "stores": ["shared-assets"] }));
    let none = "00000000-0000-4000-8000-000000000000";
    let refused = |id: &str| {
        let mut errors = vec![other.store(id, "x").unwrap_err(), other.get(id, &content).unwrap_err()];
        errors.push(other.ask::<bool>("exists", &(id, &content)).unwrap_err());
        errors.push(other.ask::<ContentRef>("store-at-label", &(id, "app", Bytes::from("x"))).unwrap_err());
        errors.push(other.ask::<ContentRef>("replace-content-at-label", &(id, "app", Bytes::from("x"))).unwrap_err());
        errors.push(other.ask::<Option<ContentRef>>("get-by-label", &(id, "app")).unwrap_err());
        errors.push(other.ask::<()>("label", &(id, "app", &content)).unwrap_err());
        errors.push(other.ask::<()>("replace-at-label", &(id, "app", &content)).unwrap_err());
        errors.push(other.ask::<()>("remove-label", &(id, "app")).unwrap_err());
        errors.push(other.ask::<()>("remove-from-label", &(id, "app", &content)).unwrap_err());
        errors.push(other.ask::<Vec<String>>("list-labels", &(id,)).unwrap_err());
        errors.push(other.ask::<Vec<ContentRef>>("list-all-content", &(id,)).unwrap_err());
        errors.push(other.ask::<u64>("calculate-total-size", &(id,)).unwrap_err());
        errors.iter().map(|error| error.replace(id, "ID")).collect::<Vec<_>>()
    };
    let errors = refused(&store);
    assert_eq!(errors, refused(none));
    assert!(errors.iter().all(|error| *error == errors[0] && error.contains("stores = [\"ID\"]")), "{errors:?}");
    let elsewhere = other.get("shared-assets", &content).unwrap_err();
    assert!(elsewhere.contains("has no content"), "{elsewhere}");
    assert_eq!(owner.newest(&store, "app").as_deref(), Some("abc"));
}

/// [store-4]
#[test]
fn a_granted_store_is_made_at_its_first_use_and_is_its_name() {
    let world = World::new();
    let (one, two) = (world.actor(json!({ "stores": ["shared"] })), world.actor(json!({ "stores": ["shared"] })));
    assert_eq!(two.newest("shared", "app"), None);
    assert_eq!((two.labels("shared"), two.size("shared")), (vec![], 0));
    assert_eq!(two.ask("remove-label", &("shared", "app")), Ok(()));
    assert_eq!(world.command(&["ls"]), Ok(json!([])));
    one.at_label("shared", "app", "abc");
    assert_eq!(two.newest("shared", "app").as_deref(), Some("abc"));
    assert_eq!(world.command(&["ls"]), Ok(json!([{ "store": "shared", "owner": null, "contents": 1, "bytes": 3 }])));
}

/// [store-5]
#[test]
fn a_hostile_id_label_or_hash_is_err_everywhere_and_leaves_no_file() {
    let world = World::new();
    let (actor, store) = world.owner(json!({}));
    let content = actor.store(&store, "abc").unwrap();
    for id in ["", "..", "../x", "/etc", "a/b", "a\0", "\u{202e}", &"x".repeat(65)] {
        let error = actor.store(id, "x").unwrap_err();
        assert!(error.contains("not a store id"), "{error}");
        assert!(actor.ask::<u64>("calculate-total-size", &(id,)).unwrap_err().contains("not a store id"));
        assert!(actor.ask::<()>("label", &(id, "a", &content)).unwrap_err().contains("not a store id"));
    }
    for label in ["", "a\nb", "\0", "\u{1b}[2J", &"x".repeat(513)] {
        for function in ["label", "replace-at-label", "remove-from-label"] {
            let error = actor.ask::<()>(function, &(&store, label, &content)).unwrap_err();
            assert!(error.contains("not a label"), "{function}: {error}");
        }
        for function in ["store-at-label", "replace-content-at-label"] {
            let error = actor.ask::<ContentRef>(function, &(&store, label, Bytes::from("new"))).unwrap_err();
            assert!(error.contains("not a label"), "{function}: {error}");
        }
        assert!(actor.ask::<()>("remove-label", &(&store, label)).unwrap_err().contains("not a label"));
        assert!(actor.ask::<Option<ContentRef>>("get-by-label", &(&store, label)).unwrap_err().contains("not a label"));
    }
    for hash in ["", "../x", "abc", &content.hash.to_uppercase(), &format!("{}0", content.hash)] {
        let bad = ContentRef { hash: hash.to_owned() };
        assert!(actor.get(&store, &bad).unwrap_err().contains("not a hash"));
        assert!(actor.ask::<bool>("exists", &(&store, &bad)).unwrap_err().contains("not a hash"));
        for function in ["label", "replace-at-label", "remove-from-label"] {
            assert!(actor.ask::<()>(function, &(&store, "a", &bad)).unwrap_err().contains("not a hash"), "{function}");
        }
    }
    actor.at_label(&store, "../../x", "climb");
    assert_eq!(actor.newest(&store, "../../x").as_deref(), Some("climb"));
    assert_eq!(actor.labels(&store), ["../../x"]);
    let mut files: Vec<_> = fs::read_dir(world.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["aside", "contents", "index.redb"]);
}

/// [store-6]
#[test]
fn a_flipped_byte_is_reported_and_storing_the_same_bytes_repairs_it() {
    let world = World::new();
    let (actor, store) = world.owner(json!({}));
    let content = actor.store(&store, "abc").unwrap();
    for damaged in [&b"abd"[..], b"ab", b"abc\0", b""] {
        fs::write(world.file(b"abc"), damaged).unwrap();
        let error = actor.get(&store, &content).unwrap_err();
        assert!(error.contains("is damaged") && error.contains(&content.hash), "{error}");
        actor.store(&store, "abc").unwrap();
        assert_eq!(actor.get(&store, &content), Ok("abc".to_owned()));
    }
    fs::remove_file(world.file(b"abc")).unwrap();
    let error = actor.get(&store, &content).unwrap_err();
    assert!(error.contains("is lost"), "{error}");
    assert_eq!(world.core.lines().len(), 5, "each failure is logged for the operator");
    actor.store(&store, "abc").unwrap();
    assert_eq!(actor.get(&store, &content), Ok("abc".to_owned()));
}

/// [store-2] A content whose file is intact is compared, whatever its length, and not written again.
#[test]
fn storing_what_is_there_leaves_its_file_alone() {
    let world = World::new();
    let (actor, store) = world.owner(json!({}));
    for content in ["", "abc", &"x".repeat(200_000)] {
        actor.store(&store, content).unwrap();
        let file = || fs::metadata(world.file(content.as_bytes())).unwrap().ino();
        let before = file();
        actor.at_label(&store, "app", content);
        assert_eq!(file(), before, "{} bytes were written again", content.len());
    }
}

/// [store-6] An I/O error is reported as such, with the path of the file.
#[test]
fn a_file_that_cannot_be_opened_or_removed_is_err_with_its_path() {
    let world = World::new();
    let (actor, store) = world.owner(json!({}));
    let content = actor.store(&store, "abc").unwrap();
    let (file, aside) = (world.file(b"abc"), world.folder().join("aside/7"));
    // Even root cannot open a symbolic link to itself, or remove a directory as a file.
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(&file, &file).unwrap();
    let error = actor.get(&store, &content).unwrap_err();
    assert!(error.contains("could not open") && error.contains(file.to_str().unwrap()), "{error}");
    fs::create_dir(&aside).unwrap();
    let error = world.command(&["gc"]).unwrap_err();
    assert!(error.contains("could not remove") && error.contains(aside.to_str().unwrap()), "{error}");
}

/// [store-12] [store-19]
#[test]
fn a_lost_content_is_removed_like_any_other() {
    let world = World::new();
    let (actor, store) = world.owner(json!({}));
    let content = actor.store(&store, "abc").unwrap();
    fs::remove_file(world.file(b"abc")).unwrap();
    assert_eq!(world.command(&["rm", &store, &content.hash]).unwrap()["contents_freed"], 1);
    assert_eq!(actor.size(&store), 0);
}

/// [store-7] [store-9] [store-11] The newest reference after each removal shows what the label held, and in which
/// order.
#[test]
fn a_label_holds_each_reference_once_and_the_newest_last() {
    let world = World::new();
    let (actor, store) = world.owner(json!({}));
    for content in ["a", "b", "c", "a"] {
        actor.at_label(&store, "app", content);
        assert_eq!(actor.newest(&store, "app").as_deref(), Some(content));
    }
    actor.ask::<()>("label", &(&store, "app", reference("b"))).unwrap();
    for newest in ["b", "a", "c"] {
        assert_eq!(actor.newest(&store, "app").as_deref(), Some(newest));
        assert_eq!(actor.labels(&store), ["app"]);
        actor.ask::<()>("remove-from-label", &(&store, "app", reference(newest))).unwrap();
    }
    assert_eq!((actor.newest(&store, "app"), actor.labels(&store)), (None, vec![]));
    assert_eq!(actor.size(&store), 3, "contents stay");
}

/// [store-8]
#[test]
fn a_label_takes_no_content_the_store_does_not_have() {
    let world = World::new();
    let (actor, store) = world.owner(json!({}));
    let elsewhere: String = actor.ask("new", &()).unwrap();
    actor.store(&elsewhere, "abc").unwrap();
    actor.at_label(&store, "app", "old");
    for function in ["label", "replace-at-label"] {
        for content in ["abc", "nowhere"] {
            let error = actor.ask::<()>(function, &(&store, "app", reference(content))).unwrap_err();
            assert!(error.contains("has no content"), "{error}");
        }
    }
    assert_eq!(actor.newest(&store, "app").as_deref(), Some("old"));
}

/// [store-10]
#[test]
fn replacing_leaves_one_reference() {
    let world = World::new();
    let (actor, store) = world.owner(json!({}));
    for content in ["a", "b", "c"] {
        actor.at_label(&store, "app", content);
    }
    actor.ask::<()>("replace-at-label", &(&store, "app", reference("a"))).unwrap();
    assert_eq!(actor.newest(&store, "app").as_deref(), Some("a"));
    actor.ask::<()>("remove-from-label", &(&store, "app", reference("a"))).unwrap();
    assert_eq!(actor.labels(&store), [""; 0]);
    actor.at_label(&store, "app", "b");
    let content: ContentRef = actor.ask("replace-content-at-label", &(&store, "app", Bytes::from("d"))).unwrap();
    assert_eq!(content, reference("d"));
    actor.ask::<()>("remove-from-label", &(&store, "app", content)).unwrap();
    assert_eq!(actor.newest(&store, "app"), None);
    actor.ask::<ContentRef>("replace-content-at-label", &(&store, "fresh", Bytes::from("d"))).unwrap();
    assert_eq!(actor.newest(&store, "fresh").as_deref(), Some("d"));
}

/// [store-10] A concurrent reader sees the old content or the new one, never none.
#[test]
fn replacing_is_atomic() {
    let world = World::new();
    let config = json!({ "stores": ["shared"] });
    let (writer, reader) = (world.actor(config.clone()), world.actor(config));
    writer.at_label("shared", "app", "0");
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for n in 1..30 {
                let content = Bytes::from(n.to_string());
                writer.ask::<ContentRef>("replace-content-at-label", &("shared", "app", content)).unwrap();
            }
        });
        let mut last = 0;
        while !writing.is_finished() {
            let seen: u32 = reader.newest("shared", "app").unwrap().parse().unwrap();
            assert!(seen >= last, "{seen} after {last}");
            last = seen;
        }
    });
}

/// [store-12]
#[test]
fn removing_what_is_not_there_is_ok() {
    let world = World::new();
    let (actor, store) = world.owner(json!({}));
    actor.at_label(&store, "app", "abc");
    assert_eq!(actor.ask("remove-label", &(&store, "other")), Ok(()));
    assert_eq!(actor.ask("remove-from-label", &(&store, "other", reference("abc"))), Ok(()));
    assert_eq!(actor.ask("remove-from-label", &(&store, "app", reference("nowhere"))), Ok(()));
    assert_eq!(actor.newest(&store, "app").as_deref(), Some("abc"));
    for _ in 0..2 {
        assert_eq!(actor.ask("remove-label", &(&store, "app")), Ok(()));
        assert_eq!(actor.newest(&store, "app"), None);
    }
}

/// [store-13]
#[test]
fn lists_are_sorted_by_bytes_and_of_one_store() {
    let world = World::new();
    let (actor, store) = world.owner(json!({}));
    let other: String = actor.ask("new", &()).unwrap();
    for label in ["b", "a", "é", "Z", "a/b", "aa", "a b", "~"] {
        actor.at_label(&store, label, label);
        actor.at_label(&store, label, "second");
        actor.at_label(&other, "elsewhere", "elsewhere");
    }
    actor.store(&store, "unlabelled").unwrap();
    assert_eq!(actor.labels(&store), ["Z", "a", "a b", "a/b", "aa", "b", "~", "é"]);
    let contents: Vec<ContentRef> = actor.ask("list-all-content", &(&store,)).unwrap();
    let hashes: Vec<_> = contents.iter().map(|content| &content.hash).collect();
    assert!(hashes.is_sorted() && hashes.len() == 10, "{hashes:?}");
    assert!(contents.contains(&reference("unlabelled")) && !contents.contains(&reference("elsewhere")));
}

/// [store-13] [store-19] Stores with adjacent ids keep their labels and contents apart.
#[test]
fn stores_beside_one_another_keep_their_labels_and_contents_apart() {
    let world = World::new();
    let stores = ["a", "b", "c"];
    let actor = world.actor(json!({ "stores": stores }));
    for store in stores {
        actor.at_label(store, store, store);
        actor.store(store, "loose").unwrap();
    }
    for store in stores {
        assert_eq!(actor.labels(store), [store]);
        assert_eq!(actor.newest(store, store).as_deref(), Some(store));
        let contents: Vec<ContentRef> = actor.ask("list-all-content", &(store,)).unwrap();
        assert_eq!(contents.len(), 2);
        assert_eq!(world.command(&["ls", store]).unwrap().as_array().unwrap().len(), 2);
    }
    // A label in another store does not keep this store from dropping the content.
    actor.ask::<()>("label", &("c", "loose", reference("loose"))).unwrap();
    assert_eq!(world.command(&["rm", "b", &reference("loose").hash]).unwrap()["contents_freed"], 0);
    assert_eq!(world.command(&["rm", "b"]).unwrap()["contents_freed"], 1);
    assert_eq!((actor.labels("a"), actor.labels("b"), actor.labels("c").len()), (vec!["a".to_owned()], vec![], 2));
    assert_eq!(actor.get("c", &reference("loose")), Ok("loose".to_owned()));
}

/// [store-14] For the behaviour after a kill see `crash`.
#[test]
fn an_actor_that_starts_again_finds_its_stores() {
    let world = World::new();
    let (Actor { host, handler }, store) = world.owner(json!({}));
    let before = Actor { host, handler };
    before.at_label(&store, "app", "abc");
    let Actor { host, handler } = before;
    drop(handler);
    let world = world.again();
    let actor = world.started(host, json!({}));
    actor.host.recover(&actor.handler, "new", &(), &Ok::<_, String>(&store)).unwrap();
    assert_eq!(actor.newest(&store, "app").as_deref(), Some("abc"));
    assert_eq!(actor.size(&store), 3);
}

/// [store-15]
#[test]
fn the_size_counts_each_content_once_and_the_disk_has_one_file_for_all_stores() {
    let world = World::new();
    let (actor, one) = world.owner(json!({}));
    let two: String = actor.ask("new", &()).unwrap();
    for label in ["a", "b"] {
        actor.at_label(&one, label, "abc");
        actor.at_label(&two, label, "abc");
    }
    actor.store(&one, "de").unwrap();
    assert_eq!((actor.size(&one), actor.size(&two)), (5, 3));
    assert_eq!(world.command(&["rm", &one]), Ok(json!({ "store": one, "contents_freed": 1 })));
    assert_eq!(actor.newest(&two, "a").as_deref(), Some("abc"));
    assert!(!world.file(b"de").exists());
}

/// [store-16]
#[test]
fn a_content_or_a_store_above_its_quota_is_err_that_names_the_line_to_add() {
    let world = World::new();
    let (actor, store) = world.owner(json!({ "max_bytes": 10, "max_content_bytes": 6, "max_stores": 2 }));
    let big = actor.store(&store, "1234567").unwrap_err();
    assert!(big.contains("max_content_bytes = 7"), "{big}");
    actor.store(&store, "123456").unwrap();
    let full = actor.ask::<ContentRef>("store-at-label", &(&store, "app", Bytes::from("abcde"))).unwrap_err();
    assert!(full.contains("max_bytes = 11") && !world.file(b"abcde").exists(), "{full}");
    assert_eq!(actor.labels(&store), [""; 0]);
    actor.store(&store, "abcd").unwrap();
    actor.store(&store, "123456").unwrap();
    assert_eq!(actor.size(&store), 10);
    let second: String = actor.ask("new", &()).unwrap();
    actor.store(&second, "abcd").unwrap();
    assert!(actor.ask::<String>("new", &()).unwrap_err().contains("max_stores = 3"));
    world.command(&["rm", &second]).unwrap();
    assert!(actor.ask::<String>("new", &()).is_ok());
}

#[test]
fn the_references_of_a_stores_labels_are_bounded() {
    let world = World::new();
    let (actor, store) = world.owner(json!({ "max_references": 3 }));
    let put = |label: &str, text: &str| actor.ask::<ContentRef>("store-at-label", &(&store, label, Bytes::from(text)));
    for (label, text) in [("a", "1"), ("a", "2"), ("b", "1"), ("a", "1"), ("b", "1")] {
        put(label, text).unwrap();
    }
    let full = put("b", "3").unwrap_err();
    assert!(full.contains("3 references") && full.contains("max_references = 4"), "{full}");
    assert!(!world.file(b"3").exists());
    // Replacing a label frees both of its references and adds one.
    actor.ask::<ContentRef>("replace-content-at-label", &(&store, "a", Bytes::from("4"))).unwrap();
    put("c", "3").unwrap();
    assert!(put("d", "3").is_err());
    actor.ask::<()>("remove-label", &(&store, "c")).unwrap();
    put("d", "3").unwrap();
    assert!(put("e", "3").is_err());
}

/// [store-16] The defaults in the schema match the code.
#[test]
fn the_defaults_are_those_the_schema_says() {
    let schema: Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
    let narrowed = Stores::narrow(&World::new().plugin, "store", &json!({}), &json!({})).unwrap();
    for (key, value) in narrowed.as_object().unwrap() {
        assert_eq!(schema["properties"][key]["default"], *value, "{key}");
    }
}

/// [store-3] A child gets no store that its parent does not have.
#[test]
fn narrowing_takes_the_common_stores_and_the_smaller_numbers() {
    let ceiling = json!({ "stores": ["a", "b"], "max_bytes": 5 });
    let requested = json!({ "stores": ["b", "c"], "max_content_bytes": 3 });
    let narrowed = World::new().plugin.narrow("store", &ceiling, &requested).unwrap();
    let expected = json!({ "stores": ["b"], "max_bytes": 5, "max_content_bytes": 3, "max_stores": 1_000, "max_references": 1_000_000 });
    assert_eq!(narrowed, expected);
    let nothing = World::new().plugin.narrow("store", &json!({}), &requested).unwrap();
    assert_eq!(nothing.get("stores"), None);
}

/// [store-5]
#[test]
fn a_wrong_name_in_stores_fails_the_start() {
    let world = World::new();
    let config = json!({ "stores": ["ok", "../x"] });
    let error = block_on(attach_to(&world.plugin, &FakeHost::new(), "store", config)).err().unwrap();
    assert!(error.contains("stores = [...]") && error.contains("\"../x\"") && error.contains("a-z"), "{error}");
}

/// [store-18] For the form of a URL see `names`.
#[test]
fn a_url_answers_the_newest_of_a_label_or_a_content() {
    let world = World::new();
    let actor = world.actor(json!({ "stores": ["s"] }));
    actor.at_label("s", "apps/the first.wasm", "old");
    let content = actor.at_label("s", "apps/the first.wasm", "new");
    assert_eq!(world.resolve("store://s/apps/the%20first.wasm"), Ok(b"new".to_vec()));
    assert_eq!(world.resolve(&format!("store://s/hash/{}", content.hash)), Ok(b"new".to_vec()));
    for (url, why) in [
        ("store://s/other".to_owned(), "has no label"),
        (format!("store://s/hash/{}", reference("x").hash), "has no content"),
        ("store://t/apps".to_owned(), "there is no store t"),
        ("store://s/a%".to_owned(), "hexadecimal"),
    ] {
        let error = world.resolve(&url).unwrap_err();
        assert!(error.contains(&url) && error.contains(why), "{error}");
    }
}

/// [store-18]
#[test]
fn a_url_reaches_no_store_that_whoever_names_it_may_not_see() {
    let world = World::new();
    world.actor(json!({ "stores": ["s"] })).at_label("s", "app", "shared");
    let (owner, own) = world.owner(json!({}));
    owner.at_label(&own, "app", "own");
    let id = owner.host.host().whose().unwrap().actor;
    let resolve = |url: &str, actor: &str, ceiling| block_on(world.plugin.resolve(url, actor, &ceiling));
    let own = format!("store://{own}/app");
    assert_eq!(resolve("store://s/app", &id, json!({ "stores": ["s"] })), Ok(b"shared".to_vec()));
    assert_eq!(resolve(&own, &id, json!({})), Ok(b"own".to_vec()));
    for (url, actor, ceiling) in [
        ("store://s/app", id.as_str(), json!({})),
        ("store://s/app", id.as_str(), json!({ "stores": ["t"] })),
        (own.as_str(), "somebody", json!({ "stores": ["s"] })),
        (own.as_str(), "", json!({ "stores": ["s"] })),
    ] {
        let error = resolve(url, actor, ceiling).unwrap_err();
        assert!(error.contains(url) && error.contains("has no store"), "{error}");
    }
}

/// [store-19]
#[test]
fn an_operator_fills_lists_and_reads_a_store() {
    let world = World::new();
    let (one, two) = (world.folder().join("one"), world.folder().join("two"));
    fs::write(&one, "abc").unwrap();
    let (file, copy) = (one.to_str().unwrap(), two.to_str().unwrap());
    let hash = reference("abc").hash;
    assert_eq!(world.command(&["new", "assets"]), Ok(json!({ "store": "assets" })));
    assert!(world.command(&["new", "assets"]).unwrap_err().contains("already"));
    assert!(world.command(&["new", "../x"]).unwrap_err().contains("not a store id"));
    let put = world.command(&["put", "assets", file, "--label", "app"]);
    assert_eq!(put, Ok(json!({ "store": "assets", "hash": hash, "bytes": 3, "label": "app" })));
    assert_eq!(world.command(&["label", "assets", "other", &hash]).unwrap()["label"], "other");
    let row = json!({ "hash": hash, "bytes": 3, "labels": ["app", "other"], "older_of": [] });
    assert_eq!(world.command(&["ls", "assets"]), Ok(json!([row])));
    for target in ["app", &hash] {
        assert_eq!(world.command(&["get", "assets", target, copy]).unwrap()["bytes"], 3);
        assert_eq!(fs::read(&two).unwrap(), b"abc");
        fs::remove_file(&two).unwrap();
    }
    let id = world.command(&["new"]).unwrap()["store"].as_str().unwrap().to_owned();
    assert_eq!(world.command(&["ls", &id]), Ok(json!([])));
    assert!(world.command(&["put", &uuid::Uuid::nil().to_string(), file]).unwrap_err().contains("there is no store"));
    assert!(world.command(&["put", "made-by-put", file]).is_ok());
}

/// [store-19]
#[test]
fn an_operator_removes_labels_contents_and_stores() {
    let world = World::new();
    let (actor, store) = world.owner(json!({}));
    let content = actor.at_label(&store, "app", "abc");
    let refused = world.command(&["rm", &store, &content.hash]).unwrap_err();
    assert!(refused.contains("the label \"app\""), "{refused}");
    assert_eq!(actor.newest(&store, "app").as_deref(), Some("abc"));
    assert!(world.command(&["rm", &store, "other"]).unwrap_err().contains("has no label"));
    assert_eq!(world.command(&["rm", &store, "app"]), Ok(json!({ "store": store, "label": "app" })));
    assert_eq!(world.command(&["rm", &store, &content.hash]).unwrap()["contents_freed"], 1);
    assert!(!world.file(b"abc").exists());
    assert_eq!((actor.size(&store), actor.ask("exists", &(&store, &content))), (0, Ok(false)));
    assert_eq!(world.command(&["rm", &store]).unwrap()["contents_freed"], 0);
    assert!(actor.store(&store, "abc").unwrap_err().contains("has no store"));
    assert!(world.command(&["rm", &store]).unwrap_err().contains("there is no store"));
}

/// [store-19]
#[test]
fn gc_removes_what_no_store_holds_and_with_a_store_what_no_label_has() {
    let world = World::new();
    let (actor, store) = world.owner(json!({}));
    actor.at_label(&store, "app", "older");
    actor.at_label(&store, "app", "newer");
    let loose = actor.store(&store, "loose").unwrap();
    fs::write(world.file(b"orphan"), "orphan").unwrap();
    fs::write(world.folder().join("aside/7"), "half").unwrap();
    let swept = world.command(&["gc"]);
    assert_eq!(swept, Ok(json!({ "contents_freed": 1, "bytes_freed": 6, "half_written": 1 })));
    assert!(!world.file(b"orphan").exists());
    assert_eq!(fs::read_dir(world.folder().join("aside")).unwrap().count(), 0);
    assert_eq!(actor.get(&store, &loose), Ok("loose".to_owned()));
    let dropped = world.command(&["gc", "--unlabelled", &store]);
    assert_eq!(dropped, Ok(json!({ "store": store, "removed": 1, "contents_freed": 1 })));
    assert!(actor.get(&store, &loose).is_err() && actor.get(&store, &reference("older")).is_ok());
    assert_eq!(actor.size(&store), 10);
}

/// [store-19]
#[test]
fn a_wrong_word_is_answered_with_the_usage() {
    let world = World::new();
    for words in [&["put", "a"][..], &["put", "a", "b", "--label"], &["put", "a", "b", "--lable", "c"]] {
        let usage = world.command(words).unwrap_err();
        let expected = "put does not take these arguments; usage: `theater store put STORE FILE [--label LABEL]`";
        assert_eq!(usage, expected);
    }
    let usage = world.command(&["lst"]).unwrap_err();
    assert!(usage.contains("\"lst\"") && usage.contains("`theater store ls`"), "{usage}");
    let usage = world.command(&[]).unwrap_err();
    assert!(usage.starts_with("a command is missing") && usage.contains("`theater store new [NAME]`"), "{usage}");
    assert_eq!(world.command(&["help"]).unwrap().as_array().unwrap().len(), 9);
    assert!(block_on(world.plugin.command("store", json!(["ls"]))).unwrap_err().contains("\"args\""));
    assert!(block_on(world.plugin.command("shop", json!({ "args": [] }))).unwrap_err().contains("shop"));
}

/// [store-16] Changes that share a transaction succeed or fail independently.
#[test]
fn writers_at_the_same_time_stay_within_the_quota() {
    let world = World::new();
    let config = json!({ "stores": ["shared"], "max_bytes": 50 });
    let stored: Vec<bool> = std::thread::scope(|scope| {
        let write = |n: usize| world.actor(config.clone()).store("shared", &format!("{n:010}")).is_ok();
        let writers: Vec<_> = (0..12).map(|n| scope.spawn(move || write(n))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert_eq!(stored.iter().filter(|stored| **stored).count(), 5);
    let actor = world.actor(config);
    assert_eq!(actor.size("shared"), 50);
    for (n, stored) in stored.into_iter().enumerate() {
        assert_eq!(actor.get("shared", &reference(&format!("{n:010}"))).is_ok(), stored, "{n}");
    }
}

/// [store-19]
#[test]
fn removing_beside_writers_takes_no_file_they_count_on() {
    let world = World::new();
    let config = json!({ "stores": ["shared"] });
    std::thread::scope(|scope| {
        let write = |actor: &Actor| {
            for n in 0..20 {
                actor.at_label("shared", "app", &(n % 3).to_string());
                actor.newest("shared", "app").unwrap();
            }
        };
        let writers: Vec<_> =
            (0..3).map(|_| world.actor(config.clone())).map(|a| scope.spawn(move || write(&a))).collect();
        let other = world.actor(config.clone());
        while !writers.iter().all(|writer| writer.is_finished()) {
            // Another store adds and drops the same content.
            let store: String = other.ask("new", &()).unwrap();
            other.store(&store, "1").unwrap();
            world.command(&["rm", &store]).unwrap();
            world.command(&["gc"]).unwrap();
        }
    });
}

#[test]
fn a_second_process_is_told_that_the_first_has_the_stores() {
    let world = World::new();
    world.command(&["new", "a"]).unwrap();
    let other = Stores::init(world.core.host()).unwrap();
    let error = block_on(other.command("store", json!({ "args": ["ls"] }))).unwrap_err();
    assert!(error.contains("in use by another process"), "{error}");
}
