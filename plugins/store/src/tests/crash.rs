//! Kills a process while it writes. Everything that it reported as stored must be there afterwards.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use uuid::Uuid;

use super::*;

const FOLDER: &str = "THEATER_STORE_CRASH_TEST";
const ROUNDS: u32 = 10;
const WRITERS: usize = 4;

/// [store-14]
#[test]
fn what_was_acknowledged_survives_kill_9() {
    let mut acknowledged = Vec::new();
    let mut world = World::new();
    for round in 0..ROUNDS {
        // Closes the stores so that the child can open them. The child moves the folder to its own host's data folder.
        world = world.again();
        let home = world.folder();
        let mut child = writer(&home);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let folder = said(&mut lines, "folder ").unwrap();
        let before = acknowledged.len();
        acknowledged.extend(said(&mut lines, "stored "));
        std::thread::sleep(Duration::from_millis(u64::from(Uuid::new_v4().as_bytes()[0])));
        child.kill().unwrap();
        acknowledged.extend(std::iter::from_fn(|| said(&mut lines, "stored ")));
        child.wait().unwrap();
        assert!(acknowledged.len() > before, "round {round} stored nothing");
        fs::rename(folder, &home).unwrap();
        check(&world, &acknowledged);
    }
}

/// Checks that everything acknowledged is there and that every content can be read.
fn check(world: &World, acknowledged: &[String]) {
    let actor = world.actor(json!({ "stores": ["shared"] }));
    for line in acknowledged {
        let (label, hash) = line.split_once(' ').unwrap();
        let newest: Option<ContentRef> = actor.ask("get-by-label", &("shared", label)).unwrap();
        assert_eq!(newest.map(|content| content.hash).as_deref(), Some(hash));
    }
    let contents: Vec<ContentRef> = actor.ask("list-all-content", &("shared",)).unwrap();
    let mut size = 0;
    for content in &contents {
        size += actor.ask::<Bytes>("get", &("shared", content)).unwrap().len() as u64;
    }
    assert_eq!(actor.size("shared"), size);
    for label in actor.labels("shared") {
        let newest: Option<ContentRef> = actor.ask("get-by-label", &("shared", label)).unwrap();
        assert!(contents.contains(&newest.unwrap()));
    }
    world.command(&["gc"]).unwrap();
}

/// The rest of the next line that contains `begin`. Other lines come from the test harness.
fn said(lines: &mut impl Iterator<Item = String>, begin: &str) -> Option<String> {
    lines.find_map(|line| Some(line.split_once(begin)?.1.to_owned()))
}

fn writer(home: &Path) -> Child {
    let test = format!("{}::writes_until_it_is_killed", module_path!().split_once("::").unwrap().1);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", &test]);
    command.env(FOLDER, home).stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
#[ignore = "the child of what_was_acknowledged_survives_kill_9"]
fn writes_until_it_is_killed() {
    let Some(home) = std::env::var_os(FOLDER) else { return };
    let world = World::new();
    let folder = world.folder();
    fs::remove_dir(&folder).unwrap();
    fs::rename(home, &folder).unwrap();
    say(&format!("folder {}", folder.display()));
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| write(&world.actor(json!({ "stores": ["shared"] }))));
        }
    });
}

fn write(actor: &Actor) {
    loop {
        let label = Uuid::new_v4();
        let content = Bytes::from(label.as_bytes().repeat(usize::from(label.as_bytes()[0]) * 20));
        let label = label.to_string();
        actor.ask::<ContentRef>("store-at-label", &("shared", &label, Bytes::from("common"))).unwrap();
        let content: ContentRef = actor.ask("replace-content-at-label", &("shared", &label, content)).unwrap();
        say(&format!("stored {label} {}", content.hash));
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}
