//! Measures a big store the way the core calls it: loads the plugin's library, calls the handler's functions through
//! its table with encoded arguments, and decodes the answers. The costs of the actor's own memory and chain are not
//! included.
//!
//! The limit of `get` applies to files that are read from disk, as in a store that is larger than memory: each file is
//! evicted from the page cache before it is read. The figures for cached files are printed too; there, the SHA-256 that
//! `get` verifies takes several times as long as the read, as `file_and_sha256_us` shows.
//!
//! A separate process fills the store, so that memory which filling freed does not hide the memory of a list.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use theater_plugin_api::Bytes;
use theater_plugin_api::abi::{CallContext, Called, HeldContext, OK, OwnedHandler};
use theater_plugin_api::encoding::{Reader, encode};
use theater_plugin_api::testing::{FakeHost, Seeded, block_on};
use theater_runtime::plugin::discovery::Plugins;
use theater_runtime::plugin::loaded::Plugin;
use theater_tests::{Scratch, build_folder};

const STORE: &str = "big";
const WRITERS: u64 = 16;
/// Number of contents that `get` is measured with.
const SAMPLE: u64 = 500;
const GET_RATIO: f64 = 2.0;
const LIST_TIME: Duration = Duration::from_secs(1);
const LIST_MEMORY: u64 = 32_000_000;

/// The record `content-ref` of WIT.
#[derive(Debug, Serialize, serde::Deserialize, Clone, PartialEq)]
struct ContentRef {
    hash: String,
}

/// The loaded plugin and a handler of it.
struct Shelf {
    host: FakeHost,
    plugin: Arc<Plugin>,
    handler: OwnedHandler,
}

/// The contents of the store. Each is its number followed by a slice of one block, from half to one and a half times
/// the mean in length.
struct Contents {
    block: Vec<u8>,
    count: u64,
    mean: u64,
    seed: u64,
}

pub fn run(contents: u64, bytes: u64, seed: u64) -> (Json, bool) {
    eprintln!("seed {seed}");
    let scratch = Scratch::new();
    let filled = scratch.path().join("filled");
    let start = Instant::now();
    let status = Command::new(std::env::current_exe().expect("a program has a path"))
        .arg("fill")
        .arg(&filled)
        .args([contents, bytes, seed].map(|number| number.to_string()))
        .status();
    assert!(status.expect("this program runs").success(), "the store is filled");
    let took = start.elapsed();

    let shelf = Shelf::load(&scratch);
    std::fs::rename(&filled, shelf.folder()).expect("the filled store moves in");
    let stored: u64 = shelf.ask("calculate-total-size", &(STORE,));
    let list = shelf.list(contents);
    let source = Contents::new(contents, bytes, seed);
    let cached = shelf.gets(&source, false);
    let from_disk = shelf.gets(&source, true);
    let held = from_disk.ratio() <= GET_RATIO && list.took < LIST_TIME && list.peak < LIST_MEMORY;
    let figures = json!({
        "soak": "size", "seed": seed, "contents": contents, "bytes": stored, "fill_s": took.as_secs(),
        "get_from_disk": from_disk.json(), "get_cached": cached.json(), "list_all_content": list.json(),
    });
    (figures, held)
}

/// Fills a store and moves its folder to `to`. [`run`] starts this as a separate process.
pub fn fill(to: &Path, contents: u64, bytes: u64, seed: u64) {
    let scratch = Scratch::new();
    let shelf = Shelf::load(&scratch);
    let stored = shelf.fill(&Contents::new(contents, bytes, seed));
    let size: u64 = shelf.ask("calculate-total-size", &(STORE,));
    assert_eq!(size, stored, "the store's size is that of what was put there");
    std::fs::rename(shelf.folder(), to).expect("the store moves out");
}

impl Contents {
    fn new(count: u64, bytes: u64, seed: u64) -> Self {
        let (mut choices, mean) = (Seeded::new(seed), bytes / count.max(1));
        let block = (0..mean / 4 + 2).flat_map(|_| choices.number().to_le_bytes()).collect();
        Self { block, count, mean, seed }
    }

    /// The content with this number. No two are equal.
    fn content(&self, number: u64) -> Vec<u8> {
        let mut choices = Seeded::new(self.seed ^ number.rotate_left(32));
        let length = (self.mean / 2 + choices.below(self.mean + 1)) as usize;
        let from = choices.below((self.block.len() - length) as u64) as usize;
        let mut content = number.to_le_bytes().to_vec();
        content.extend_from_slice(&self.block[from..from + length.saturating_sub(8)]);
        content
    }
}

fn label(number: u64) -> String {
    format!("pictures/{number:06}")
}

impl Shelf {
    fn load(scratch: &Scratch) -> Self {
        let host = FakeHost::new();
        let plugins = Plugins::find(build_folder()).expect("the plugins are read");
        let found = plugins.by_name("store").expect("the plugin store is built");
        let plugin = found.load(scratch.path(), |_| host.object()).expect("the plugin loads");
        let config = json!({"stores": [STORE], "max_bytes": u64::MAX}).to_string();
        let attached = block_on(plugin.object.attach(host.object(), "store", &config, "null"));
        let handler = attached.unwrap_or_else(|answer| panic!("{}", answer.sentence()));
        Self { host, plugin, handler: OwnedHandler::new(handler) }
    }

