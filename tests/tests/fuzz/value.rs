//! Fuzzes the decoder by shape, the decoder of generated types and the printer with edited values of every WIT type.

use theater_chain::value_type::ValueType;
use theater_chain::wave;

use super::edit::{edit, seed};
use super::generated::{Generated, all, check_decoders, random_bytes, shapes};
use super::random::Random;

/// Every generated type with its shape.
pub struct Target(Vec<(&'static Generated, ValueType)>);

const WORDS: &[&[u8]] =
    &[&[0x80, 0], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[0xff; 9], &[0xed, 0xa0, 0x80], &[0, 0, 0xc0, 0x7f], &[0xc0, 0xff]];

impl Target {
    pub fn new() -> Self {
        let of = |(name, shape): (String, ValueType)| (all().find(|generated| generated.name == name).unwrap(), shape);
        Self(shapes().into_iter().map(of).collect())
    }

    pub fn run(&self, input: &[u8]) {
        let (seed, script) = seed(input);
        let random = &mut Random::new(seed);
        let (generated, shape) = &self.0[random.below(self.0.len())];
        let mut bytes = Vec::new();
        random_bytes(random, shape, &mut bytes);
        assert!(check_decoders(generated, shape, &bytes));
        edit(&mut bytes, script, WORDS);
        for bytes in [&bytes, script] {
            let valid = check_decoders(generated, shape, bytes);
            assert_eq!(valid, wave::row([shape], bytes).is_ok());
        }
    }
}
