//! Broken: an ordinary shared library, without a descriptor section.

/// An arbitrary export.
#[unsafe(no_mangle)]
pub extern "C" fn seven() -> u32 {
    7
}
