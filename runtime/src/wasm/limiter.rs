//! Limits the memory and the tables of an instance: the sum of all its memories, and of all its tables.
//!
//! Growing beyond a limit traps, and the trap names the limit. Growing beyond the module's own maximum fails as
//! WebAssembly defines it: the instruction returns -1, and the guest handles that.

use wasmtime::{ResourceLimiter, bail};

use crate::manifest::Limits;
use crate::support::budget::{ACTOR_BYTES, Charge};

/// Size of a table element, bytes.
const ELEMENT: u64 = size_of::<usize>() as u64;
/// Size of the tables that are not charged, bytes: the fixed sum that each actor is charged includes them.
const UNCHARGED: u64 = ACTOR_BYTES / 4;

/// The limits of one store.
pub struct Limiter {
    memory_bytes: u64,
    table_elements: u64,
    memory: u64,
    elements: u64,
    // None in a replay, which is not charged.
    charge: Option<Charge>,
}

impl Limiter {
    /// The limits of a manifest; what the instance uses is charged to `charge`.
    #[must_use]
    pub fn new(limits: &Limits, charge: Option<Charge>) -> Self {
        let Limits { memory_bytes, table_elements, .. } = *limits;
        Self { memory_bytes, table_elements, memory: 0, elements: 0, charge }
    }

    /// Size of all memories, bytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Adjusts the charge to the current size.
    ///
    /// # Errors
    /// The limit of memory that it would exceed.
    fn update_charge(&mut self) -> wasmtime::Result<()> {
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
        self.update_charge().inspect_err(|_| self.memory = before)?;
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
        self.update_charge().inspect_err(|_| self.elements = before)?;
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
        // Refused growth does not count, and the guest handles the module's own maximum.
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
