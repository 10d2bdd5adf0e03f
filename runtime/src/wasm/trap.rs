//! The text of a trap, as results and chains have it.

/// The message of a trap: one line, without the stack frames.
pub(crate) fn trap_text(error: &wasmtime::Error) -> String {
    let text = match error.downcast_ref::<wasmtime::Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    text.lines().next().unwrap_or_default().to_owned()
}
