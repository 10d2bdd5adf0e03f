//! What a plugin returned from a host function: takes it into the call frame and checks it.
//!
//! A plugin is not trusted to return what its descriptor promises. A panic, an error, an unknown status, bytes that
//! are not of the result type and bytes over the limit all become a fault of the plugin, with a code of the table of
//! stable codes.

use theater_plugin_api::abi::{ERROR, OK, PANIC};

use crate::wasm::import::Import;
use crate::wasm::values::{CallFrame, Readable};

/// `Ok` when the frame has a result, else the code and the sentence of the plugin's fault.
pub(super) type Checked = Result<(), Box<(&'static str, String)>>;

/// Takes a result of `length` bytes in the frame's result buffer.
pub(super) fn in_buffer(frame: &mut CallFrame, length: usize) -> Checked {
    frame.in_room(length);
    Ok(())
}

/// Takes the plugin's answer in the frame as the result, if its status is OK.
pub(super) fn answered(frame: &mut CallFrame) -> Checked {
    let fault = match frame.answer() {
        Some(answer) if answer.status == OK => {
            frame.answered();
            return Ok(());
        }
        Some(answer) if answer.status == PANIC => ("P0101", format!("panicked: {}", answer.sentence())),
        Some(answer) if answer.status == ERROR => ("P0104", format!("failed: {}", answer.sentence())),
        other => {
            let status = other.map_or(PANIC, |answer| answer.status);
            ("P0104", format!("answered with the unknown status {status}"))
        }
    };
    Err(Box::new(fault))
}

/// Checks that the frame's result is one of the function's, and at most `limit` bytes.
pub(super) fn check(import: &Import, frame: &mut CallFrame, limit: u64) -> Checked {
    let mut result = frame.reader();
    let length = result.left();
    if length as u64 > limit {
        return Err(Box::new(("P0103", format!("returned {length} bytes; value_bytes allows {limit}"))));
    }
    // A number is decoded once, here: the frame keeps its bits for the lowering.
    let read = match import.result_number {
        Some(number) => number.read(&mut result).and_then(|bits| result.finish().map(|()| Some(bits))),
        None => import.check_result(&mut result).map(|()| None),
    };
    match read {
        Ok(Some(bits)) => frame.is_number(bits),
        Ok(None) => {}
        Err(error) => return Err(Box::new(("P0102", format!("returned bytes that are no result of it: {error}")))),
    }
    Ok(())
}
