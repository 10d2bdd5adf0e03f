//! What an instance may take of memory and tables. Growing beyond a limit traps and names it; growing beyond the module's
//! own maximum is the guest's to handle, as WebAssembly has it.

use wasmtime::{ResourceLimiter, bail};

use crate::manifest::Limits;

/// The limits of one store.
pub struct Limiter {
    memory_bytes: u64,
    table_elements: u64,
}

impl Limiter {
    /// As the manifest says.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self { memory_bytes: limits.memory_bytes, table_elements: limits.table_elements }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired as u64 > self.memory_bytes {
            bail!("the guest needs {desired} bytes of memory, more than memory_bytes = {}", self.memory_bytes);
        }
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired as u64 > self.table_elements {
            bail!("the guest needs {desired} table elements, more than table_elements = {}", self.table_elements);
        }
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }
}
