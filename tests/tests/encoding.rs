//! Checks the encoding against golden vectors that were not made by this code (`tests/golden/encoding.json`): through
//! the types of WIT text, through Rust types and `serde`, as text, and against `postcard`.
//!
//! `accepted` has the bytes of values of every kind of type. `refused` has bytes that do not encode a value of the
//! type, with the reason. A vector must never change, because existing chains depend on it. New vectors may be added.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use theater_chain::value_type::ValueType;
use theater_chain::wave;
use theater_plugin_api::Bytes;
use theater_plugin_api::encoding::{self, EncodingError, Reader, decode, deserialize_flags, encode, serialize_flags};
use wit_parser::Resolve;

#[derive(Deserialize)]
struct Golden {
    accepted: Vec<Accepted>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Accepted {
    name: String,
    /// Type definitions that `wit` refers to.
    types: Vec<String>,
    wit: String,
    /// The value as WAVE, with the runtime's syntax for bytes.
    value: String,
    hex: String,
}

#[derive(Deserialize)]
struct Refused {
    types: Vec<String>,
    wit: String,
    hex: String,
    reason: String,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/encoding.json")).expect("golden vectors are JSON")
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Parses the WIT text of a type into its shape.
fn shape(types: &[String], wit: &str) -> ValueType {
    let text = format!("package t:t;\ninterface i {{\n{}\ntype subject = {wit};\n}}\n", types.join("\n"));
    let mut resolve = Resolve::default();
    resolve.push_str("t.wit", &text).unwrap_or_else(|error| panic!("{error:#}\n{text}"));
    let (_, interface) = resolve.interfaces.iter().next().unwrap();
    ValueType::of_wit(&resolve, &wit_parser::Type::Id(interface.types["subject"])).unwrap()
}

fn validate(shape: &ValueType, bytes: &[u8]) -> Result<(), EncodingError> {
    let mut reader = Reader::new(bytes);
    shape.validate(&mut reader)?;
    reader.finish()
}

#[test]
fn every_vector_is_valid_for_its_wit_type_and_none_of_its_beginnings_and_continuations_is() {
    for vector in golden().accepted {
        let (shape, bytes) = (shape(&vector.types, &vector.wit), bytes(&vector.hex));
        assert_eq!(validate(&shape, &bytes), Ok(()), "{}", vector.name);
        for length in 0..bytes.len() {
            assert!(validate(&shape, &bytes[..length]).is_err(), "{}: the first {length} bytes", vector.name);
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(validate(&shape, &longer), Err(EncodingError::Trailing(1)), "{}", vector.name);
    }
}

#[test]
fn every_vector_reads_as_its_value() {
    for vector in golden().accepted {
        let shape = shape(&vector.types, &vector.wit);
        assert_eq!(wave::row([&shape], &bytes(&vector.hex)), Ok(vector.value), "{}", vector.name);
    }
}

#[test]
fn what_is_refused_is_refused_for_its_reason() {
    for vector in golden().refused {
        let shape = shape(&vector.types, &vector.wit);
        let said = validate(&shape, &bytes(&vector.hex)).map_err(|error| error.to_string());
        assert_eq!(said, Err(vector.reason.clone()), "{} {}", vector.wit, vector.hex);
        let text = wave::row([&shape], &bytes(&vector.hex)).map_err(|error| error.to_string());
        assert_eq!(text, Err(vector.reason), "as text: {} {}", vector.wit, vector.hex);
    }
}

#[test]
fn two_vectors_of_a_type_have_the_same_bytes_only_when_they_are_the_same_value() {
    let mut seen = BTreeMap::new();
    for vector in golden().accepted {
        let other = seen.insert((vector.types, vector.wit, vector.hex), vector.value.clone());
        assert!(other.is_none_or(|other| other == vector.value), "{}", vector.name);
    }
}

#[test]
fn every_kind_of_type_has_a_vector() {
    let golden = golden();
    let mut kinds = BTreeSet::new();
    for vector in &golden.accepted {
        for text in vector.types.iter().chain([&vector.wit]) {
            let words = text.split(|c: char| !c.is_alphanumeric()).map(ToOwned::to_owned);
            kinds.extend(words);
        }
    }
    let all =
        "bool u8 u16 u32 u64 s8 s16 s32 s64 f32 f64 char string list option result tuple record variant enum flags";
    for kind in all.split(' ') {
        assert!(kinds.contains(kind), "{kind}");
    }
}

// --- Rust types -----------------------------------------------------------------------------------------------------

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Person {
    name: String,
    age: Option<u8>,
    at: Point,
    tags: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Request {
    method: String,
    headers: Vec<(String, String)>,
    body: Option<Bytes>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Color {
    Red,
    Green,
    Blue,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum One {
    Only,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Figure {
    Dot,
    Circle(f64),
    Rect((u32, u32)),
    Named(String),
}

/// Flags like those that `bindings!` generates: `COUNT` flags in `N` bytes.
#[derive(Debug, Clone, PartialEq)]
struct Flags<const COUNT: usize, const N: usize>([u8; N]);

impl<const COUNT: usize, const N: usize> Flags<COUNT, N> {
    fn of(set: impl IntoIterator<Item = usize>) -> Self {
        let mut bits = [0; N];
        set.into_iter().for_each(|flag| bits[flag / 8] |= 1 << (flag % 8));
        Self(bits)
    }
}

impl<const COUNT: usize, const N: usize> Serialize for Flags<COUNT, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_flags(COUNT, &self.0, serializer)
    }
}

impl<'de, const COUNT: usize, const N: usize> Deserialize<'de> for Flags<COUNT, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_flags(COUNT, deserializer).map(Self)
    }
}

/// A case of a variant with too many cases to write down, as its index and payload.
struct Case(u32, Option<u32>);

impl Serialize for Case {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.1 {
            Some(payload) => serializer.serialize_newtype_variant("Many", self.0, "case", payload),
            None => serializer.serialize_unit_variant("Many", self.0, "case"),
        }
    }
}

/// The golden bytes by vector name. Each vector is taken once.
struct Vectors(BTreeMap<String, Vec<u8>>);

impl Vectors {
    fn new() -> Self {
        Self(golden().accepted.into_iter().map(|vector| (vector.name, bytes(&vector.hex))).collect())
    }

