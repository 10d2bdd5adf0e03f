//! Guests that pass invalid values: every wrong pointer, length, discriminant, char or text fails the call, as with
//! `Val`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_std::task::block_on;
use theater_chain::value_type::ValueType;
use theater_runtime::wasm::values;
use wasmtime::component::{Component, Linker, Val};
use wasmtime::{Engine, Store};

use super::pairs::{Host, define, engine};
use super::text::{LIBC, Types};
use super::{oracle, types};

/// The end of the memory of [`LIBC`], which has 4 pages.
const END: u32 = 4 * 65_536;
/// The limit on the bytes of all lists and strings of one call.
const FUEL: usize = 1 << 20;

/// A guest whose export `run` executes `body`, which may call the import `$f`.
struct Guest {
    params: Vec<ValueType>,
    result: Option<ValueType>,
    encoding: &'static str,
    /// An instruction for the pointer that `realloc` returns in place of allocated memory.
    realloc: Option<&'static str>,
    body: String,
}

fn calling(params: impl Into<Vec<ValueType>>, body: impl Into<String>) -> Guest {
    Guest { params: params.into(), result: None, encoding: "utf8", realloc: None, body: body.into() }
}

fn answered(result: ValueType, realloc: Option<&'static str>, body: &str) -> Guest {
    Guest { params: Vec::new(), result: Some(result), encoding: "utf8", realloc, body: body.to_owned() }
}

impl Guest {
    fn encoded(mut self, encoding: &'static str) -> Self {
        self.encoding = encoding;
        self
    }

    fn text(&self) -> String {
        let mut types = Types::default();
        let mut signature = String::new();
        for (number, shape) in self.params.iter().enumerate() {
            signature += &format!(" (param \"p{number}\" {})", types.write(shape));
        }
        if let Some(result) = &self.result {
            signature += &format!(" (result {})", types.write(result));
        }
        let mut core: Vec<_> = self.params.iter().flat_map(types::flatten).collect();
        if core.len() > 16 {
            core = vec!["i32"];
        }
        let result = self.result.as_ref().map_or(Vec::new(), types::flatten);
        let result = match result.as_slice() {
            [] => String::new(),
            [one] => format!("(result {one})"),
            _ => {
                core.push("i32");
                String::new()
            }
        };
        let realloc = realloc(self.realloc);
        format!(
            r#"(component {types} (import "f" (func $f{signature})) {LIBC} {realloc}
  (core func $l (canon lower (func $f) string-encoding={encoding} (memory $memory) (realloc $liar)))
  (core module $m
    (import "libc" "memory" (memory 0))
    (import "host" "f" (func $f (param {core}) {result}))
    (func (export "run") {body}))
  (core instance $i (instantiate $m (with "libc" (instance $libc)) (with "host" (instance (export "f" (func $l))))))
  (func $run (canon lift (core func $i "run")))
  (export "run" (func $run)))"#,
            types = types.text(),
            encoding = self.encoding,
            core = core.join(" "),
            body = self.body,
        )
    }

    /// Runs the guest with an import that returns `answer`. Returns the arguments of the import as bytes.
    fn run(&self, engine: &Engine, answer: &[u8], through_val: bool) -> wasmtime::Result<Vec<u8>> {
        let text = self.text();
        let component = Component::new(engine, &text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        let mut linker = Linker::<Host>::new(engine);
        if through_val {
            let import = |mut store: wasmtime::StoreContextMut<'_, Host>,
                          ty: wasmtime::component::types::ComponentFunc,
                          params: &[Val],
                          results: &mut [Val]| {
                let types: Vec<_> = ty.params().map(|(_, ty)| ty).collect();
                store.data_mut().seen = oracle::encoded(params.iter().zip(&types));
                if let (Some(place), Some(ty)) = (results.first_mut(), ty.results().next()) {
                    *place = oracle::decode(&mut &store.data().answer[..], &ty);
                }
                Ok(())
            };
            linker.root().func_new("f", import).unwrap();
        } else {
            let params = self.params.iter().map(|shape| types::flatten(shape).len()).sum();
            define(&mut linker, "f", params, self.result.as_ref());
        }
        let mut store = Store::new(engine, Host { answer: answer.to_vec(), ..Host::default() });
        store.set_hostcall_fuel(FUEL);
        let instance = block_on(linker.instantiate_async(&mut store, &component))?;
        let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
        block_on(run.call_async(&mut store, ()))?;
        Ok(store.into_data().seen)
    }
}

