//! The `random` plugin: numbers from the system's generator, or from a reproducible stream if a seed is configured.
//!
//! [`source`] supplies bytes. The four functions derive their results from them in the same way for both sources:
//!
//! | function | bytes of the source |
//! |---|---|
//! | `random-bytes(n)` | the next n |
//! | `random-range` | 8 as a little-endian number, redrawn while it is among the last `2^64 mod (max - min)` numbers |
//! | `random-float` | 8 as a little-endian number; its top 53 bits divided by 2^53 |
//! | `generate-uuid` | 16, with version and variant bits set (RFC 9562, section 5.4) |
//!
//! The position in the seeded stream is the handler's state. A snapshot contains it, and [`Handler::recover`] advances
//! it for each recorded call after the snapshot, so a resumed actor continues where it was.

#![forbid(unsafe_code)]

#[cfg(test)]
mod narrow_tests;
mod source;

use serde::Deserialize;
use serde_json::Value;
use theater_plugin_api::encoding::{EncodingError, decode};
use theater_plugin_api::narrow::{self, Rule};
use theater_plugin_api::{Attachment, Bytes, Call, Handler, Host, Plugin, Recovered, uuid_text};

use source::Source;

theater_plugin_api::bindings! {
    plugin: Random,
    handler: Dice,
    name: "random",
    wit: "../../wit",
    provides: { "theater:simple/random": {
        "random-bytes": read, "random-range": read, "random-float": read, "generate-uuid": read,
    } },
    config: "config.schema.json",
}

const MAX_BYTES: u64 = 1_048_576;
const MAX_INT: u64 = u64::MAX;

/// The handler's config; `config.schema.json` says what each key means.
#[derive(Deserialize)]
#[serde(default)]
struct Config {
    seed: Option<u64>,
    max_bytes: u64,
    max_int: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { seed: None, max_bytes: MAX_BYTES, max_int: MAX_INT }
    }
}

/// The plugin. It has no state.
pub struct Random;

impl Plugin for Random {
    type Handler = Dice;

    fn init(_: Host) -> Result<Self, String> {
        Ok(Self)
    }

    async fn attach(&self, _: Host, attachment: Attachment) -> Result<Dice, String> {
        let config: Config = attachment.config()?;
        Ok(Dice { source: Source::new(config.seed), max_bytes: config.max_bytes, max_int: config.max_int })
    }

    fn narrow(&self, _: &str, ceiling: &Value, requested: &Value) -> Result<Value, String> {
        let rules =
            [("seed", Rule::Free), ("max_bytes", Rule::Smaller(MAX_BYTES)), ("max_int", Rule::Smaller(MAX_INT))];
        narrow::object(&rules, ceiling, requested)
    }
}

/// The handler of one actor.
pub struct Dice {
    source: Source,
    max_bytes: u64,
    max_int: u64,
}

impl Dice {
    fn bytes(&self, length: u32) -> Result<Bytes, String> {
        if u64::from(length) > self.max_bytes {
            return Err(format!(
                "{length} bytes are more than {}; in the handler random, config = {{ max_bytes = {length} }} allows them, \
                 as far as the parent's config does",
                self.max_bytes
            ));
        }
        // Lossless: a pointer is at least as wide as a u32 on every supported system.
        let mut bytes = vec![0; length as usize];
        self.source.fill(&mut bytes)?;
        Ok(bytes.into())
    }

    fn range(&self, min: u64, max: u64) -> Result<u64, String> {
        if min >= max {
            return Err(format!("there is no number from {min} up to but without {max}: min has to be below max"));
        }
        if max > self.max_int {
            return Err(format!(
                "max = {max} is above {}; in the handler random, config = {{ max_int = {max} }} allows it, as far as the \
                 parent's config does",
                self.max_int
            ));
        }
        let count = max - min;
        // 2^64 mod count: rejecting this many numbers at the top leaves a multiple of count, so there is no modulo
        // bias.
        let left_over = (u64::MAX % count + 1) % count;
        loop {
            let drawn = self.number()?;
            if drawn <= u64::MAX - left_over {
                return Ok(min + drawn % count);
            }
        }
    }

    fn float(&self) -> Result<f64, String> {
        const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
        // With 53 bits both the conversion and the product are exact.
        Ok((self.number()? >> 11) as f64 * STEP)
    }

    fn uuid(&self) -> Result<String, String> {
        let drawn: [u8; 16] = self.draw()?;
        let version_and_variant = 0x4000_8000_0000_0000_0000_u128;
        let kept = !0xf000_c000_0000_0000_0000_u128;
        Ok(uuid_text(&(u128::from_be_bytes(drawn) & kept | version_and_variant).to_be_bytes()))
    }

