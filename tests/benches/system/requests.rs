//! B4: requests between actors and their replies, compared with two threads that answer each other.

use std::sync::{Arc, mpsc};
use std::time::Instant;

use hdrhistogram::Histogram;
use theater_runtime::support::executor::block_on;
use theater_tests::Scratch;
use theater_tests::bench::{Only, Row, rounds};

use crate::guest::{close, go, open, told};

pub fn requests(only: &Only) -> Vec<Row> {
    const COUNT: u64 = 5_000;
    let names = ["B4 request and reply, recorded, p50", "B4 request and reply, recorded, p99"];
    if !names.iter().any(|name| only.has(name)) {
        return Vec::new();
    }
    let scratch = Scratch::new();
    let (core, manifest) = open(&scratch, "");
    let [from, to] = [(); 2].map(|()| block_on(core.start(&manifest)).expect("an actor starts"));
    let mut all: [Vec<(f64, f64)>; 2] = Default::default();
    // The first round warms up.
    let _ = rounds(only.quick, 9, || {
        let floor = ping_pong(COUNT);
        let (from, params) = (Arc::clone(&from), go(1, true, &to));
        let ours = block_on(async_std::task::spawn(async move {
            let mut times = Histogram::<u64>::new(3).expect("three digits");
            for _ in 0..COUNT {
                let start = Instant::now();
                told(&from, params.clone()).await;
                times.record(start.elapsed().as_nanos() as u64).expect("in range");
            }
            times
        }));
        for (rows, quantile) in all.iter_mut().zip([0.5, 0.99]) {
            rows.push((floor.value_at_quantile(quantile) as f64, ours.value_at_quantile(quantile) as f64));
        }
        (0.0, 0.0)
    });
    for rows in &mut all {
        rows.remove(0);
    }
    close(&core);
    let bars = [(8.0, 3.0), (40.0, 15.0)];
    let rows = names.into_iter().zip(all).zip(bars);
    rows.map(|((name, rounds), (must, goal))| Row { name: name.to_owned(), rounds, must, goal }).collect()
}

/// The floor: measures round trips between two threads.
fn ping_pong(count: u64) -> Histogram<u64> {
    let ((ask, asked), (answer, answered)) = (mpsc::channel::<u64>(), mpsc::channel::<u64>());
    let other = std::thread::spawn(move || {
        while let Ok(number) = asked.recv() {
            answer.send(number).expect("the receiver exists");
        }
    });
    let mut times = Histogram::<u64>::new(3).expect("three digits");
    for number in 0..count {
        let start = Instant::now();
        ask.send(number).expect("the receiver exists");
        assert_eq!(answered.recv(), Ok(number));
        times.record(start.elapsed().as_nanos() as u64).expect("in range");
    }
    drop(ask);
    other.join().expect("the other ends");
    times
}