/// Defines the core function `$liar`: the real `realloc`, or one that returns `what`.
fn realloc(what: Option<&str>) -> String {
    match what {
        None => "(alias core export $libc \"realloc\" (core func $liar))".to_owned(),
        Some(what) => format!(
            "(core module $liars (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) {what})) \
             (core instance $liars (instantiate $liars)) (alias core export $liars \"realloc\" (core func $liar))"
        ),
    }
}

/// Checks that the guest's call fails with this message, and that it fails through `Val` too.
#[track_caller]
fn fails(guest: Guest, answer: &[u8], words: &str) {
    let engine = engine();
    let error = guest.run(&engine, answer, false).expect_err(words);
    let error = format!("{error:?}");
    assert!(error.contains(words), "{words:?} is not said: {error}");
    assert!(guest.run(&engine, answer, true).is_err(), "through Val it does not fail: {words}");
}

/// Checks that the guest's call passes these bytes, and that it passes the same ones through `Val`.
#[track_caller]
fn passes(guest: Guest, bytes: &[u8]) {
    let engine = engine();
    assert_eq!(guest.run(&engine, &[], false).unwrap(), bytes);
    assert_eq!(guest.run(&engine, &[], true).unwrap(), bytes);
}

fn list(item: ValueType) -> ValueType {
    ValueType::List(Arc::new(item))
}

fn cases(count: usize) -> ValueType {
    ValueType::Enum((0..count).map(|number| format!("e{number}")).collect())
}

fn flags(count: usize) -> ValueType {
    ValueType::Flags((0..count).map(|number| format!("g{number}")).collect())
}

/// Stores a number at 64 and calls the import with a list of one element there.
fn one_element(instruction: &str, number: u32) -> String {
    format!("({instruction} (i32.const 64) (i32.const {number})) (call $f (i32.const 64) (i32.const 1))")
}

fn pointer_and_length(pointer: u32, length: u32) -> String {
    format!("(call $f (i32.const {pointer}) (i32.const {length}))")
}

#[test]
fn a_list_or_text_outside_memory_or_not_aligned_is_an_error() {
    let out = "out of bounds";
    fails(calling([list(ValueType::U32)], pointer_and_length(65, 1)), &[], "not aligned");
    fails(calling([list(ValueType::U64)], pointer_and_length(68, 1)), &[], "not aligned");
    fails(calling([list(ValueType::U16)], pointer_and_length(1, 0)), &[], "not aligned");
    fails(calling([list(ValueType::U32)], pointer_and_length(0x7fff_fff0, 1)), &[], out);
    fails(calling([list(ValueType::U32)], pointer_and_length(END - 4, 2)), &[], out);
    fails(calling([list(ValueType::U32)], pointer_and_length(END + 4, 0)), &[], out);
    fails(calling([ValueType::Bytes], pointer_and_length(END - 1, 2)), &[], out);
    fails(calling([ValueType::Bytes], pointer_and_length(u32::MAX, 1)), &[], out);
    fails(calling([ValueType::String], pointer_and_length(END - 1, 2)), &[], out);
    fails(calling([list(list(ValueType::U8))], pointer_and_length(END - 4, 1)), &[], out);
    // An inner list with an invalid pointer.
    let inner = format!(
        "(i32.store (i32.const 64) (i32.const {END})) (i32.store (i32.const 68) (i32.const 1)) (call $f (i32.const 64) (i32.const 1))"
    );
    fails(calling([list(ValueType::Bytes)], inner.clone()), &[], out);
    fails(calling([list(ValueType::String)], inner.clone()), &[], out);
    fails(calling([list(list(ValueType::U64))], inner), &[], out);
    passes(calling([ValueType::Bytes], pointer_and_length(END, 0)), &[0]);
    passes(calling([list(ValueType::U64)], pointer_and_length(END, 0)), &[0]);
}