    /// Calls a function of the interface the way the core does.
    fn ask<T: DeserializeOwned>(&self, function: &str, arguments: &impl Serialize) -> T {
        let number = self.plugin.functions.iter().position(|offered| offered.name == function).expect("it is offered");
        let arguments = encode(arguments).expect("arguments encode");
        let mut answer = None;
        let context = HeldContext::new(CallContext::default());
        let called = self.handler.call(&context, number as u32, [&arguments, &[]], &mut [], &mut answer);
        if let Called::Waits(future) = called {
            answer = Some(block_on(future));
        }
        let answer = answer.expect("without room a result is an answer");
        assert_eq!(answer.status, OK, "{function}: {}", answer.sentence());
        let mut reader = Reader::with_tail(&answer.bytes, &answer.tail);
        let result: Result<T, String> = reader.value().expect("the answer decodes");
        result.unwrap_or_else(|error| panic!("{function}: {error}"))
    }

    /// Stores all contents from several threads and returns the sum of their lengths.
    fn fill(&self, source: &Contents) -> u64 {
        let next = AtomicU64::new(0);
        let write = || {
            let mut stored = 0;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= source.count {
                    return stored;
                }
                if number % 10_000 == 9_999 {
                    eprintln!("{} of {}", number + 1, source.count);
                }
                let content = source.content(number);
                stored += content.len() as u64;
                let _: ContentRef = self.ask("store-at-label", &(STORE, label(number), Bytes::from(content)));
            }
        };
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(write)).collect();
            writers.into_iter().map(|writer| writer.join().expect("a writer ends")).sum()
        })
    }

    fn file(&self, content: &ContentRef) -> PathBuf {
        self.folder().join("contents").join(&content.hash[..2]).join(&content.hash)
    }

    fn folder(&self) -> PathBuf {
        self.host.host().data_folder().expect("the plugin has a folder")
    }

    fn by_label(&self, number: u64) -> Bytes {
        let newest: Option<ContentRef> = self.ask("get-by-label", &(STORE, label(number)));
        self.ask("get", &(STORE, newest.expect("the label is there")))
    }

    /// Measures three ways to read random contents, in turn for each: the file, `get` by label, and the file with its
    /// SHA-256. With `from_disk`, the file is evicted from the page cache each time, otherwise it is cached.
    fn gets(&self, source: &Contents, from_disk: bool) -> Gets {
        let mut choices = Seeded::new(source.seed);
        let (mut files, mut named, mut hashed) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..SAMPLE {
            let number = choices.below(source.count);
            let content = source.content(number);
            let newest: Option<ContentRef> = self.ask("get-by-label", &(STORE, label(number)));
            let path = self.file(&newest.expect("the label is there"));
            let forget = || {
                let file = std::fs::File::open(&path).expect("the file is there");
                if from_disk {
                    fadvise(&file, 0, None, Advice::DontNeed).expect("the system forgets a file");
                } else {
                    drop(std::fs::read(&path));
                }
            };
            forget();
            files.push(timed(&content, || std::fs::read(&path).expect("the file is read")));
            forget();
            named.push(timed(&content, || self.by_label(number)));
            forget();
            hashed.push(timed(&content, || {
                let bytes = std::fs::read(&path).expect("the file is read");
                std::hint::black_box(Sha256::digest(&bytes));
                bytes
            }));
        }
        Gets { file: median(files), named: median(named), hashed: median(hashed) }
    }

    /// Lists all contents and measures the time and the memory, including the decoded list.
    fn list(&self, contents: u64) -> List {
        let pss = || memory("/proc/self/smaps_rollup", "Pss:");
        // Writing 5 resets the peak (proc_pid_clear_refs(5)).
        std::fs::write("/proc/self/clear_refs", "5").expect("the peak is reset");
        let (peak_before, pss_before) = (memory("/proc/self/status", "VmHWM:"), pss());
        let start = Instant::now();
        let list: Vec<ContentRef> = self.ask("list-all-content", &(STORE,));
        let took = start.elapsed();
        let peak = memory("/proc/self/status", "VmHWM:") - peak_before;
        let pss = [pss_before, pss()];
        assert_eq!(list.len() as u64, contents);
        assert!(list.is_sorted_by(|one, other| one.hash < other.hash), "sorted, none twice");
        List { took, peak, pss }
    }
}

/// Median times.
struct Gets {
    file: Duration,
    named: Duration,
    hashed: Duration,
}

impl Gets {
    fn ratio(&self) -> f64 {
        self.named.as_secs_f64() / self.file.as_secs_f64()
    }

    fn json(&self) -> Json {
        let us = |time: Duration| time.as_nanos() as f64 / 1e3;
        json!({
            "file_us": us(self.file), "get_us": us(self.named), "ratio": self.ratio(), "must": GET_RATIO,
            "file_and_sha256_us": us(self.hashed),
        })
    }
}

struct List {
    took: Duration,
    peak: u64,
    pss: [u64; 2],
}

impl List {
    fn json(&self) -> Json {
        let [before, after] = self.pss;
        json!({
            "ms": self.took.as_millis() as u64, "must_ms": LIST_TIME.as_millis() as u64, "peak_bytes": self.peak,
            "must_bytes": LIST_MEMORY, "pss_before": before, "pss_with_list": after,
        })
    }
}

/// Measures how long `get` takes, and checks that it returns this content.
fn timed<T: AsRef<[u8]>>(content: &[u8], get: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let got = get();
    let took = start.elapsed();
    assert!(got.as_ref() == content, "the content is what was put there");
    took
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Reads a figure in KiB from a file in `/proc` and returns it in bytes.
fn memory(file: &str, figure: &str) -> u64 {
    let text = std::fs::read_to_string(file).expect("it is readable");
    let line = text.lines().find_map(|line| line.strip_prefix(figure)).expect("the figure is there");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") * 1024
}
