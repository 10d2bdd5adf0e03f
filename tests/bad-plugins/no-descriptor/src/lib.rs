//! Broken: an ordinary shared library, without a descriptor section.

/// Something to export.
#[unsafe(no_mangle)]
pub extern "C" fn seven() -> u32 {
    7
}
