//! Fuzz targets for everything that reads untrusted bytes: the decoder, the journal reader, descriptors, manifests.
//!
//! As ordinary tests they take a few seconds each. To run each for ten minutes:
//! `BOLERO_RANDOM_TEST_TIME_MS=600000 cargo test -p theater-tests --test fuzz`. `cargo bolero test` guides them by
//! coverage. A failure prints `BOLERO_RANDOM_SEED`, which reproduces it.

#[path = "fuzz/descriptor.rs"]
mod descriptor;
#[path = "fuzz/edit.rs"]
mod edit;
#[path = "fuzz/elf.rs"]
mod elf;
#[path = "values/generated.rs"]
#[allow(dead_code, reason = "what only the comparison with postcard needs")]
mod generated;
#[path = "fuzz/journal.rs"]
mod journal;
#[path = "fuzz/manifest.rs"]
mod manifest;
#[path = "values/random.rs"]
#[allow(dead_code, reason = "what only random types need")]
mod random;
#[path = "fuzz/value.rs"]
mod value;

use std::time::Duration;

/// Time for each target in an ordinary run.
const TIME: Duration = Duration::from_secs(2);
/// Length of an input, which is a seed and some edits, in bytes.
const INPUT: usize = 96;

#[test]
fn the_two_decoders_agree_about_any_bytes() {
    let target = value::Target::new();
    bolero::check!().with_test_time(TIME).with_max_len(INPUT).for_each(|input: &[u8]| target.run(input));
}

#[test]
fn the_journal_reader_takes_any_bytes() {
    let target = journal::Target::new();
    bolero::check!().with_test_time(TIME).with_max_len(INPUT).for_each(|input: &[u8]| target.run(input));
}

#[test]
fn the_descriptor_parser_takes_any_bytes() {
    let target = descriptor::Target::new();
    bolero::check!().with_test_time(TIME).with_max_len(INPUT).for_each(|input: &[u8]| target.run(input));
}

#[test]
fn the_manifest_parser_takes_any_text() {
    let target = manifest::Target::new();
    bolero::check!().with_test_time(TIME).with_max_len(INPUT).for_each(|input: &[u8]| target.run(input));
}
