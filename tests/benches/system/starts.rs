//! B1: starts and stops of actors, compared with bare instances of the same component.

use std::sync::Arc;
use std::time::Duration;

use theater_runtime::core::Core;
use theater_runtime::manifest::Manifest;
use theater_runtime::support::executor::{Task, block_on, spawn};
use theater_tests::Scratch;
use theater_tests::bench::{Only, Row, rounds, time};

use crate::guest::{close, hot_call, instance, linked, open};

const COUNT: u32 = 4_000;
/// Enough tasks to keep both cores busy while some wait.
pub const TASKS: u32 = 16;

pub fn starts(only: &Only) -> Option<Row> {
    let name = "B1 start and stop of an actor, two cores".to_owned();
    if !only.has(&name) {
        return None;
    }
    let scratch = Scratch::new();
    let (core, manifest) = open(&scratch, "");
    let pre = linked(&core.engines.pooled);
    let rounds = rounds(only.quick, 9, || {
        let floor = time(COUNT, || {
            together(|_| {
                let pre = pre.clone();
                spawn(async move {
                    for _ in 0..COUNT / TASKS {
                        let (mut store, function) = instance(&pre).await;
                        hot_call(&mut store, &function).await;
                    }
                })
            });
        });
        let ours = time(COUNT, || start_and_stop(&core, &manifest, COUNT));
        (floor, ours)
    });
    close(&core);
    Some(Row { name, rounds, must: 1.0 / 0.2, goal: 1.0 / 0.6 })
}

/// Runs [`TASKS`] tasks at the same time, each created with its number, and waits for all of them.
pub fn together(one: impl Fn(u32) -> Task<()>) {
    let tasks: Vec<_> = (0..TASKS).map(one).collect();
    tasks.into_iter().for_each(block_on);
}

/// Starts `count` actors and stops each as soon as it is ready. `count` has to be a multiple of [`TASKS`].
pub fn start_and_stop(core: &Arc<Core>, manifest: &Manifest, count: u32) {
    together(|_| {
        let (core, manifest) = (Arc::clone(core), manifest.clone());
        spawn(async move {
            for _ in 0..count / TASKS {
                let actor = core.start(&manifest).await.expect("an actor starts");
                actor.stop("bench", Duration::from_secs(5)).await;
                assert!(actor.end().is_some());
            }
        })
    });
}
