//! The golden chains (`tests/golden/chains`) verify, and verification finds every flipped byte.
//!
//! By default a sample of the bytes is flipped; with `THEATER_EVERY_BYTE=1` each one is.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::Command;

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use theater_chain::event::hex;
use theater_chain::journal::export::export;
use theater_chain::verify;

/// Bytes that are flipped per file by default.
const SAMPLE: usize = 300;

fn golden() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/chains");
    let mut folders: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

fn theater_verify(arguments: &[&Path]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_theater-verify")).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// The offsets that are flipped.
fn offsets(length: usize) -> Vec<usize> {
    let step = if std::env::var_os("THEATER_EVERY_BYTE").is_some() { 1 } else { length.div_ceil(SAMPLE).max(1) };
    (0..length).step_by(step).collect()
}

#[test]
fn theater_verify_checks_every_golden_chain_and_its_export() {
    let scratch = tempfile::tempdir().unwrap();
    for data in golden() {
        let contents = verify::read(&data, |_| {}).unwrap();
        let (code, text) = theater_verify(&[&data]);
        assert_eq!(
            (code, text.lines().filter(|line| line.contains("complete up to")).count()),
            (Some(0), contents.chains.len()),
            "{text}"
        );
        for (id, end) in &contents.chains {
            let file = scratch.path().join("export.log");
            std::fs::write(&file, export(&data, *id).unwrap()).unwrap();
            let head = hex(&end.chain.head());
            let (code, text) = theater_verify(&[Path::new("--head"), Path::new(&head), &file]);
            assert_eq!(code, Some(0), "{text}");
            let (code, text) = theater_verify(&[Path::new("--head"), Path::new(&"0".repeat(64)), &file]);
            assert!(code == Some(1) && text.contains("J0004"), "{text}");
        }
    }
    assert_eq!(theater_verify(&[]).0, Some(2));
    assert_eq!(theater_verify(&[Path::new("/nonexistent")]).0, Some(1));
}

#[test]
fn every_flipped_byte_of_an_export_is_found() {
    let scratch = tempfile::tempdir().unwrap();
    let mut flipped = 0;
    for data in golden() {
        for id in verify::read(&data, |_| {}).unwrap().chains.keys() {
            let bytes = export(&data, *id).unwrap();
            let offsets = offsets(bytes.len());
            flipped += offsets.len();
            offsets.into_par_iter().for_each(|offset| {
                let mut damaged = bytes.clone();
                damaged[offset] ^= 1 << (offset % 8);
                let file = scratch.path().join(format!("{}-{offset}.log", hex(id)));
                std::fs::write(&file, damaged).unwrap();
                assert!(verify::read(&file, |_| {}).is_err(), "the flipped byte {offset} is not found");
                std::fs::remove_file(file).unwrap();
            });
        }
    }
    println!("{flipped} bytes of exports flipped, each found");
}

/// In a data folder a damaged last group is what a crash leaves: it is reported as unfinished, and its events are missing.
#[test]
fn every_flipped_byte_of_a_journal_is_found_or_reported_as_the_unfinished_end() {
    let mut flipped = 0;
    for data in golden() {
        let heads =
            |contents: &verify::Contents| contents.chains.values().map(|end| end.chain.head()).collect::<Vec<_>>();
        let whole = heads(&verify::read(&data, |_| {}).unwrap());
        let bytes = std::fs::read(data.join("journal/00000001.log")).unwrap();
        let offsets = offsets(bytes.len());
        flipped += offsets.len();
        offsets.into_par_iter().for_each(|offset| {
            let scratch = tempfile::tempdir().unwrap();
            let journal = scratch.path().join("journal");
            std::fs::create_dir(&journal).unwrap();
            let mut damaged = bytes.clone();
            damaged[offset] ^= 1 << (offset % 8);
            std::fs::write(journal.join("00000001.log"), damaged).unwrap();
            let is_found = match verify::read(scratch.path(), |_| {}) {
                Err(_) => true,
                Ok(contents) => contents.torn.is_some() && heads(&contents) != whole,
            };
            assert!(is_found, "the flipped byte {offset} is not found");
        });
    }
    println!("{flipped} bytes of journals flipped, each found");
}