#[test]
fn long_bytes_and_text_at_the_end_of_parameters_arrive_whole() {
    for length in [0u32, 1, 1023, 1024, 1025, 20_000] {
        let mut content = theater_plugin_api::encoding::encode(&length).unwrap();
        content.extend(std::iter::repeat_n(0x61, length as usize));
        let filled = format!("(memory.fill (i32.const 64) (i32.const 0x61) (i32.const {length}))");
        for shape in [ValueType::Bytes, ValueType::String] {
            let alone = format!("{filled} {}", pointer_and_length(64, length));
            passes(calling([shape.clone()], alone), &content);
            let last = format!("{filled} (call $f (i32.const 7) (i32.const 64) (i32.const {length}))");
            passes(calling([ValueType::U8, shape.clone()], last), &[&[7], &content[..]].concat());
            let first = format!("{filled} (call $f (i32.const 64) (i32.const {length}) (i32.const 7))");
            passes(calling([shape.clone(), ValueType::U8], first), &[&content[..], &[7]].concat());
            let start = END - length;
            fails(calling([shape], pointer_and_length(start + 1, length.max(1))), &[], "out of bounds");
        }
    }
    let broken = "(i32.store8 (i32.const 5000) (i32.const 0xff)) (call $f (i32.const 64) (i32.const 5000))";
    fails(calling([ValueType::String], broken), &[], "not UTF-8");
    let utf16 = format!("(memory.fill (i32.const 64) (i32.const 0) (i32.const 4000)) {}", pointer_and_length(64, 2000));
    passes(calling([ValueType::String], utf16).encoded("utf16"), &[&[0xd0, 0x0f][..], &[0; 2000]].concat());
}

#[test]
fn a_length_that_overflows_is_an_error() {
    let fuel = "fuel";
    for item in
        [ValueType::U16, ValueType::U64, ValueType::String, ValueType::Tuple([ValueType::U64, ValueType::U64].into())]
    {
        fails(calling([list(item)], pointer_and_length(0, u32::MAX)), &[], fuel);
    }
    fails(calling([ValueType::Bytes], pointer_and_length(0, u32::MAX)), &[], fuel);
    fails(calling([ValueType::String], pointer_and_length(0, u32::MAX)), &[], fuel);
    // In UTF-16 a length counts units of two bytes. `latin1+utf16` marks UTF-16 lengths with the highest bit.
    for length in [u32::MAX, 0x8000_0000, 0x7fff_ffff, END / 2] {
        fails(calling([ValueType::String], pointer_and_length(64, length)).encoded("utf16"), &[], "out of bounds");
    }
    for length in [u32::MAX, 0x7fff_ffff, 0x8000_0000 + END / 2, END] {
        fails(
            calling([ValueType::String], pointer_and_length(64, length)).encoded("latin1+utf16"),
            &[],
            "out of bounds",
        );
    }
}

