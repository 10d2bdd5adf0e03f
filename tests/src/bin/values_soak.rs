//! The long form of `tests/tests/values.rs`. `values_soak [PAIRS [SEED]]` checks this many pairs of a type and a value,
//! by default 200,000.
//!
//! It prints its seed first. If a comparison fails, it also prints the number of the component, and
//! `values_soak 1 SEED NUMBER` checks that component alone.

#[path = "../../tests/values/oracle.rs"]
mod oracle;
#[path = "../../tests/values/pairs.rs"]
mod pairs;
#[path = "../../tests/values/random.rs"]
mod random;
#[path = "../../tests/values/text.rs"]
#[allow(dead_code, reason = "what only the hostile guests of the short form need")]
mod text;
#[path = "../../tests/values/types.rs"]
mod types;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("arguments are numbers"));
    let wanted = arguments.next().unwrap_or(200_000);
    let seed = arguments.next().unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right");
        now.as_nanos() as u64
    });
    let first = arguments.next().unwrap_or(0);
    println!("seed {seed}");
    let engine = pairs::engine();
    let start = Instant::now();
    let mut count = pairs::Count::default();
    let mut number = first;
    while count.pairs() < wanted {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pairs::check_component(&engine, seed, number, &mut count);
        }));
        if result.is_err() {
            println!("component {number} of seed {seed} differs: values_soak 1 {seed} {number}");
            std::process::exit(1);
        }
        number += 1;
        if number % 100 == 0 {
            println!("{} pairs, {number} components, {:.0?}", count.pairs(), start.elapsed());
        }
    }
    println!("{} pairs equal in {:.1?}: {count:?}, seed {seed}", count.pairs(), start.elapsed());
}