    fn take(&mut self, name: &str) -> Vec<u8> {
        self.0.remove(name).unwrap_or_else(|| panic!("no vector {name:?}, or it is named twice"))
    }

    fn written(&mut self, name: &str, value: &impl Serialize) -> Vec<u8> {
        let golden = self.take(name);
        assert_eq!(encode(value).unwrap(), golden, "{name}");
        golden
    }

    fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(&mut self, name: &str, value: T) {
        let golden = self.written(name, &value);
        assert_eq!(postcard::to_allocvec(&value).unwrap(), golden, "{name}: postcard");
        assert_eq!(decode::<T>(&golden).unwrap(), value, "{name}");
    }

    /// Checks a float by its bits. Our encoding canonicalizes NaN; postcard keeps its bits.
    fn float<T: Serialize + DeserializeOwned + Copy>(&mut self, name: &str, value: T, bits: impl Fn(T) -> u64) {
        let golden = self.written(name, &value);
        let back = decode::<T>(&golden).unwrap();
        assert_eq!(postcard::to_allocvec(&back).unwrap(), golden, "{name}: postcard");
        assert_eq!(encode(&back).unwrap(), golden, "{name}");
        assert!(name.ends_with("nan") || bits(back) == bits(value), "{name}");
    }

    fn flags<const COUNT: usize, const N: usize>(&mut self) {
        let name = |what: &str| format!("flags of {COUNT} {what}");
        self.same(&name("none"), Flags::<COUNT, N>::of([]));
        self.same(&name("first"), Flags::<COUNT, N>::of([0]));
        self.same(&name("last"), Flags::<COUNT, N>::of([COUNT - 1]));
        self.same(&name("all"), Flags::<COUNT, N>::of(0..COUNT));
    }

    fn numbers(&mut self) {
        self.same("bool false", false);
        self.same("bool true", true);
        self.same("u8 zero", 0u8);
        self.same("u8 max", u8::MAX);
        self.same("s8 min", i8::MIN);
        self.same("s8 minus one", -1i8);
        self.same("s8 max", i8::MAX);
        macro_rules! both {
            ($($bits:literal $unsigned:ty, $signed:ty;)*) => {$(
                let name = |sign: &str, what: &str| format!(concat!("{}", $bits, " {}"), sign, what);
                self.same(&name("u", "zero"), <$unsigned>::MIN);
                self.same(&name("u", "last of one byte"), 127 as $unsigned);
                self.same(&name("u", "first of two bytes"), 128 as $unsigned);
                self.same(&name("u", "max"), <$unsigned>::MAX);
                self.same(&name("s", "zero"), 0 as $signed);
                self.same(&name("s", "minus one"), -1 as $signed);
                self.same(&name("s", "last of one byte"), -64 as $signed);
                self.same(&name("s", "first of two bytes"), 64 as $signed);
                self.same(&name("s", "min"), <$signed>::MIN);
                self.same(&name("s", "max"), <$signed>::MAX);
            )*};
        }
        both! { 16 u16, i16; 32 u32, i32; 64 u64, i64; }
    }