#[test]
fn text_that_is_none_is_an_error() {
    for bytes in ["\\ff", "\\c0\\80", "\\ed\\a0\\80", "\\f4\\90\\80\\80", "a\\c3"] {
        let length = bytes.matches('\\').count() + usize::from(bytes.starts_with('a'));
        let number = bytes.split('\\').filter(|part| !part.is_empty()).rev().fold(0u32, |number, part| {
            number << 8 | if part == "a" { 0x61 } else { u32::from_str_radix(part, 16).unwrap() }
        });
        let body =
            format!("(i32.store (i32.const 64) (i32.const {number})) (call $f (i32.const 64) (i32.const {length}))");
        fails(calling([ValueType::String], body), &[], "not UTF-8");
    }
    let half = "(i32.store16 (i32.const 64) (i32.const 0xd800)) (call $f (i32.const 64) (i32.const 1))";
    fails(calling([ValueType::String], half).encoded("utf16"), &[], "");
    let tagged = "(i32.store16 (i32.const 64) (i32.const 0xdc00)) (call $f (i32.const 64) (i32.const 0x80000001))";
    fails(calling([ValueType::String], tagged).encoded("latin1+utf16"), &[], "");
    fails(calling([ValueType::String], pointer_and_length(65, 1)).encoded("utf16"), &[], "aligned");
    fails(calling([ValueType::String], pointer_and_length(65, 1)).encoded("latin1+utf16"), &[], "aligned");
    fails(calling([ValueType::String], pointer_and_length(END, 1)).encoded("utf16"), &[], "out of bounds");
    fails(calling([ValueType::String], pointer_and_length(END, 1)).encoded("latin1+utf16"), &[], "out of bounds");
    let latin = "(i32.store8 (i32.const 64) (i32.const 0xe9)) (call $f (i32.const 64) (i32.const 1))";
    passes(calling([ValueType::String], latin).encoded("latin1+utf16"), &[2, 0xc3, 0xa9]);
}

#[test]
fn a_discriminant_or_char_that_does_not_exist_is_an_error() {
    let direct = |number: u32| format!("(call $f (i32.const {number}))");
    let payload = |number: u32| format!("(call $f (i32.const {number}) (i32.const 0))");
    let option = ValueType::Option(Arc::new(ValueType::U32));
    let result = ValueType::Result(Arc::new((Some(ValueType::U8), Some(ValueType::U32))));
    let variant = ValueType::Variant([("a".to_owned(), Some(ValueType::U32)), ("b".to_owned(), None)].into());
    for number in [3, 256, u32::MAX] {
        fails(calling([cases(3)], direct(number)), &[], "discriminant");
    }
    fails(calling([cases(300)], direct(300)), &[], "discriminant");
    for number in [2, u32::MAX] {
        fails(calling([option.clone()], payload(number)), &[], "discriminant");
        fails(calling([result.clone()], payload(number)), &[], "discriminant");
        fails(calling([variant.clone()], payload(number)), &[], "discriminant");
    }
    for (number, item) in [(3, cases(3)), (255, cases(255)), (2, option), (255, result), (2, variant)] {
        fails(calling([list(item)], one_element("i32.store8", number)), &[], "discriminant");
    }
    fails(calling([list(cases(300))], one_element("i32.store16", 300)), &[], "discriminant");
    for number in [0xd800, 0xdfff, 0x11_0000, u32::MAX] {
        fails(calling([ValueType::Char], direct(number)), &[], "char");
        fails(calling([list(ValueType::Char)], one_element("i32.store", number)), &[], "char");
    }
}

