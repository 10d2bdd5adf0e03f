//! What an instance may take of memory and tables, all of its memories and all of its tables together. Growing beyond a limit
//! traps and names it; growing beyond the module's own maximum is the guest's to handle, as WebAssembly has it.

use wasmtime::{ResourceLimiter, bail};

use crate::manifest::Limits;
use crate::support::budget::{ACTOR_BYTES, Charge};

/// Bytes that a table element takes.
const ELEMENT: u64 = size_of::<usize>() as u64;
/// Bytes of tables without a charge: the sum that each actor is charged has them.
const UNCHARGED: u64 = ACTOR_BYTES / 4;

/// The limits of one store.
pub struct Limiter {
    memory_bytes: u64,
    table_elements: u64,
    memory: u64,
    elements: u64,
    // None where nothing is charged: in a replay.
    charge: Option<Charge>,
}

impl Limiter {
    /// As the manifest says, charged to `charge`.
    #[must_use]
    pub fn new(limits: &Limits, charge: Option<Charge>) -> Self {
        let Limits { memory_bytes, table_elements, .. } = *limits;
        Self { memory_bytes, table_elements, memory: 0, elements: 0, charge }
    }

    /// Bytes of all memories.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.memory
    }

    fn pay(&mut self) -> wasmtime::Result<()> {
        let bytes = self.memory + (self.elements * ELEMENT).saturating_sub(UNCHARGED);
        if let Some(charge) = &mut self.charge {
            charge.resize(bytes)?;
        }
        Ok(())
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let before = self.memory;
        let wanted = before.saturating_sub(current as u64).saturating_add(desired as u64);
        if wanted > self.memory_bytes {
            bail!("the guest needs {wanted} bytes of memory, more than memory_bytes = {}", self.memory_bytes);
        }
        self.memory = wanted;
        self.pay().inspect_err(|_| self.memory = before)?;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let before = self.elements;
        let wanted = before.saturating_sub(current as u64).saturating_add(desired as u64);
        if wanted > self.table_elements {
            bail!("the guest needs {wanted} table elements, more than table_elements = {}", self.table_elements);
        }
        self.elements = wanted;
        self.pay().inspect_err(|_| self.elements = before)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::budget::Account;

    #[test]
    fn all_memories_and_all_tables_of_an_instance_count_together() {
        let limits = Limits { memory_bytes: 1_000, table_elements: 10, ..Limits::default() };
        let account = Account::program(1_000_000);
        let mut limiter = Limiter::new(&limits, Some(account.nothing()));
        for _ in 0..2 {
            assert!(limiter.memory_growing(0, 400, None).unwrap());
            assert!(limiter.table_growing(0, 4, None).unwrap());
        }
        let refused = limiter.memory_growing(0, 400, None).unwrap_err().to_string();
        assert!(refused.contains("1200 bytes") && refused.contains("memory_bytes = 1000"), "{refused}");
        assert!(limiter.table_growing(4, 8, None).unwrap_err().to_string().contains("table_elements = 10"));
        // What was refused counts for nothing, and the module's own maximum is the guest's to handle.
        assert!(limiter.memory_growing(400, 600, None).unwrap());
        assert!(!limiter.memory_growing(600, 700, Some(650)).unwrap());
        assert_eq!((limiter.memory(), account.used()), (1_000, 1_000));
        drop(limiter);
        assert_eq!(account.used(), 0);
    }

    #[test]
    fn tables_are_charged_beyond_what_the_actors_sum_has() {
        let account = Account::program(1_000_000);
        let mut limiter = Limiter::new(&Limits::default(), Some(account.nothing()));
        let few = usize::try_from(UNCHARGED / ELEMENT).unwrap();
        assert!(limiter.table_growing(0, few, None).unwrap());
        assert_eq!(account.used(), 0);
        assert!(limiter.table_growing(few, few + 1_000, None).unwrap());
        assert_eq!(account.used(), 1_000 * ELEMENT);
    }

    #[test]
    fn what_the_program_has_no_memory_for_names_the_programs_limit() {
        let account = Account::program(500);
        let mut limiter = Limiter::new(&Limits::default(), Some(account.nothing()));
        assert!(limiter.memory_growing(0, 600, None).unwrap_err().to_string().contains("--memory"));
        assert!(limiter.memory_growing(0, 400, None).unwrap());
    }
}
