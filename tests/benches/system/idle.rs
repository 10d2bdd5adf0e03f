//! B2: memory of idle actors, compared with idle bare instances of the same component.

use theater_runtime::support::executor::block_on;
use theater_tests::bench::{Only, Row};
use theater_tests::{Scratch, memory};

use crate::guest::{close, hot_call, instance, linked, open, started};
use crate::part;

pub fn idle(only: &Only) -> Vec<Row> {
    let mut rows = Vec::new();
    for (count, what) in [(1_000, "1k"), (10_000, "10k")] {
        let name = format!("B2 memory of an idle actor, {what} (bytes)");
        if only.has(&name) {
            let bytes = |which: &str| part(which, count, true, false).as_f64().expect("bytes");
            let rounds = (0..if only.quick { 1 } else { 5 }).map(|_| (bytes("idle-floor"), bytes("idle"))).collect();
            rows.push(Row { name, rounds, must: 4.0, goal: 1.5 });
        }
    }
    let name = "B2 memory of 100k passivated actors, of 1 GiB (bytes)".to_owned();
    if only.has(&name) && !only.quick {
        let all = part("idle", 100_000, true, false).as_f64().expect("bytes") * 100_000.0;
        rows.push(Row { name, rounds: vec![(f64::from(1 << 30), all)], must: 6.0, goal: 1.0 });
    }
    rows
}

/// PSS of this process in bytes.
fn pss() -> u64 {
    memory::of("self", "Pss:") * 1024
}

/// The growth of PSS since `before`, in bytes per actor or instance.
fn each(before: u64, count: usize) -> f64 {
    pss().saturating_sub(before) as f64 / count as f64
}

pub fn idle_actors(count: usize) -> f64 {
    let scratch = Scratch::new();
    let (core, manifest) = open(&scratch, "idle_ms = 1000");
    // The first actor also pays for what all actors share.
    block_on(core.start(&manifest)).expect("an actor starts");
    let before = pss();
    let actors = started(&core, &manifest, count);
    block_on(core.services.journal.written()).expect("written");
    let each = each(before, count);
    drop(actors);
    close(&core);
    each
}

pub fn idle_instances(count: usize) -> f64 {
    let scratch = Scratch::new();
    let (core, _) = open(&scratch, "");
    let pre = linked(&core.engines.pooled);
    // The limit on mappings (`vm.max_map_count`) allows 8,191 instances. The cost per instance does not depend on the
    // count.
    let count = count.min(core.engines.pool_size - 1);
    let call = || async {
        let (mut store, function) = instance(&pre).await;
        hot_call(&mut store, &function).await;
        store
    };
    let first = block_on(call());
    let before = pss();
    let stores: Vec<_> = (0..count).map(|_| block_on(call())).collect();
    let each = each(before, count);
    drop((first, stores));
    close(&core);
    each
}