#[test]
fn bits_that_the_canonical_abi_ignores_are_ignored() {
    let direct = |number: u32| format!("(call $f (i32.const {number}))");
    passes(calling([ValueType::Bool], direct(0x100)), &[1]);
    passes(calling([list(ValueType::Bool)], one_element("i32.store8", 0x80)), &[1, 1]);
    passes(calling([ValueType::U8], direct(0x1ff)), &[0xff]);
    passes(calling([ValueType::U16], direct(0xffff_0001)), &[1]);
    passes(calling([ValueType::S8], direct(0x80)), &[0x80]);
    passes(calling([ValueType::S16], direct(0xffff)), &[1]);
    passes(calling([flags(3)], direct(u32::MAX)), &[7]);
    passes(calling([flags(9)], direct(u32::MAX)), &[0xff, 0x03]);
    passes(calling([flags(32)], direct(u32::MAX)), &[0xff, 0xff, 0xff, 0xff, 0x0f]);
    passes(calling([list(flags(9))], one_element("i32.store16", 0xffff)), &[1, 0xff, 0x03]);
    passes(calling([ValueType::F32], "(call $f (f32.reinterpret_i32 (i32.const 0xffa00001)))"), &[0, 0, 0xc0, 0x7f]);
    // An f32 passed as an i64: the upper half is ignored.
    let joined =
        ValueType::Variant([("a".to_owned(), Some(ValueType::F32)), ("b".to_owned(), Some(ValueType::U64))].into());
    passes(calling([joined], "(call $f (i32.const 0) (i64.const 0x123456783f800000))"), &[0, 0, 0, 0x80, 0x3f]);
}

#[test]
fn the_block_of_many_parameters_is_checked() {
    let params = vec![ValueType::U32; 17];
    let at = |at: u32| format!("(call $f (i32.const {at}))");
    fails(calling(params.clone(), at(66)), &[], "aligned");
    fails(calling(params.clone(), at(END - 64)), &[], "out of bounds");
    fails(calling(params.clone(), at(u32::MAX - 3)), &[], "out of bounds");
    passes(calling(params, at(END - 68)), &[0; 17]);
}

#[test]
fn the_place_of_a_result_is_checked() {
    let result = ValueType::Tuple([ValueType::U32, ValueType::U64].into());
    let at = |at: u32| format!("(call $f (i32.const {at}))");
    fails(answered(result.clone(), None, &at(68)), &[1, 2], "aligned");
    fails(answered(result.clone(), None, &at(END - 8)), &[1, 2], "out of bounds");
    fails(answered(result.clone(), None, &at(u32::MAX - 7)), &[1, 2], "out of bounds");
    passes_answer(
        answered(
            result,
            None,
            &format!(
                "{} (if (i64.ne (i64.load (i32.const {})) (i64.const 2)) (then unreachable))",
                at(END - 16),
                END - 8
            ),
        ),
        &[1, 2],
    );
}

#[track_caller]
fn passes_answer(guest: Guest, answer: &[u8]) {
    let engine = engine();
    guest.run(&engine, answer, false).unwrap();
    guest.run(&engine, answer, true).unwrap();
}

#[test]
fn a_realloc_that_lies_is_an_error() {
    let call = "(call $f (i32.const 64))";
    let some_lists: [(ValueType, &[u8]); 5] = [
        (list(ValueType::U32), &[2, 1, 2]),
        (list(ValueType::String), &[1, 1, b'x']),
        (ValueType::Bytes, &[2, 1, 2]),
        (ValueType::String, &[1, b'x']),
        (list(ValueType::Bool), &[1, 1]),
    ];
    for (result, answer) in some_lists {
        for pointer in [END.to_string(), (END - 1).to_string(), "-4".to_owned(), "0x7ffffffc".to_owned()] {
            let body: &'static str = format!("(i32.const {pointer})").leak();
            let guest = answered(result.clone(), Some(body), call);
            // A result of one byte fits before the end.
            if pointer == (END - 1).to_string()
                && (answer.len() == 2 && !matches!(result, ValueType::List(ref item) if **item != ValueType::Bool))
            {
                continue;
            }
            let words = if pointer == (END - 1).to_string()
                && matches!(result, ValueType::List(ref item) if **item != ValueType::Bool)
            {
                "aligned"
            } else {
                "beyond end of memory"
            };
            fails(guest, answer, words);
        }
        fails(answered(result, Some("unreachable"), call), answer, "unreachable");
    }
    fails(answered(list(ValueType::U64), Some("(i32.const 68)"), call), &[1, 1], "aligned");
    for encoding in ["utf16", "latin1+utf16"] {
        fails(
            answered(ValueType::String, Some("(i32.const 65)"), call).encoded(encoding),
            &[4, 0xf0, 0x9f, 0x98, 0x80],
            "aligned",
        );
        fails(
            answered(ValueType::String, Some("(i32.const -2)"), call).encoded(encoding),
            &[4, 0xf0, 0x9f, 0x98, 0x80],
            "beyond end",
        );
    }
}

