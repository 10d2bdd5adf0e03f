//! The oracle: a simple encoder and decoder for wasmtime's `Val`, and random `Val`s.

use wasmtime::component::{Type, Val};

use super::random::Random;

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number /= 0x80;
    }
    out.push(number as u8);
}

fn zigzag(out: &mut Vec<u8>, number: i64) {
    let number = i128::from(number);
    varint(out, if number < 0 { (-number * 2 - 1) as u64 } else { (number * 2) as u64 });
}

fn text(out: &mut Vec<u8>, text: &str) {
    varint(out, text.len() as u64);
    out.extend(text.bytes());
}

fn payload(value: &Option<Box<Val>>, ty: Option<Type>, out: &mut Vec<u8>) {
    if let (Some(value), Some(ty)) = (value, ty) {
        encode(value, &ty, out);
    }
}

/// Encodes a value of a type.
pub fn encode(value: &Val, ty: &Type, out: &mut Vec<u8>) {
    match (value, ty) {
        (Val::Bool(value), _) => out.push((*value).into()),
        (Val::U8(value), _) => out.push(*value),
        (Val::S8(value), _) => out.push(*value as u8),
        (Val::U16(value), _) => varint(out, (*value).into()),
        (Val::U32(value), _) => varint(out, (*value).into()),
        (Val::U64(value), _) => varint(out, *value),
        (Val::S16(value), _) => zigzag(out, (*value).into()),
        (Val::S32(value), _) => zigzag(out, (*value).into()),
        (Val::S64(value), _) => zigzag(out, *value),
        (Val::Float32(value), _) if value.is_nan() => out.extend(0x7fc0_0000u32.to_le_bytes()),
        (Val::Float64(value), _) if value.is_nan() => out.extend(0x7ff8_0000_0000_0000u64.to_le_bytes()),
        (Val::Float32(value), _) => out.extend(value.to_le_bytes()),
        (Val::Float64(value), _) => out.extend(value.to_le_bytes()),
        (Val::Char(value), _) => text(out, &value.to_string()),
        (Val::String(value), _) => text(out, value),
        (Val::List(items), Type::List(list)) => {
            varint(out, items.len() as u64);
            items.iter().for_each(|item| encode(item, &list.ty(), out));
        }
        (Val::Tuple(items), Type::Tuple(tuple)) => {
            items.iter().zip(tuple.types()).for_each(|(item, ty)| encode(item, &ty, out));
        }
        (Val::Record(items), Type::Record(record)) => {
            for ((name, item), field) in items.iter().zip(record.fields()) {
                assert_eq!(name, field.name);
                encode(item, &field.ty, out);
            }
        }
        (Val::Option(value), Type::Option(option)) => {
            out.push(value.is_some().into());
            payload(value, Some(option.ty()), out);
        }
        (Val::Result(Ok(value)), Type::Result(result)) => {
            out.push(0);
            payload(value, result.ok(), out);
        }
        (Val::Result(Err(value)), Type::Result(result)) => {
            out.push(1);
            payload(value, result.err(), out);
        }
        (Val::Variant(name, value), Type::Variant(variant)) => {
            let (number, case) = variant.cases().enumerate().find(|(_, case)| case.name == name).unwrap();
            varint(out, number as u64);
            payload(value, case.ty, out);
        }
        (Val::Enum(name), Type::Enum(cases)) => {
            varint(out, cases.names().position(|case| case == name).unwrap() as u64);
        }
        (Val::Flags(set), Type::Flags(flags)) => {
            let bits = flags.names().enumerate().filter(|(_, name)| set.iter().any(|set| set == name));
            varint(out, bits.map(|(number, _)| 1 << number).sum());
        }
        other => panic!("a value of another type: {other:?}"),
    }
}

/// Encodes several values one after the other.
pub fn encoded<'a>(values: impl IntoIterator<Item = (&'a Val, &'a Type)>) -> Vec<u8> {
    let mut out = Vec::new();
    values.into_iter().for_each(|(value, ty)| encode(value, ty, &mut out));
    out
}

fn byte(bytes: &mut &[u8]) -> u8 {
    let (first, rest) = bytes.split_first().unwrap();
    *bytes = rest;
    *first
}

