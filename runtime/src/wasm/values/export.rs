//! Calls of handler exports: state and parameters into the guest, the new state and the returned values out of it.
//!
//! A handler export takes `(state: option<list<u8>>, params: tuple<..>)` and returns
//! `result<tuple<option<list<u8>>, ..>, string>`; the state is passed as plain bytes, everything else encoded.

use std::future::Future;

use theater_plugin_api::encoding::{Reader, memcpy};
use wasmtime::component::__internal::{ComponentTypes, InterfaceType, LiftContext, LowerContext};
use wasmtime::component::Func;
use wasmtime::{Result, Store, bail, format_err};

use crate::wasm::values::abi::{self, LiftBytes, LowerBytes};
use crate::wasm::values::flat::{FlatSlots, FlatValues};
use crate::wasm::values::lift::Lifter;
use crate::wasm::values::lower::{Lowerer, bad};

/// State and encoded parameters of a handler export.
struct Export<'a> {
    state: Option<&'a [u8]>,
    // The fields of the tuple, one after the other.
    params: &'a [u8],
}

impl LowerBytes for Export<'_> {
    #[inline]
    fn to_flat<T>(&self, cx: &mut LowerContext<'_, T>, ty: InterfaceType, dst: &mut FlatSlots<'_>) -> Result<()> {
        let mut src = Reader::new(self.params);
        let mut lowerer = Lowerer::new(cx);
        lowerer.flat_state(self.state, dst)?;
        lowerer.flat_value(params_type(lowerer.types, ty)?, dst, &mut src)?;
        src.finish().map_err(bad)
    }

    fn to_memory<T>(&self, cx: &mut LowerContext<'_, T>, ty: InterfaceType, at: usize) -> Result<()> {
        let mut lowerer = Lowerer::new(cx);
        let types = lowerer.types;
        let params = params_type(types, ty)?;
        lowerer.memory_state(self.state, at)?;
        // option<list<u8>> takes 12 bytes.
        let mut offset = 12;
        let field = at + types.canonical_abi(&params).next_field32(&mut offset) as usize;
        let mut src = Reader::new(self.params);
        lowerer.memory_value(params, field, &mut src)?;
        src.finish().map_err(bad)
    }
}

/// The type of `params` in the parameter list `(state, params)`.
fn params_type(types: &ComponentTypes, ty: InterfaceType) -> Result<InterfaceType> {
    let InterfaceType::Tuple(index) = ty else { bail!("parameters are a tuple") };
    types[index].types.get(1).copied().ok_or_else(|| format_err!("a handler export has two parameters"))
}

/// What a handler export returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Returned {
    /// `ok`: the new state (`None`: keep the old one) and the encoded values after it.
    Ok(Option<Vec<u8>>, Vec<u8>),
    /// `err` with its text.
    Err(String),
}

impl LiftBytes for Returned {
    fn from_flat(_: &mut LiftContext<'_>, _: InterfaceType, _: &mut FlatValues<'_>) -> Result<Self> {
        bail!("a handler export returns through memory")
    }

    fn from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, at: usize) -> Result<Self> {
        let lifter = &mut Lifter::new(cx);
        let InterfaceType::Tuple(results) = ty else { bail!("results are a tuple") };
        let Some(InterfaceType::Result(result)) = lifter.types[results].types.first().copied() else {
            bail!("a handler export returns a result")
        };
        let result = &lifter.types[result];
        if !at.is_multiple_of(result.abi.align32 as usize) {
            bail!("return pointer not aligned");
        }
        if lifter.memory.len().saturating_sub(at) < result.abi.size32 as usize {
            bail!("pointer out of bounds of memory");
        }
        let payload = at + result.info.payload_offset32 as usize;
        if lifter.case_at(&result.info, 2, at)? == 1 {
            let mut text = Vec::new();
            lifter.memory_value(InterfaceType::String, payload, &mut text)?;
            let text = Reader::new(&text).string().map_err(bad)?.to_owned();
            return Ok(Self::Err(text));
        }
        let Some(InterfaceType::Tuple(ok)) = result.ok else { bail!("a handler export returns a tuple") };
        let types = lifter.types;
        let mut offset = 0;
        let (mut state, mut values) = (None, Vec::new());
        for (number, ty) in types[ok].types.iter().enumerate() {
            let field = payload + types.canonical_abi(ty).next_field32(&mut offset) as usize;
            match ty {
                InterfaceType::Option(index) if number == 0 => {
                    let option = &types[*index];
                    if lifter.case_at(&option.info, 2, field)? == 1 {
                        let at = field + option.info.payload_offset32 as usize;
                        let (pointer, length) = (lifter.u32_at(at)?, lifter.u32_at(at + 4)?);
                        state = Some(memcpy::owned(lifter.slice(pointer, length as usize)?));
                    }
                }
                _ => lifter.memory_value(*ty, field, &mut values)?,
            }
        }
        Ok(Self::Ok(state, values))
    }
}

/// Calls a handler export with state and params. `flat` is the number of core values of state and params together; the
/// caller must have checked that the signature is that of a handler export.
///
/// # Errors
/// A trap, or values that do not fit.
pub fn call_export<'a, T: Send + 'static>(
    store: &'a mut Store<T>,
    function: Func,
    flat: usize,
    state: Option<&'a [u8]>,
    params: &'a [u8],
) -> impl Future<Output = Result<Returned>> + Send + use<'a, T> {
    abi::call(store, function, flat, Export { state, params })
}
