//! Every generated type encodes to the same bytes as the core's encoding by shape and the `postcard` crate.

use super::generated::{all, change, check_decoders, random_bytes, shapes};
use super::random::Random;

const VALUES: usize = 200;

#[test]
fn every_type_of_the_wit_has_a_generated_type_here() {
    let mut of_wit: Vec<_> = shapes().into_iter().map(|(name, _)| name).collect();
    let mut here: Vec<_> = all().map(|generated| generated.name.to_owned()).collect();
    of_wit.sort();
    here.sort();
    assert_eq!(here, of_wit, "list each named type in generated.rs");
}

#[test]
fn generated_types_have_the_bytes_of_their_shapes_and_of_postcard() {
    let random = &mut Random::new(2);
    let (mut values, mut other) = (0, 0);
    for (name, shape) in shapes() {
        let generated = all().find(|generated| generated.name == name).unwrap();
        for _ in 0..VALUES {
            let mut bytes = Vec::new();
            random_bytes(random, &shape, &mut bytes);
            assert!(check_decoders(generated, &shape, &bytes), "{name}: {bytes:?}");
            let (written, read) = (generated.postcard)(&bytes);
            assert_eq!(written, bytes, "{name} as postcard writes it");
            assert_eq!(read, bytes, "{name} as postcard reads it");
            values += 1;
            for _ in 0..4 {
                let mut changed = bytes.clone();
                change(random, &mut changed);
                other += usize::from(check_decoders(generated, &shape, &changed));
            }
        }
    }
    println!("{} types, {values} values, {other} of {} changed ones are values", all().count(), 4 * values);
}