    fn floats(&mut self) {
        let single = [("zero", 0.0), ("minus zero", -0.0), ("one and a half", 1.5), ("inf", f32::INFINITY)];
        for (what, value) in
            single.into_iter().chain([("minus inf", f32::NEG_INFINITY), ("nan", f32::from_bits(0xff80_0001))])
        {
            self.float(&format!("f32 {what}"), value, |value| value.to_bits().into());
            self.float(&format!("f64 {what}"), f64::from(value), f64::to_bits);
        }
        self.float("f64 max", f64::MAX, f64::to_bits);
        self.float("f64 a tenth", 0.1, f64::to_bits);
    }

    fn text(&mut self) {
        let chars = [("of one byte", 'a'), ("of two bytes", 'é'), ("of three bytes", '€'), ("of four bytes", '😀')];
        for (what, value) in chars.into_iter().chain([("quote", '\''), ("nul", '\0'), ("last", char::MAX)]) {
            self.same(&format!("char {what}"), value);
        }
        self.same("string empty", String::new());
        self.same("string ascii", "ab".to_owned());
        self.same("string of every length of char", "aé€😀".to_owned());
        self.same("string with escapes", "a\"\\\n\t\r\u{1}".to_owned());
        self.same("string of 128 bytes", "x".repeat(128));
    }

    fn lists(&mut self) {
        self.same("bytes empty", Bytes::from(vec![]));
        self.same("bytes text", Bytes::from(b"ab".to_vec()));
        self.same("bytes", Bytes::from(vec![0, 255, 128]));
        self.same("bytes of 128", Bytes::from(vec![0; 128]));
        self.same("list empty", Vec::<u16>::new());
        self.same("list", vec![1u16, 300]);
        self.same("list of strings", vec![String::new(), "a".to_owned()]);
        self.same("list of bytes", vec![Bytes::from(vec![]), Bytes::from(vec![1, 2])]);
        self.same("list of lists", vec![vec![], vec![-1i32], vec![1, -2]]);
        self.same("list of empty lists", vec![vec![], vec![vec![]], vec![vec![true], vec![]]]);
        self.same("list of 128", vec![true; 128]);
        self.same("list of s8", vec![-1i8, 1]);
    }

    fn options_and_results(&mut self) {
        self.same("option none", None::<u8>);
        self.same("option some", Some(7u8));
        self.same("option of option none", None::<Option<u8>>);
        self.same("option of option some none", Some(None::<u8>));
        self.same("option of option some some", Some(Some(0u8)));
        self.same("option of bytes", Some(Bytes::from(vec![])));
        self.same("list of options", vec![None, Some("a".to_owned()), None]);
        self.same("result ok bare", Ok::<(), ()>(()));
        self.same("result err bare", Err::<(), ()>(()));
        self.same("result ok without err type", Ok::<u8, ()>(9));
        self.same("result err without payload", Err::<u8, ()>(()));
        self.same("result ok without payload", Ok::<(), String>(()));
        self.same("result err", Err::<(), String>("no".to_owned()));
        self.same("result both ok", Ok::<u32, String>(300));
        self.same("result both err", Err::<u32, String>(String::new()));
        self.same("result of options", Err::<Option<u8>, Option<u8>>(None));
    }

