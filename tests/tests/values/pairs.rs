//! Passes random values of random types through wasmtime twice: as encoded bytes (`theater_runtime::wasm::values`) and as
//! `Val`.
//!
//! For each function of a component from [`text::component`] and each random value, the host calls the guest with a
//! `Val`, and the guest calls the import and returns its answer. The bytes that the fast import receives have to equal
//! the oracle's encoding of the `Val`, and the returned `Val` has to encode to the bytes that the fast import answered.
//! Handler exports are also called with bytes (`values::call_export`), with a fast import and with one over `Val`s.

use async_std::task::block_on;
use theater_chain::value_type::{Number, Signature, ValueType};
use theater_chain::wave;
use theater_plugin_api::encoding::Reader;
use theater_runtime::wasm::values::{self, Args, CallFrame, MAX_FLAT, Readable, Ret, Returned};
use wasmtime::component::{Component, Func, Instance, Linker, Type, Val};
use wasmtime::{Config, Engine, Store};

use super::random::Random;
use super::types::{self, Function};
use super::{oracle, text};

/// Number of functions per component.
const FUNCTIONS: usize = 24;
/// One in this many functions is a handler export.
const HANDLERS: usize = 3;
/// Number of random values per function.
const VALUES: usize = 8;
/// Number of parts of a value after which its lists are empty.
const PARTS: usize = 60;

/// The arguments that the imports of a store received, and the answers that they return.
#[derive(Default)]
pub struct Host {
    pub seen: Vec<u8>,
    pub answer: Vec<u8>,
    pub seen_values: Vec<Val>,
    pub answer_value: Option<Val>,
}

/// An engine with the settings of the core that affect values.
pub fn engine() -> Engine {
    let mut config = Config::new();
    config.wasm_component_model(true).concurrency_support(false).cranelift_nan_canonicalization(true);
    // Memory moves whenever it grows.
    config.memory_reservation(0).memory_reservation_for_growth(0).memory_guard_size(0);
    Engine::new(&config).unwrap()
}

/// Answers the way the core does: in the result buffer if the answer fits, and a number directly.
fn answer(exchange: &mut CallFrame, bytes: &[u8], number: Option<Number>) -> wasmtime::Result<()> {
    match exchange.ask().1.get_mut(..bytes.len()) {
        Some(room) => {
            room.copy_from_slice(bytes);
            exchange.in_room(bytes.len());
        }
        None => exchange.replaced(bytes.to_vec()),
    }
    if let Some(number) = number {
        let mut reader = exchange.reader();
        let bits = number.read(&mut reader)?;
        reader.finish()?;
        exchange.is_number(bits);
    }
    Ok(())
}

/// Defines an import over encoded bytes, with the number of core values that the core's linker would choose.
pub fn define(linker: &mut Linker<Host>, name: &str, params: usize, result: Option<&ValueType>) {
    fn one<const N: usize, const R: usize>(linker: &mut Linker<Host>, name: &str, number: Option<Number>) {
        let import = move |mut store: wasmtime::StoreContextMut<'_, Host>, args: Args<N>| {
            let (host, mut exchange) = (store.data_mut(), args.0);
            host.seen = exchange.arguments().concat();
            answer(&mut exchange, &host.answer, number)?;
            exchange.release();
            Ok(Ret::<CallFrame, R>(exchange))
        };
        linker.root().func_wrap(name, import).unwrap();
    }
    let number = result.and_then(ValueType::number);
    macro_rules! choose {
        ($result:literal; $($count:literal)*) => {
            match params {
                $($count => one::<$count, $result>(linker, name, number),)*
                _ => one::<17, $result>(linker, name, number),
            }
        };
    }
    match result.map_or(0, |result| types::flatten(result).len()) {
        0 => choose!(0; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16),
        1 => choose!(1; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16),
        _ => choose!(2; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16),
    }
}

/// Defines an import over `Val`s.
fn define_values(linker: &mut Linker<Host>, name: &str) {
    let mut root = linker.root();
    let import = |mut store: wasmtime::StoreContextMut<'_, Host>, _, params: &[Val], results: &mut [Val]| {
        let host = store.data_mut();
        host.seen_values = params.to_vec();
        if let (Some(place), Some(answer)) = (results.first_mut(), &host.answer_value) {
            *place = answer.clone();
        }
        Ok(())
    };
    root.func_new(name, import).unwrap();
}

/// The number of comparisons so far.
#[derive(Debug, Default, Clone, Copy)]
pub struct Count {
    /// Functions, each of which has its own types.
    pub functions: u64,
    /// Values passed through imports.
    pub imports: u64,
    /// Values passed through handler exports.
    pub exports: u64,
    /// Changed encodings that were refused, and those that were accepted as another value.
    pub refused: u64,
    pub accepted: u64,
}