fn number(bytes: &mut &[u8]) -> u64 {
    let mut sum = 0;
    for place in 0.. {
        let next = byte(bytes);
        sum += u64::from(next % 0x80) << (7 * place);
        if next < 0x80 {
            break;
        }
    }
    sum
}

fn signed(bytes: &mut &[u8]) -> i64 {
    let number = i128::from(number(bytes));
    (if number % 2 == 1 { -(number + 1) / 2 } else { number / 2 }) as i64
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (head, rest) = bytes.split_at(count);
    *bytes = rest;
    head
}

fn read_text(bytes: &mut &[u8]) -> String {
    let count = number(bytes) as usize;
    String::from_utf8(take(bytes, count).to_vec()).unwrap()
}

fn read_payload(bytes: &mut &[u8], ty: Option<Type>) -> Option<Box<Val>> {
    ty.map(|ty| Box::new(decode(bytes, &ty)))
}

/// Decodes a value of a type from bytes that are known to be valid. It is not strict, unlike the decoder under test.
pub fn decode(bytes: &mut &[u8], ty: &Type) -> Val {
    match ty {
        Type::Bool => Val::Bool(byte(bytes) == 1),
        Type::U8 => Val::U8(byte(bytes)),
        Type::S8 => Val::S8(byte(bytes) as i8),
        Type::U16 => Val::U16(number(bytes) as u16),
        Type::U32 => Val::U32(number(bytes) as u32),
        Type::U64 => Val::U64(number(bytes)),
        Type::S16 => Val::S16(signed(bytes) as i16),
        Type::S32 => Val::S32(signed(bytes) as i32),
        Type::S64 => Val::S64(signed(bytes)),
        Type::Float32 => Val::Float32(f32::from_le_bytes(take(bytes, 4).try_into().unwrap())),
        Type::Float64 => Val::Float64(f64::from_le_bytes(take(bytes, 8).try_into().unwrap())),
        Type::Char => Val::Char(read_text(bytes).chars().next().unwrap()),
        Type::String => Val::String(read_text(bytes)),
        Type::List(list) => {
            let count = number(bytes);
            Val::List((0..count).map(|_| decode(bytes, &list.ty())).collect())
        }
        Type::Tuple(tuple) => Val::Tuple(tuple.types().map(|ty| decode(bytes, &ty)).collect()),
        Type::Record(record) => {
            Val::Record(record.fields().map(|field| (field.name.to_owned(), decode(bytes, &field.ty))).collect())
        }
        Type::Option(option) => match byte(bytes) {
            0 => Val::Option(None),
            _ => Val::Option(read_payload(bytes, Some(option.ty()))),
        },
        Type::Result(result) => match byte(bytes) {
            0 => Val::Result(Ok(read_payload(bytes, result.ok()))),
            _ => Val::Result(Err(read_payload(bytes, result.err()))),
        },
        Type::Variant(variant) => {
            let case = variant.cases().nth(number(bytes) as usize).unwrap();
            Val::Variant(case.name.to_owned(), read_payload(bytes, case.ty))
        }
        Type::Enum(cases) => Val::Enum(cases.names().nth(number(bytes) as usize).unwrap().to_owned()),
        Type::Flags(flags) => {
            let bits = number(bytes);
            let set = flags.names().enumerate().filter(|(place, _)| bits >> place & 1 == 1);
            Val::Flags(set.map(|(_, name)| name.to_owned()).collect())
        }
        other => panic!("no such type is made: {other:?}"),
    }
}

fn random_char(random: &mut Random) -> char {
    match random.below(6) {
        0 | 1 => (b' ' + random.below(95) as u8).into(),
        2 => char::from_u32(random.below(0x100) as u32).unwrap(),
        3 => random.pick(&[
            '\0',
            '\u{7f}',
            '\u{80}',
            '\u{ff}',
            '\u{100}',
            '\u{7ff}',
            '\u{800}',
            '\u{d7ff}',
            '\u{e000}',
            '\u{ffff}',
            '\u{10000}',
            '\u{10ffff}',
        ]),
        4 => char::from_u32(random.below(0xd800) as u32).unwrap(),
        _ => char::from_u32(0x1_0000 + random.below(0x10_0000) as u32).unwrap(),
    }
}