    fn composed(&mut self) {
        self.same("tuple of one", (1u8,));
        self.same("tuple", ("ab".to_owned(), 300u32));
        self.same("tuple of tuples", ((true, false), ('z',)));
        self.same("state and params", (Some(Bytes::from(vec![1])), ("id".to_owned(),)));
        self.same("record", Point { x: -1, y: 1 });
        self.same("list of records", vec![Point { x: 0, y: 0 }, Point { x: 1, y: -1 }]);
        let tags = vec!["a".to_owned(), "b".to_owned()];
        self.same(
            "record in record",
            Person { name: "Ada".to_owned(), age: Some(36), at: Point { x: 2, y: -2 }, tags },
        );
        let headers = vec![("a".to_owned(), "b".to_owned())];
        self.same("record like a request", Request { method: "GET".to_owned(), headers, body: None });
        self.same("enum first", Color::Red);
        self.same("enum last", Color::Blue);
        self.same("enum of one", One::Only);
        self.same("list of enums", vec![Color::Blue, Color::Red]);
        self.same("variant bare", Figure::Dot);
        self.same("variant float", Figure::Circle(-0.0));
        self.same("variant tuple", Figure::Rect((1, 300)));
        self.same("variant string", Figure::Named("x".to_owned()));
        for number in [127, 128, 299] {
            self.written(&format!("enum of 300 case {number}"), &Case(number, None));
        }
        for number in [0, 127, 128, 199u32] {
            let payload = (number % 2 == 1).then_some(7);
            self.written(&format!("variant of 200 case {number}"), &Case(number, payload));
        }
    }
}

#[test]
fn every_vector_is_what_rust_types_are_encoded_as_and_postcard_agrees() {
    let mut vectors = Vectors::new();
    vectors.numbers();
    vectors.floats();
    vectors.text();
    vectors.lists();
    vectors.options_and_results();
    vectors.composed();
    vectors.flags::<1, 1>();
    vectors.flags::<8, 1>();
    vectors.flags::<9, 2>();
    vectors.flags::<33, 5>();
    vectors.flags::<64, 8>();
    vectors.flags::<65, 9>();
    vectors.same("list of flags", vec![Flags::<9, 2>::of([]), Flags::of([8])]);
    vectors.same("flags of 65 in a row", (Flags::<65, 9>::of([1, 64]), 255u8));
    assert_eq!(vectors.0.keys().collect::<Vec<_>>(), Vec::<&String>::new(), "vectors without a Rust value");
}

#[test]
fn every_nan_is_written_with_the_one_pattern() {
    for bits in [0x7f80_0001, 0x7fc0_0000, 0xffc0_0000, 0xffff_ffff] {
        assert_eq!(encode(&f32::from_bits(bits)).unwrap(), encoding::NAN_32.to_le_bytes());
    }
    for bits in [0x7ff0_0000_0000_0001, 0x7ff8_0000_0000_0000, 0xfff8_0000_0000_0000, u64::MAX] {
        assert_eq!(encode(&f64::from_bits(bits)).unwrap(), encoding::NAN_64.to_le_bytes());
    }
}

/// Decodes bytes with the Rust type for a WIT type, or returns `None` if there is no such Rust type.
fn refusal(wit: &str, bytes: &[u8]) -> Option<Result<(), EncodingError>> {
    fn of<T: DeserializeOwned>(bytes: &[u8]) -> Option<Result<(), EncodingError>> {
        Some(decode::<T>(bytes).map(drop))
    }
    match wit {
        "bool" => of::<bool>(bytes),
        "u8" => of::<u8>(bytes),
        "s8" => of::<i8>(bytes),
        "u16" => of::<u16>(bytes),
        "u32" => of::<u32>(bytes),
        "u64" => of::<u64>(bytes),
        "s16" => of::<i16>(bytes),
        "s32" => of::<i32>(bytes),
        "s64" => of::<i64>(bytes),
        "f32" => of::<f32>(bytes),
        "f64" => of::<f64>(bytes),
        "char" => of::<char>(bytes),
        "string" => of::<String>(bytes),
        "list<u8>" => of::<Bytes>(bytes),
        "list<u16>" => of::<Vec<u16>>(bytes),
        "list<string>" => of::<Vec<String>>(bytes),
        "list<list<u8>>" => of::<Vec<Bytes>>(bytes),
        "option<u8>" => of::<Option<u8>>(bytes),
        "option<option<u8>>" => of::<Option<Option<u8>>>(bytes),
        "result" => of::<Result<(), ()>>(bytes),
        "result<u8>" => of::<Result<u8, ()>>(bytes),
        "result<_, string>" => of::<Result<(), String>>(bytes),
        "tuple<string, u32>" => of::<(String, u32)>(bytes),
        "color" => of::<Color>(bytes),
        "shape" => of::<Figure>(bytes),
        "point" => of::<Point>(bytes),
        "flags1" => of::<Flags<1, 1>>(bytes),
        "flags8" => of::<Flags<8, 1>>(bytes),
        "flags9" => of::<Flags<9, 2>>(bytes),
        "flags33" => of::<Flags<33, 5>>(bytes),
        "flags64" => of::<Flags<64, 8>>(bytes),
        "flags65" => of::<Flags<65, 9>>(bytes),
        _ => None,
    }
}

#[test]
fn what_is_refused_by_the_wit_type_is_refused_by_the_rust_type() {
    let mut tried = 0;
    for vector in golden().refused {
        let Some(refused) = refusal(&vector.wit, &bytes(&vector.hex)) else {
            assert!(["many", "wide"].contains(&vector.wit.as_str()), "no Rust type for {}", vector.wit);
            continue;
        };
        tried += 1;
        match refused {
            // `serde` describes unknown cases in its own words.
            Err(EncodingError::Type(said)) => {
                assert!(
                    vector.reason.contains("case") || said == vector.reason,
                    "{} {}: {said}",
                    vector.wit,
                    vector.hex
                );
            }
            said => {
                let said = said.map_err(|error| error.to_string());
                assert_eq!(said, Err(vector.reason), "{} {}", vector.wit, vector.hex);
            }
        }
    }
    assert!(tried > 80, "{tried}");
}
