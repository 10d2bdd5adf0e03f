//! Chooses the number of core values with which a host function is compiled into a linker.
//!
//! wasmtime's typed host functions are generic over the Rust types of parameters and result. Ours are generic over
//! numbers of core values ([`Args`](crate::wasm::values::Args), [`Ret`](crate::wasm::values::Ret)), so the choice is a
//! table with one entry for each pair of numbers.

use theater_chain::value_type::{Signature, ValueType};

use crate::wasm::values::MAX_FLAT;

/// The result of defining a host function.
pub(crate) type Defined = wasmtime::Result<()>;

/// A host function that can be defined once its numbers of core values are known.
pub(crate) trait Define {
    /// Defines the function. `N` is the number of core values of the parameters, 17 for more than 16, which are passed
    /// in memory; `R` is that of the result, 2 for a result in memory.
    fn define<const N: usize, const R: usize>(self) -> Defined;
}

/// Defines a function of that signature.
pub(crate) fn define(signature: &Signature, function: impl Define) -> Defined {
    let params = signature.flat_params();
    let result = signature.result.as_ref().map_or(0, ValueType::flat_count);
    macro_rules! params {
        ($result:literal; $($count:literal)*) => {
            match params {
                $($count => function.define::<$count, $result>(),)*
                // More than 16 core values: a block in memory, whose count no list of core values has.
                _ => function.define::<17, $result>(),
            }
        };
    }
    const _: () = assert!(MAX_FLAT == 16, "the counts below end at MAX_FLAT");
    match result {
        0 => params!(0; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16),
        1 => params!(1; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16),
        _ => params!(2; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16),
    }
}