#[test]
fn lists_that_share_their_elements_are_bounded() {
    // 4,096 lists at 65,536, each of them 4,096 lists at 131,072, each of them 4,096 numbers: 256 GiB once copied.
    let fill = |from: u32, to: u32| {
        format!(
            "(local.set $at (i32.const {from})) (loop $next
               (i64.store (local.get $at) (i64.const {}))
               (local.set $at (i32.add (local.get $at) (i32.const 8)))
               (br_if $next (i32.lt_u (local.get $at) (i32.const {}))))",
            4096u64 << 32 | u64::from(to),
            from + 4096 * 8,
        )
    };
    let call = "(call $f (i32.const 65536) (i32.const 4096))";
    let body = format!("(local $at i32) {} {} {call}", fill(65_536, 131_072), fill(131_072, 163_840));
    let start = Instant::now();
    fails(calling([list(list(list(ValueType::U32)))], body.clone()), &[], "fuel");
    fails(calling([list(list(ValueType::String))], body), &[], "fuel");
    assert!(start.elapsed() < Duration::from_secs(10));
}

/// A component with a handler export whose core function returns `returned`. `block` is stored at 1,024.
fn export(params: &ValueType, block: &[u32], returned: u32, liar: Option<&str>) -> String {
    let mut types = Types::default();
    let shape = types.write(params);
    let mut core = 3 + types::flatten(params).len();
    if core > 16 {
        core = 1;
    }
    let rest = if core == 1 { Vec::new() } else { types::flatten(params) };
    let core = if core == 1 { "i32".to_owned() } else { format!("i32 i32 i32 {}", rest.join(" ")) };
    let stores: String = block
        .iter()
        .enumerate()
        .map(|(place, word)| format!("(i32.store (i32.const {}) (i32.const {word}))", 1024 + 4 * place))
        .collect();
    format!(
        r#"(component {types} {LIBC} {liar}
  (core module $m (import "libc" "memory" (memory 0))
    (func (export "g") (param {core}) (result i32) {stores} (i32.const {returned})))
  (core instance $i (instantiate $m (with "libc" (instance $libc))))
  (func $g (param "state" (option (list u8))) (param "params" {shape})
    (result (result (tuple (option (list u8)) (tuple u32 string)) (error string)))
    (canon lift (core func $i "g") (memory $memory) (realloc $liar)))
  (export "g" (func $g)))"#,
        types = types.text(),
        liar = realloc(liar),
    )
}