impl Count {
    /// The number of (type, value) pairs.
    pub fn pairs(&self) -> u64 {
        self.imports + self.exports
    }
}

struct Side {
    store: Store<Host>,
    instance: Instance,
}

impl Side {
    fn new(engine: &Engine, component: &Component, functions: &[(Function, &str)], fast: bool) -> Self {
        let mut linker = Linker::new(engine);
        for (n, (function, _)) in functions.iter().enumerate() {
            let name = format!("f{n}");
            if fast {
                let params = function.params.iter().map(|(_, shape)| types::flatten(shape).len()).sum();
                define(&mut linker, &name, params, function.result.as_ref());
            } else {
                define_values(&mut linker, &name);
            }
        }
        let mut store = Store::new(engine, Host::default());
        let instance = block_on(linker.instantiate_async(&mut store, component)).unwrap();
        Self { store, instance }
    }

    fn func(&mut self, n: usize) -> Func {
        self.instance.get_func(&mut self.store, format!("g{n}")).unwrap()
    }
}

/// Generates component `number` of `seed` and runs all comparisons on it.
pub fn check_component(engine: &Engine, seed: u64, number: u64, count: &mut Count) {
    let random = &mut Random::new(seed ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let functions: Vec<_> = (0..FUNCTIONS)
        .map(|n| {
            let function = if n % HANDLERS == 0 { types::handler(random) } else { types::plain(random) };
            let encoding = if random.chance(50) { "utf8" } else { random.pick(&text::ENCODINGS) };
            (function, encoding)
        })
        .collect();
    let source = text::component(&functions);
    let component = Component::new(engine, &source).unwrap_or_else(|error| panic!("{error:?}\n{source}"));
    let mut fast = Side::new(engine, &component, &functions, true);
    let mut slow = Side::new(engine, &component, &functions, false);
    for (n, (function, _)) in functions.iter().enumerate() {
        count.functions += 1;
        let signature = check_signature(&mut fast, n, function);
        for _ in 0..VALUES {
            check_import(&mut fast, &mut slow, n, function, random, count);
            if function.handler {
                check_export(&mut fast, n, &signature, true, random, count);
                check_export(&mut slow, n, &signature, false, random, count);
            }
        }
    }
}

/// Checks that the core reads the type that was written.
fn check_signature(side: &mut Side, n: usize, function: &Function) -> Signature {
    let signature = theater_runtime::wasm::types::signature_of(&side.func(n).ty(&side.store)).unwrap();
    assert_eq!(signature.params, function.params);
    assert_eq!(signature.result, function.result);
    for shape in signature.params.iter().map(|(_, shape)| shape).chain(&signature.result) {
        assert_eq!(shape.flat_count(), types::flatten(shape).len(), "{shape}");
    }
    assert_eq!(signature.handler().is_some(), function.handler);
    signature
}

fn check_import(
    fast: &mut Side,
    slow: &mut Side,
    n: usize,
    function: &Function,
    random: &mut Random,
    count: &mut Count,
) {
    let func = fast.func(n);
    let ty = func.ty(&fast.store);
    let param_types: Vec<_> = ty.params().map(|(_, ty)| ty).collect();
    let result_type = ty.results().next();
    let params: Vec<_> = param_types.iter().map(|ty| oracle::value(random, ty, &mut { PARTS })).collect();
    let answer = result_type.as_ref().map(|ty| oracle::value(random, ty, &mut { PARTS }));
    let args = oracle::encoded(params.iter().zip(&param_types));
    let result = oracle::encoded(answer.iter().zip(&result_type));
    for ((_, shape), (value, ty)) in function.params.iter().zip(params.iter().zip(&param_types)) {
        check_bytes(shape, ty, &oracle::encoded([(value, ty)]), random, count);
    }

    let mut results = vec![Val::Bool(false); usize::from(answer.is_some())];
    fast.store.data_mut().answer.clone_from(&result);
    block_on(func.call_async(&mut fast.store, &params, &mut results)).unwrap();
    assert_eq!(fast.store.data().seen, args, "arguments of {params:?}");
    assert_eq!(oracle::encoded(results.iter().zip(&result_type)), result, "result {answer:?}");

    let func = slow.func(n);
    slow.store.data_mut().answer_value.clone_from(&answer);
    block_on(func.call_async(&mut slow.store, &params, &mut results)).unwrap();
    // The types of an instance belong to its own component handle, so that only the encodings are compared.
    assert_eq!(oracle::encoded(slow.store.data().seen_values.iter().zip(&param_types)), args);
    assert_eq!(oracle::encoded(results.iter().zip(&result_type)), result);
    count.imports += 1;
}

fn check_export(side: &mut Side, n: usize, signature: &Signature, fast: bool, random: &mut Random, count: &mut Count) {
    let func = side.func(n);
    let ty = func.ty(&side.store);
    let types: Vec<_> = ty.params().map(|(_, ty)| ty).collect();
    let result_type = ty.results().next().unwrap();
    let [state, params] = [0, 1].map(|place: usize| oracle::value(random, &types[place], &mut { PARTS }));
    let answer = oracle::value(random, &result_type, &mut { PARTS });
    let all = oracle::encoded([(&state, &types[0]), (&params, &types[1])]);
    let answer_bytes = oracle::encoded([(&answer, &result_type)]);
    side.store.data_mut().answer.clone_from(&answer_bytes);
    side.store.data_mut().answer_value = Some(answer.clone());

    let state_bytes = bytes_of(&state);
    let param_bytes = oracle::encoded([(&params, &types[1])]);
    let flat = signature.flat_params();
    let returned = values::call_export(&mut side.store, func, flat, state_bytes.as_deref(), &param_bytes);
    let returned = block_on(returned).unwrap();
    if fast {
        assert_eq!(side.store.data().seen, all);
    } else {
        assert_eq!(oracle::encoded(side.store.data().seen_values.iter().zip(&types)), all);
    }
    assert_eq!(returned, expected(&answer, &result_type), "flat {flat}, {MAX_FLAT} at most");
    count.exports += 1;
}

/// The bytes of a `Val` of type `option<list<u8>>`.
fn bytes_of(state: &Val) -> Option<Vec<u8>> {
    let Val::Option(Some(list)) = state else { return None };
    let Val::List(items) = &**list else { panic!("{list:?} is no list") };
    Some(items.iter().map(|item| if let Val::U8(byte) = item { *byte } else { panic!("{item:?} is no u8") }).collect())
}

fn expected(answer: &Val, ty: &Type) -> Returned {
    let (Val::Result(answer), Type::Result(ty)) = (answer, ty) else { panic!("{answer:?} is no result") };
    match (answer, ty.ok()) {
        (Ok(Some(ok)), Some(Type::Tuple(types))) => {
            let Val::Tuple(items) = &**ok else { panic!("{ok:?} is no tuple") };
            let values = match (items.get(1), types.types().nth(1)) {
                (Some(values), Some(ty)) => oracle::encoded([(values, &ty)]),
                _ => Vec::new(),
            };
            Returned::Ok(bytes_of(&items[0]), values)
        }
        (Err(Some(text)), _) => match &**text {
            Val::String(text) => Returned::Err(text.clone()),
            other => panic!("{other:?} is no string"),
        },
        other => panic!("{other:?} is no result of a handler export"),
    }
}

/// Checks that the bytes are valid, that a prefix or an extension is not, and that changed bytes are either invalid or
/// the only encoding of another value.
fn check_bytes(shape: &ValueType, ty: &Type, bytes: &[u8], random: &mut Random, count: &mut Count) {
    let valid = |bytes: &[u8]| {
        let mut reader = Reader::new(bytes);
        shape.validate(&mut reader).and_then(|()| reader.finish()).is_ok()
    };
    assert!(valid(bytes), "{shape}: {bytes:?}");
    assert!(wave::row([shape], bytes).is_ok());
    assert_eq!(oracle::encoded([(&oracle::decode(&mut &bytes[..], ty), ty)]), bytes);
    if bytes.is_empty() {
        return;
    }
    assert!(!valid(&bytes[..random.below(bytes.len())]), "a part of {bytes:?} is no {shape}");
    assert!(!valid(&[bytes, &[0]].concat()), "more than {bytes:?} is no {shape}");
    for _ in 0..4 {
        let mut changed = bytes.to_vec();
        let at = random.below(changed.len());
        match random.below(3) {
            0 => changed[at] ^= 1 << random.below(8),
            1 => changed[at] = random.next() as u8,
            _ => changed.insert(at, random.pick(&[0, 1, 0x7f, 0x80, 0xff])),
        }
        assert_eq!(
            valid(&changed),
            wave::row([shape], &changed).is_ok(),
            "validate and print differ: {shape}: {changed:?}"
        );
        if valid(&changed) {
            let value = oracle::decode(&mut &changed[..], ty);
            assert_eq!(oracle::encoded([(&value, ty)]), changed, "two encodings of one {shape}: {value:?}");
            count.accepted += 1;
        } else {
            count.refused += 1;
        }
    }
}