fn random_text(random: &mut Random) -> String {
    let count = random.pick(&[0, 0, 1, 2, 5, 9, 17, 40]);
    // Often text in Latin-1 only, so that both forms of `latin1+utf16` are used.
    let latin = random.chance(40);
    (0..count).map(|_| if latin { char::from(random.next() as u8) } else { random_char(random) }).collect()
}

fn random_payload(random: &mut Random, ty: Option<Type>, budget: &mut usize) -> Option<Box<Val>> {
    ty.map(|ty| Box::new(value(random, &ty, budget)))
}

/// A random value of a type. Lists are empty once `budget` values have been created.
pub fn value(random: &mut Random, ty: &Type, budget: &mut usize) -> Val {
    *budget = budget.saturating_sub(1);
    match ty {
        Type::Bool => Val::Bool(random.chance(50)),
        Type::U8 => Val::U8(random.number() as u8),
        Type::S8 => Val::S8(random.number() as i8),
        Type::U16 => Val::U16(random.number() as u16),
        Type::U32 => Val::U32(random.number() as u32),
        Type::U64 => Val::U64(random.number()),
        Type::S16 => Val::S16(random.number() as i16),
        Type::S32 => Val::S32(random.number() as i32),
        Type::S64 => Val::S64(random.number() as i64),
        // Any bits: infinities, zeros of both signs, subnormal numbers, NaNs with payloads.
        Type::Float32 => Val::Float32(f32::from_bits(match random.below(4) {
            0 => random.pick(&[0, 1 << 31, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0xffc0_0001, 0x7f80_0001, 1]),
            _ => random.next() as u32,
        })),
        Type::Float64 => Val::Float64(f64::from_bits(match random.below(4) {
            0 => random.pick(&[
                0,
                1 << 63,
                0x7ff << 52,
                0xfff << 52,
                0x7ff8 << 48,
                (0xfff8 << 48) + 1,
                (0x7ff << 52) + 1,
                1,
            ]),
            _ => random.next(),
        })),
        Type::Char => Val::Char(random_char(random)),
        Type::String => Val::String(random_text(random)),
        Type::List(list) => {
            let ty = list.ty();
            let count = match ty {
                _ if *budget == 0 => 0,
                Type::U8 => random.pick(&[0, 1, 7, 64, 127, 128, 300]),
                _ => random.pick(&[0, 1, 2, 3, 4, 9]),
            };
            Val::List((0..count).map(|_| value(random, &ty, budget)).collect())
        }
        Type::Tuple(tuple) => Val::Tuple(tuple.types().map(|ty| value(random, &ty, budget)).collect()),
        Type::Record(record) => Val::Record(
            record.fields().map(|field| (field.name.to_owned(), value(random, &field.ty, budget))).collect(),
        ),
        Type::Option(option) => {
            let ty = random.chance(70).then(|| option.ty());
            Val::Option(random_payload(random, ty, budget))
        }
        Type::Result(result) => Val::Result(if random.chance(60) {
            Ok(random_payload(random, result.ok(), budget))
        } else {
            Err(random_payload(random, result.err(), budget))
        }),
        Type::Variant(variant) => {
            let cases: Vec<_> = variant.cases().map(|case| (case.name.to_owned(), case.ty)).collect();
            // Half of the values have a payload, even if only a few of 300 cases have one.
            let with: Vec<_> = cases.iter().filter(|(_, ty)| ty.is_some()).cloned().collect();
            let (name, ty) =
                if random.chance(50) && !with.is_empty() { random.pick(&with) } else { random.pick(&cases) };
            Val::Variant(name, random_payload(random, ty, budget))
        }
        Type::Enum(cases) => Val::Enum(cases.names().nth(random.below(cases.names().len())).unwrap().to_owned()),
        Type::Flags(flags) => {
            let often = random.pick(&[0, 20, 50, 100]);
            Val::Flags(flags.names().filter(|_| random.chance(often)).map(ToOwned::to_owned).collect())
        }
        other => panic!("no such type is made: {other:?}"),
    }
}
