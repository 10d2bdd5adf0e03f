//! B3: one-way messages between actors, compared with a hot call plus the hashes of their events, and with Erlang.

use std::process::Command;
use std::time::{Duration, Instant};

use theater_chain::event::{Chain, INLINE, NewEvent, data_digest, event_hash};
use theater_chain::record::Kind;
use theater_chain::verify;
use theater_plugin_api::uuid_text;
use theater_runtime::actor::ActorHandle;
use theater_runtime::support::executor::block_on;
use theater_tests::bench::{Only, Row, rounds, time};
use theater_tests::{Scratch, repository};

use crate::guest::{close, go, hot_call, instance, linked, open, told};
use crate::part;

pub fn sends(only: &Only) -> Option<Row> {
    const COUNT: usize = 50_000;
    let name = "B3 one-way messages, 64 B, recorded, one core".to_owned();
    if !only.has(&name) {
        return None;
    }
    let figures = part("sends", COUNT, only.quick, true);
    let rounds = serde_json::from_value(figures).expect("rounds");
    match erlang(COUNT * 10) {
        Some(ns) => println!("Erlang/OTP, one scheduler on one core: {ns:.0} ns a message of 64 B, not recorded"),
        None => println!("Erlang/OTP: not installed (Debian's erlang-base)"),
    }
    Some(Row { name, rounds, must: 1.0 / 0.3, goal: 1.0 / 0.7 })
}

pub fn sends_on_one_core(count: usize, quick: bool) -> Vec<(f64, f64)> {
    let scratch = Scratch::new();
    let (core, manifest) = open(&scratch, "");
    let [from, to] = [(); 2].map(|()| block_on(core.start(&manifest)).expect("an actor starts"));
    let send = |count: u32| {
        let events = to.head().1 + 2 * u64::from(count);
        block_on(told(&from, go(count, false, &to)));
        // Wait until every message was received: its call was queued and has returned.
        let end = Instant::now() + Duration::from_secs(60);
        while to.head().1 < events {
            assert!(Instant::now() < end, "messages are missing");
            block_on(async_std::task::yield_now());
        }
    };
    send(1);
    block_on(core.services.journal.written()).expect("written");
    let hashed = hashed(&scratch, &from, &to);
    let pre = linked(&core.engines.pooled);
    let (mut store, function) = block_on(instance(&pre));
    let rounds = rounds(quick, 9, || {
        let floor = time(count as u32, || {
            block_on(async {
                for _ in 0..count {
                    hot_call(&mut store, &function).await;
                    for (header, data) in &hashed {
                        std::hint::black_box(event_hash(std::hint::black_box(header)));
                        if let Some(data) = data {
                            std::hint::black_box(data_digest(std::hint::black_box(data)));
                        }
                    }
                }
            });
        });
        let ours = time(count as u32, || send(count as u32));
        (floor, ours)
    });
    drop(store);
    close(&core);
    rounds
}

/// The bytes that are hashed for a message: the headers of its three events, and the data that is hashed separately.
fn hashed(scratch: &Scratch, from: &ActorHandle, to: &ActorHandle) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut last = std::collections::BTreeMap::new();
    verify::read(&scratch.path().join("data"), |event| {
        let header = &event.header;
        let data = event.data.expect("data").to_vec();
        let kind = Kind::from_number(header.kind).expect("a known type");
        let wanted = match kind {
            Kind::Host => header.actor == from.id(),
            Kind::Queued | Kind::Return => header.actor == to.id(),
            _ => false,
        };
        if wanted {
            let mut bytes = Vec::new();
            let event =
                NewEvent { kind, function: header.function, cause: header.cause, call: header.call, data: &data };
            Chain::new(header.actor).push(&event, header.timestamp, &mut bytes);
            last.insert(kind.name(), (bytes, (data.len() > INLINE).then_some(data)));
        }
    })
    .expect("the chains verify");
    assert_eq!(last.len(), 3, "{}: {last:?}", uuid_text(&from.id()));
    last.into_values().collect()
}

/// Nanoseconds per message of 64 bytes between two Erlang processes. `None` if Erlang is not installed.
fn erlang(count: usize) -> Option<f64> {
    let script = repository().join("tests/benches/send.escript");
    let output =
        Command::new("taskset").args(["-c", "0", "escript"]).arg(script).arg(count.to_string()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().parse().expect("nanoseconds"))
}
