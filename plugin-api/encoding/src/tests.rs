//! The encoding of Rust values, and the errors of bytes that are not canonical.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Bytes, EncodingError, NAN_32, NAN_64, Reader, decode, encode};

fn same<T: Serialize + for<'a> Deserialize<'a> + PartialEq + fmt::Debug>(value: T, bytes: &[u8]) {
    assert_eq!(encode(&value).unwrap(), bytes);
    assert_eq!(decode::<T>(bytes).unwrap(), value);
}

#[test]
fn values_have_the_bytes_the_table_says() {
    same(true, &[1]);
    same(-1i8, &[0xff]);
    same(300u16, &[0xac, 0x02]);
    same(-1i32, &[1]);
    same(i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    same(1.5f32, &[0, 0, 0xc0, 0x3f]);
    same('é', &[2, 0xc3, 0xa9]);
    same("ab".to_owned(), &[2, b'a', b'b']);
    same(Some(7u8), &[1, 7]);
    same(Ok::<u8, String>(7), &[0, 7]);
    same(Err::<u8, String>("x".into()), &[1, 1, b'x']);
    same(vec![1u32, 2], &[2, 1, 2]);
    same(Bytes::from(vec![1, 2]), &[2, 1, 2]);
}

#[test]
fn every_nan_is_written_as_the_canonical_one_and_no_other_is_read() {
    assert_eq!(encode(&f32::from_bits(0xffc0_0001)).unwrap(), NAN_32.to_le_bytes());
    assert_eq!(encode(&f64::from_bits(0xfff8_0000_0000_0001)).unwrap(), NAN_64.to_le_bytes());
    assert_eq!(decode::<f32>(&0xffc0_0001u32.to_le_bytes()), Err(EncodingError::Nan));
    assert_eq!(decode::<f64>(&1u64.wrapping_add(NAN_64).to_le_bytes()), Err(EncodingError::Nan));
}

#[test]
fn what_postcard_lets_through_is_refused() {
    assert_eq!(decode::<u32>(&[0x80, 0x00]), Err(EncodingError::Number));
    assert_eq!(decode::<u8>(&[1, 2]), Err(EncodingError::Trailing(1)));
    assert_eq!(decode::<char>(&[2, b'a', b'b']), Err(EncodingError::Char));
    assert_eq!(decode::<bool>(&[2]), Err(EncodingError::Bool(2)));
    assert_eq!(decode::<Option<u8>>(&[2, 0]), Err(EncodingError::Option(2)));
    assert_eq!(decode::<String>(&[5, b'a']), Err(EncodingError::Length));
    assert_eq!(decode::<String>(&[1, 0xff]), Err(EncodingError::Utf8));
    assert_eq!(decode::<u16>(&[0x80, 0x80, 0x04]), Err(EncodingError::Number));
}

#[test]
fn a_number_is_its_groups_of_seven_bits() {
    for bits in 0..64 {
        for value in [(1u64 << bits) - 1, 1 << bits, (1 << bits) + 1, u64::MAX >> bits, 0x0123_4567_89ab_cdef >> bits] {
            let groups = (64 - value.leading_zeros()).div_ceil(7).max(1);
            let group = |at| (value >> (7 * at)) as u8 & 0x7f | if at + 1 < groups { 0x80 } else { 0 };
            let expected: Vec<u8> = (0..groups).map(group).collect();
            same(value, &expected);
        }
    }
}

#[test]
fn a_number_that_is_cut_off_is_short_and_one_that_is_too_long_is_none() {
    for length in 0..10 {
        assert_eq!(decode::<u64>(&vec![0x80; length]), Err(EncodingError::Short), "{length}");
    }
    assert_eq!(decode::<u64>(&[0x80; 10]), Err(EncodingError::Number));
    assert_eq!(decode::<u64>(&[&[0xff; 9][..], &[1]].concat()), Ok(u64::MAX));
    assert_eq!(decode::<u64>(&[&[0xff; 9][..], &[2]].concat()), Err(EncodingError::Number));
}

#[test]
fn a_tail_is_read_as_what_follows_and_in_one_piece() {
    let read = |bytes: &[u8], tail: &[u8]| {
        let mut reader = Reader::with_tail(bytes, tail);
        let value = reader.value::<(u8, Bytes)>()?;
        reader.finish().map(|()| value)
    };
    assert_eq!(read(&[7, 2], &[1, 2]), Ok((7, Bytes::from(vec![1, 2]))));
    assert_eq!(read(&[7, 2, 1], &[2]), Err(EncodingError::Short));
    assert_eq!(read(&[7, 1], &[1, 2]), Err(EncodingError::Short));
    assert_eq!(read(&[7, 3], &[1, 2]), Err(EncodingError::Length));
    assert_eq!(read(&[7], &[2, 1, 2]), Err(EncodingError::Short));
    assert_eq!(read(&[7, 1, 1], &[1, 2]), Err(EncodingError::Trailing(2)));
}

#[test]
fn flags_refuse_undeclared_bits() {
    assert_eq!(Reader::new(&[0xff, 0x07]).flags(9), Err(EncodingError::Flags));
    assert_eq!(Reader::new(&[0xff, 0x07]).flags(10), Ok(vec![0xff, 0x03]));
    assert_eq!(Reader::new(&[0, 0, 0, 0, 0, 0, 0, 0, 2]).flags(65), Err(EncodingError::Flags));
    assert_eq!(Reader::new(&[0]).flags(0), Ok(vec![]));
}