    fn number(&self) -> Result<u64, String> {
        self.draw().map(u64::from_le_bytes)
    }

    fn draw<const N: usize>(&self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.source.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Draws the bytes that a recorded call drew, to advance the stream.
    fn again(&self, function: &str, arguments: &[u8]) -> Result<(), EncodingError> {
        match function {
            "random-bytes" => drop(self.bytes(decode::<(u32,)>(arguments)?.0)),
            "random-range" => {
                let (min, max) = decode(arguments)?;
                drop(self.range(min, max));
            }
            "random-float" => drop(self.float()),
            _ => drop(self.uuid()),
        }
        Ok(())
    }
}

impl Handler for Dice {
    fn export_state(&self) -> Result<Vec<u8>, String> {
        Ok(self.source.position().map_or_else(Vec::new, |position| position.to_le_bytes().to_vec()))
    }

    fn import_state(&self, state: &[u8]) -> Result<(), String> {
        if state.is_empty() {
            return Ok(());
        }
        let position = state.try_into().map_err(|_| format!("a position has 8 bytes, not {}", state.len()))?;
        self.source.go_to(u64::from_le_bytes(position));
        Ok(())
    }

    fn recover(&self, call: Recovered<'_>) -> Result<(), String> {
        if self.source.position().is_none() {
            return Ok(());
        }
        let function = call.function.rsplit('/').next().unwrap_or_default();
        self.again(function, call.arguments).map_err(|error| format!("{}: {error}", call.function))
    }
}

impl theater::simple::random::Random for Dice {
    fn random_bytes(&self, _: &Call, length: u32) -> Result<Bytes, String> {
        self.bytes(length)
    }

    fn random_range(&self, _: &Call, min: u64, max: u64) -> Result<u64, String> {
        self.range(min, max)
    }

    fn random_float(&self, _: &Call) -> Result<f64, String> {
        self.float()
    }

