//! Random types, and their flattening into core values, implemented from the Canonical ABI and not from `ValueType`.

use std::sync::Arc;

use theater_chain::value_type::ValueType;

use super::random::Random;

const SCALARS: [ValueType; 13] = [
    ValueType::Bool,
    ValueType::U8,
    ValueType::U16,
    ValueType::U32,
    ValueType::U64,
    ValueType::S8,
    ValueType::S16,
    ValueType::S32,
    ValueType::S64,
    ValueType::F32,
    ValueType::F64,
    ValueType::Char,
    ValueType::String,
];

/// A function type: its parameters and its result.
pub struct Function {
    pub params: Vec<(String, ValueType)>,
    pub result: Option<ValueType>,
    /// Whether it has the signature of a handler export.
    pub handler: bool,
}

fn names(letter: char, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |number| format!("{letter}{number}"))
}

/// A leaf: a scalar, text, bytes, an enum or flags. A component has 1 to 32 flags (wasmparser refuses 0 and 33).
fn leaf(random: &mut Random) -> ValueType {
    match random.below(20) {
        0..=12 => random.pick(&SCALARS),
        13 | 14 => ValueType::Bytes,
        15 | 16 => {
            let count = random.pick(&[1, 2, 3, 255, 256, 257, 300]);
            ValueType::Enum(names('e', count).collect())
        }
        _ => {
            let count = random.pick(&[1, 2, 7, 8, 9, 15, 16, 17, 24, 31, 32]);
            ValueType::Flags(names('g', count).collect())
        }
    }
}

/// A random type with a nesting depth of at most `depth` and about `budget` leaves.
pub fn shape(random: &mut Random, depth: usize, budget: &mut usize) -> ValueType {
    *budget = budget.saturating_sub(1);
    if depth == 0 || *budget == 0 || random.chance(20) {
        return leaf(random);
    }
    let mut inner = |random: &mut Random| shape(random, depth - 1, budget);
    match random.below(8) {
        0 | 1 => match inner(random) {
            ValueType::U8 => ValueType::Bytes,
            item => ValueType::List(Arc::new(item)),
        },
        2 => ValueType::Option(Arc::new(inner(random))),
        3 => {
            let ok = random.chance(75).then(|| inner(random));
            let err = random.chance(75).then(|| inner(random));
            ValueType::Result(Arc::new((ok, err)))
        }
        4 => {
            let count = random.between(1, 5);
            ValueType::Tuple((0..count).map(|_| inner(random)).collect())
        }
        5 | 6 => {
            let count = random.between(1, 6);
            ValueType::Record(names('f', count).map(|name| (name, inner(random))).collect())
        }
        _ => {
            let count = random.pick(&[1, 2, 3, 4, 5, 6, 260, 300]);
            let payloads = if count > 6 { 3 } else { 70 };
            ValueType::Variant(
                names('c', count).map(|name| (name, random.chance(payloads).then(|| inner(random)))).collect(),
            )
        }
    }
}

fn any(random: &mut Random, budget: usize) -> ValueType {
    let depth = random.between(0, 8);
    shape(random, depth, &mut { budget })
}

fn row(random: &mut Random) -> Vec<ValueType> {
    match random.below(8) {
        0 => (0..random.between(17, 40)).map(|_| random.pick(&SCALARS[..12])).collect(),
        1 => (0..random.between(12, 20)).map(|_| leaf(random)).collect(),
        2 => vec![any(random, 40)],
        _ => (0..random.between(1, 5)).map(|_| any(random, 12)).collect(),
    }
}

/// A function with random types.
pub fn plain(random: &mut Random) -> Function {
    let params = if random.chance(3) { Vec::new() } else { row(random) };
    let result = match random.below(10) {
        0 => None,
        1 | 2 => Some(leaf(random)),
        _ => Some(any(random, 40)),
    };
    Function { params: names('p', params.len()).zip(params).collect(), result, handler: false }
}

/// A handler export with random types.
pub fn handler(random: &mut Random) -> Function {
    let state = ValueType::Option(Arc::new(ValueType::Bytes));
    let params = ValueType::Tuple(row(random).into());
    let back =
        if random.chance(15) { vec![state.clone()] } else { vec![state.clone(), ValueType::Tuple(row(random).into())] };
    let result = ValueType::Result(Arc::new((Some(ValueType::Tuple(back.into())), Some(ValueType::String))));
    let params = vec![("state".to_owned(), state), ("params".to_owned(), params)];
    Function { params, result: Some(result), handler: true }
}

/// The core types that a value is flattened into (Canonical ABI, `flatten_type`).
pub fn flatten(shape: &ValueType) -> Vec<&'static str> {
    match shape {
        ValueType::U64 | ValueType::S64 => vec!["i64"],
        ValueType::F32 => vec!["f32"],
        ValueType::F64 => vec!["f64"],
        ValueType::String | ValueType::Bytes | ValueType::List(_) => vec!["i32", "i32"],
        ValueType::Tuple(items) => items.iter().flat_map(flatten).collect(),
        ValueType::Record(fields) => fields.iter().flat_map(|(_, field)| flatten(field)).collect(),
        ValueType::Option(some) => cases([Some(&**some)]),
        ValueType::Result(sides) => cases([sides.0.as_ref(), sides.1.as_ref()]),
        ValueType::Variant(all) => cases(all.iter().map(|(_, payload)| payload.as_ref())),
        _ => vec!["i32"],
    }
}

fn cases<'a>(payloads: impl IntoIterator<Item = Option<&'a ValueType>>) -> Vec<&'static str> {
    let mut joined: Vec<&'static str> = Vec::new();
    for payload in payloads.into_iter().flatten() {
        for (place, core) in flatten(payload).into_iter().enumerate() {
            match joined.get_mut(place) {
                None => joined.push(core),
                Some(before) => *before = join(before, core),
            }
        }
    }
    joined.insert(0, "i32");
    joined
}

fn join(a: &'static str, b: &'static str) -> &'static str {
    match (a, b) {
        _ if a == b => a,
        ("i32", "f32") | ("f32", "i32") => "i32",
        _ => "i64",
    }
}
