//! A host function with everything that its calls need: which plugin function it is, its result type and its effect.

use theater_chain::value_type::{FaultCase, Number, ValueType};
use theater_plugin_api::descriptor::Effect;
use theater_plugin_api::encoding::{EncodingError, Reader};

use crate::plugin::signatures::PluginFunction;

/// A host function, as its calls need it.
pub(crate) struct Import {
    // Index of the handler.
    pub(super) slot: usize,
    // Index among the plugin's functions.
    pub(super) number: u32,
    // Index of its record in the chain's table of functions.
    pub(super) record: u32,
    pub(super) label: String,
    pub(super) result: Option<ValueType>,
    // Of `result`, if that is a number.
    pub(super) result_number: Option<Number>,
    pub(super) effect: Effect,
    pub(super) fault: Option<FaultCase>,
    pub(super) is_async: bool,
}

impl Import {
    /// Function number `number` of a plugin, with handler 0 and record 0.
    pub(crate) fn of(number: u32, function: &PluginFunction) -> Self {
        Self {
            slot: 0,
            number,
            record: 0,
            label: format!("{}/{}", function.interface, function.name),
            result: function.signature.result.clone(),
            result_number: function.signature.result.as_ref().and_then(ValueType::number),
            effect: function.effect,
            fault: function.fault.clone(),
            is_async: function.is_async,
        }
    }

    /// Encodes a sentence as the function's own `err`; none if its result type has no `err` for it.
    pub(super) fn err(&self, sentence: &str) -> Option<Vec<u8>> {
        self.fault.as_ref().map(|fault| fault.encode(sentence))
    }

    /// Whether an encoded result is the `err` case of a function that has one.
    pub(super) fn is_err(&self, bytes: &[u8]) -> bool {
        matches!(self.result, Some(ValueType::Result(_))) && bytes.first() != Some(&0)
    }

    /// Checks that the bytes are one result of the function, and nothing else.
    pub(super) fn check_result(&self, reader: &mut Reader<'_>) -> Result<(), EncodingError> {
        if let Some(result) = &self.result {
            result.validate(reader)?;
        }
        match reader.left() {
            0 => Ok(()),
            more => Err(EncodingError::Trailing(more)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use theater_chain::value_type::Signature;

    use super::*;

    /// A message that was staged by a call that answers `err` is not sent, whatever the type of the `err`.
    #[test]
    fn an_err_of_any_type_is_one_and_no_other_value_is() {
        let import = |result| {
            let function = PluginFunction {
                interface: "a:b/c".to_owned(),
                name: "f".to_owned(),
                signature: Signature { params: Vec::new(), result },
                is_async: false,
                effect: Effect::Effect,
                fault: None,
            };
            Import::of(0, &function)
        };
        let of = |err| Some(ValueType::Result(Arc::new((Some(ValueType::U8), err))));
        let variant =
            ValueType::Variant(Arc::new([("busy".to_owned(), None), ("io".to_owned(), Some(ValueType::String))]));
        for err in [None, Some(ValueType::String), Some(ValueType::U32), Some(variant)] {
            let import = import(of(err));
            assert!(import.is_err(&[1, 0]) && !import.is_err(&[0, 1]));
        }
        for other in
            [None, Some(ValueType::Bytes), Some(ValueType::Bool), Some(ValueType::Option(Arc::new(ValueType::U8)))]
        {
            assert!(!import(other).is_err(&[1, 1]));
        }
    }
}
