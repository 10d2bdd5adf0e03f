//! Traps as text.

/// A trap's own words, without the frames.
pub(crate) fn trap_text(error: &wasmtime::Error) -> String {
    let text = match error.downcast_ref::<wasmtime::Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    text.lines().next().unwrap_or_default().to_owned()
}
