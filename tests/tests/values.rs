//! Conversion of values between components and encoded bytes: random values against oracles (`Val`, `postcard`), and
//! guests that pass invalid ones.

#[path = "values/generated.rs"]
mod generated;
#[path = "values/hostile.rs"]
mod hostile;
#[path = "values/oracle.rs"]
mod oracle;
#[path = "values/pairs.rs"]
mod pairs;
#[path = "values/postcard.rs"]
mod postcard;
#[path = "values/random.rs"]
mod random;
#[path = "values/text.rs"]
mod text;
#[path = "values/types.rs"]
mod types;

/// Number of components in this short form. `values_soak` is the long form.
const COMPONENTS: u64 = 40;

#[test]
fn random_values_have_the_same_bytes_on_the_fast_path_and_through_val() {
    let engine = pairs::engine();
    let mut count = pairs::Count::default();
    for number in 0..COMPONENTS {
        pairs::check_component(&engine, 1, number, &mut count);
    }
    println!("{count:?}: {} pairs", count.pairs());
    assert!(count.pairs() > 10_000 && count.accepted > 10_000);
}
