//! One round on one data folder: starts and calls the actors, sometimes kills and resumes the program, stops it, and
//! checks the chains.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use theater_plugin_api::testing::Seeded;
use theater_tests::talk::manifests;
use theater_tests::{Running, Scratch};

use crate::cast::{CHILDREN, ROLES, TWICE, UPSTREAM, VARIABLES};
use crate::check::{self, Totals};
use crate::ends;
use crate::stage::Stage;
use crate::upstream::Upstream;

/// Upper bound of the time before a kill, in milliseconds.
const KILLED_MS: u64 = 2_000;

pub fn run(is_killed: bool, chance: &mut Seeded, totals: &mut Totals) {
    let (scratch, upstream) = (Scratch::new(), Upstream::start());
    let data = scratch.path().join("data");
    let paths = write(&scratch, upstream.address, chance);
    let again = paths.iter().find(|path| path.ends_with(&format!("/{TWICE}.toml"))).expect("it has a manifest");
    let arguments: Vec<_> = paths.iter().chain([again]).map(String::as_str).collect();
    let mut running = Running::start_with(&data, &arguments, &VARIABLES);
    let mut stage = Stage::of(&running, upstream.address);
    if is_killed {
        kill(&stage, running, chance);
        running = Running::start_with(&data, &["--resume"], &VARIABLES);
        stage = Stage::of(&running, upstream.address);
    }
    let failures = drive(&stage, chance, || ());
    assert!(failures.is_empty(), "{failures:?}");
    ends::fail(&stage, chance);
    ends::stop(&stage, &upstream, &mut running);
    let wrong = check::all(&data, totals);
    if !wrong.is_empty() {
        // Keep the data folder for the analysis of the failure.
        std::mem::forget(scratch);
        panic!("the chains of {} do not replay: {}", data.display(), wrong.join("\n"));
    }
}

/// Writes all manifests, with random settings for instances and chains. Returns the paths of those to start.
fn write(scratch: &Scratch, upstream: SocketAddr, chance: &mut Seeded) -> Vec<String> {
    for folder in ["disk", "site"] {
        std::fs::create_dir(scratch.path().join(folder)).expect("a folder can be made");
    }
    for (name, content) in [("site/index.html", "<p>home"), ("site/a b.txt", "a file"), ("secret", "a secret")] {
        scratch.write(name, content);
    }
    let children = CHILDREN.map(|(actor, handlers, limits)| (actor, text("", handlers, limits, chance)));
    let top: Vec<_> = ROLES
        .iter()
        .map(|role| {
            let head = role.head.replace(UPSTREAM, &upstream.to_string());
            (role.actor, text(&head, role.handlers, role.limits, chance))
        })
        .collect();
    let of = |all: &[(&str, String)]| {
        manifests(scratch, &all.iter().map(|(actor, text)| (*actor, text.as_str())).collect::<Vec<_>>())
    };
    of(&children);
    of(&top)
}

/// The text of a manifest after its name and component.
fn text(head: &str, handlers: &[&str], limits: &str, chance: &mut Seeded) -> String {
    let instance = chance.pick(&["cached", "cached", "fresh", "kept"]);
    let instance = if head.contains("instance") { String::new() } else { format!("instance = \"{instance}\"\n") };
    let (sync, every) = (chance.pick(&["batch", "batch", "none", "always"]), chance.pick(&[20, 150, 1_000]));
    let handlers = handlers.concat();
    format!("{head}{instance}{handlers}[limits]\n{limits}[chain]\nsync = \"{sync}\"\nsnapshot_every = {every}\n")
}

/// Runs all drives, each on its own thread, and `beside` at the same time. Returns the errors of the drives.
fn drive(stage: &Stage, chance: &mut Seeded, beside: impl FnOnce()) -> Vec<String> {
    thread::scope(|scope| {
        let driven: Vec<_> = ROLES
            .iter()
            .filter_map(|role| role.drive)
            .map(|drive| {
                let mut chance = Seeded::new(chance.number());
                scope.spawn(move || drive(stage, &mut chance))
            })
            .collect();
        beside();
        driven.into_iter().filter_map(|thread| thread.join().expect("no panic").err()).collect()
    })
}

/// Kills the program while all drives run. Errors of the drives are expected then.
fn kill(stage: &Stage, mut running: Running, chance: &mut Seeded) {
    let after = Duration::from_millis(chance.below(KILLED_MS));
    drive(stage, chance, || {
        thread::sleep(after);
        stage.end();
        running.signal("KILL");
    });
    running.wait();
}