    fn generate_uuid(&self, _: &Call) -> Result<String, String> {
        self.uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;
    use theater_plugin_api::testing::{FakeHost, attach, block_on};

    fn dice(config: Value) -> Arc<Dice> {
        block_on(attach::<Random>(&FakeHost::new(), "random", config)).unwrap()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// [random-1] [random-4] [random-5]
    #[test]
    fn a_seed_gives_the_chacha20_stream_of_its_key() {
        // From an implementation of RFC 8439 in Python. Seed 0 is also test vector 1 of appendix A.1 of the RFC.
        for (seed, stream) in [
            (0, "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"),
            (1, "c5d30a7ce1ec119378c84f487d775a8542f13ece238a9455e8229e888de85bbd"),
            (42, "1f76e526510ae36a625c8b5c597febb416042cce3db589b3dc82a8f7a4a86626"),
            (u64::MAX, "3fa2ee6bda5341eb24428afc2ae53638099223f33bb44e43f3d5fe9c4a4d4016"),
        ] {
            assert_eq!(hex(&dice(json!({ "seed": seed })).bytes(32).unwrap()), stream, "seed {seed}");
        }
    }

    /// [random-5] [random-9] [random-10] [random-11]
    #[test]
    fn every_function_takes_the_next_bytes_of_the_one_stream() {
        // From the same Python code, with seed 42. The wide range takes two draws.
        let host = FakeHost::new();
        block_on(async {
            let dice = attach::<Random>(&host, "random", json!({ "seed": 42 })).await.unwrap();
            let bytes: Result<Bytes, String> = host.call(&dice, "random-bytes", &(3_u32,)).await.unwrap();
            assert_eq!(hex(&bytes.unwrap()), "1f76e5");
            let float: Result<f64, String> = host.call(&dice, "random-float", &()).await.unwrap();
            assert_eq!(float, Ok(0.5443784247354782));
            let range: Result<u64, String> = host.call(&dice, "random-range", &(1_u64, 7_u64)).await.unwrap();
            assert_eq!(range, Ok(5));
            let wide: Result<u64, String> =
                host.call(&dice, "random-range", &(5_u64, (1_u64 << 63) + 6)).await.unwrap();
            assert_eq!(wide, Ok(4_711_023_760_393_151_740));
            let uuid: Result<String, String> = host.call(&dice, "generate-uuid", &()).await.unwrap();
            assert_eq!(uuid.unwrap(), "28710fd1-d804-464f-9a5b-080a60565149");
            assert_eq!(dice.source.position(), Some(51));
        });
    }

    /// [random-4]
    #[test]
    fn a_stream_read_in_pieces_is_the_stream_read_at_once() {
        let (whole, pieces) = (dice(json!({ "seed": 42 })), dice(json!({ "seed": 42 })));
        let mut read = Vec::new();
        for length in [0, 1, 2, 5, 8, 64, 255, 256, 1, 0, 300, 4] {
            read.extend(pieces.bytes(length).unwrap().into_vec());
        }
        assert_eq!(read, *whole.bytes(read.len() as u32).unwrap());
        assert_eq!(hex(&read[250..270]), "ab7eee2fc268bfe5889243049065ff95a2456775");
    }

    /// [random-3] [random-8] [random-13]
    #[test]
    fn a_range_without_a_number_or_above_max_int_is_err() {
        let dice = dice(json!({ "seed": 1, "max_int": 10 }));
        assert!(dice.range(3, 3).unwrap_err().contains("min has to be below max"));
        assert!(dice.range(4, 3).is_err());
        assert!(dice.range(0, 11).unwrap_err().contains("max_int = 11"));
        assert_eq!(dice.range(9, 10), Ok(9));
        assert_eq!(dice.source.position(), Some(8));
    }

    /// [random-3]
    #[test]
    fn the_whole_range_is_allowed_when_max_int_is_missing() {
        assert!(dice(json!({})).range(0, u64::MAX).unwrap() < u64::MAX);
        assert_eq!(dice(json!({})).range(u64::MAX - 1, u64::MAX), Ok(u64::MAX - 1));
    }

    /// [random-7]
    #[test]
    fn each_number_of_a_range_is_about_as_likely() {
        let dice = dice(json!({ "seed": 7 }));
        let mut counts = [0; 6];
        for _ in 0..6_000 {
            counts[dice.range(0, 6).unwrap() as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
    }

    /// [random-2] [random-12] [random-13]
    #[test]
    fn bytes_up_to_max_bytes_are_answered_and_none_for_zero() {
        let dice = dice(json!({}));
        assert_eq!(dice.bytes(0).unwrap().len(), 0);
        assert_eq!(dice.bytes(1_048_576).unwrap().len(), 1_048_576);
        assert!(dice.bytes(1_048_577).unwrap_err().contains("max_bytes = 1048577"));
    }

    /// [random-6] [random-11]
    #[test]
    fn the_systems_numbers_differ_and_have_their_form() {
        let dice = dice(json!({}));
        assert_ne!(dice.bytes(32).unwrap(), dice.bytes(32).unwrap());
        assert!((0.0..1.0).contains(&dice.float().unwrap()));
        let uuid = dice.uuid().unwrap();
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
        assert!("89ab".contains(&uuid[19..20]), "{uuid}");
        assert_eq!(dice.export_state(), Ok(Vec::new()));
    }

    #[test]
    fn a_resumed_actor_continues_the_stream_after_snapshot_and_recorded_calls() {
        let host = FakeHost::new();
        let (live, resumed) = (dice(json!({ "seed": 3 })), dice(json!({ "seed": 3 })));
        live.bytes(5).unwrap();
        resumed.import_state(&live.export_state().unwrap()).unwrap();
        let recorded = Ok::<_, String>(live.range(5, (1 << 63) + 6).unwrap());
        host.recover(&resumed, "random-range", &(5_u64, (1_u64 << 63) + 6), &recorded).unwrap();
        let recorded = Ok::<_, String>(live.bytes(7).unwrap());
        host.recover(&resumed, "random-bytes", &(7_u32,), &recorded).unwrap();
        let recorded = live.range(1, 1);
        host.recover(&resumed, "random-range", &(1_u64, 1_u64), &recorded).unwrap();
        host.recover(&resumed, "random-float", &(), &live.float()).unwrap();
        host.recover(&resumed, "generate-uuid", &(), &live.uuid()).unwrap();
        assert_eq!(resumed.bytes(100).unwrap(), live.bytes(100).unwrap());
        assert!(resumed.import_state(&[1, 2]).unwrap_err().contains("8 bytes"));
    }

    /// [random-14]
    #[test]
    fn narrowing_takes_the_smaller_limits_and_leaves_the_seed() {
        let narrowed = Random.narrow("random", &json!({ "seed": 1, "max_int": 9 }), &json!({ "seed": 2 }));
        assert_eq!(narrowed, Ok(json!({ "seed": 2, "max_bytes": 1_048_576, "max_int": 9 })));
    }
}