fn call_export(text: &str, params: &[u8]) -> wasmtime::Result<values::Returned> {
    let engine = engine();
    let component = Component::new(&engine, text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    let mut store = Store::new(&engine, ());
    store.set_hostcall_fuel(FUEL);
    let instance = block_on(Linker::new(&engine).instantiate_async(&mut store, &component))?;
    let func = instance.get_func(&mut store, "g").unwrap();
    let flat = theater_runtime::wasm::types::signature_of(&func.ty(&store)).unwrap().flat_params();
    block_on(values::call_export(&mut store, func, flat, Some(b"state"), params))
}

#[track_caller]
fn export_fails(block: &[u32], returned: u32, words: &str) {
    let one = ValueType::Tuple([ValueType::U8].into());
    let error = format!("{:?}", call_export(&export(&one, block, returned, None), &[7]).expect_err(words));
    assert!(error.contains(words), "{words:?} is not said: {error}");
}

#[test]
fn what_a_handler_export_returns_is_checked() {
    // result at 0; ok: option at 4, pointer 8, length 12, u32 16, string 20 and 24; err: string 4 and 8.
    let good = [0, 1, 1024, 4, 9, 1024, 1];
    let one = ValueType::Tuple([ValueType::U8].into());
    let returned = call_export(&export(&one, &good, 1024, None), &[7]).unwrap();
    assert_eq!(returned, values::Returned::Ok(Some(vec![0; 4]), vec![9, 1, 0]));
    export_fails(&good, 1026, "aligned");
    export_fails(&good, END - 24, "out of bounds");
    export_fails(&good, END + 4, "out of bounds");
    export_fails(&good, u32::MAX - 3, "out of bounds");
    export_fails(&[2, 1, 1024, 4, 9, 1024, 1], 1024, "discriminant");
    export_fails(&[0, 2, 1024, 4, 9, 1024, 1], 1024, "discriminant");
    export_fails(&[0, 1, END, 1, 9, 1024, 1], 1024, "out of bounds");
    export_fails(&[0, 1, 0, u32::MAX, 9, 1024, 1], 1024, "fuel");
    export_fails(&[0, 1, 1024, 4, 9, END, 1], 1024, "out of bounds");
    export_fails(&[0, 1, 1024, 4, 255, 1040, 1], 1024, "not UTF-8");
    export_fails(&[1, END, 1], 1024, "out of bounds");
    export_fails(&[1, 1036, 1, 255], 1024, "not UTF-8");
}

#[test]
fn a_realloc_that_lies_to_a_handler_export_is_an_error() {
    let many = ValueType::Tuple(vec![ValueType::U64; 14].into());
    let few = ValueType::Tuple([ValueType::String].into());
    for (params, bytes) in [(&many, &[0; 14][..]), (&few, &[1, b'x'][..])] {
        for (liar, words) in
            [("(i32.const -8)", "beyond end"), ("(i32.const 0x7ffffff8)", "beyond end"), ("unreachable", "unreachable")]
        {
            let error = format!("{:?}", call_export(&export(params, &[], 1024, Some(liar)), bytes).unwrap_err());
            assert!(error.contains(words), "{words:?} is not said: {error}");
        }
    }
    let error = format!("{:?}", call_export(&export(&many, &[], 1024, Some("(i32.const 68)")), &[0; 14]).unwrap_err());
    assert!(error.contains("aligned"), "{error}");
    let end: &str = format!("(i32.const {})", END - 8).leak();
    let error = format!("{:?}", call_export(&export(&many, &[], 1024, Some(end)), &[0; 14]).unwrap_err());
    assert!(error.contains("beyond end"), "{error}");
}

#[test]
fn bytes_that_do_not_fit_their_type_never_reach_a_guest() {
    let engine = engine();
    let call = "(call $f (i32.const 64))";
    let record =
        ValueType::Tuple([ValueType::Bool, ValueType::Char, list(ValueType::String), flags(9), cases(3)].into());
    let good = [1, 1, b'x', 1, 2, b'h', b'i', 0xff, 0x03, 2];
    answered(record.clone(), None, call).run(&engine, &good, false).unwrap();
    let mut refused = 0;
    for at in 0..good.len() {
        let cut = answered(record.clone(), None, call).run(&engine, &good[..at], false).unwrap_err();
        assert!(format!("{cut:?}").contains("do not fit"), "{cut:?}");
        let mut changed = good;
        changed[at] ^= 0xff;
        refused += usize::from(answered(record.clone(), None, call).run(&engine, &changed, false).is_err());
    }
    assert!(refused >= 6, "{refused}");
    let params = ValueType::Tuple(vec![ValueType::Bool; 2].into());
    for bytes in [&[1][..], &[1, 2], &[1, 1, 1]] {
        let error = call_export(&export(&params, &[], 1024, None), bytes).unwrap_err();
        assert!(format!("{error:?}").contains("do not fit"), "{error:?}");
    }
}
