//! The WebAssembly engines and their configuration.
//!
//! Both engines have the same settings for everything that a guest can observe, so that a replay on one engine gives
//! what a run on the other gave. They differ in how instances are allocated.

use std::sync::Arc;

use rustix::process::{Resource, getrlimit};
use wasmtime::{Cache, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::support::error::Error;
use crate::wasm::ticker::Ticker;

/// Name and version of the engine, as chains record them.
pub const VERSION: &str = "wasmtime 48.0.8";

/// Largest linear memory of a pooled instance, bytes; actors that may use more are instantiated on demand.
pub const POOLED_MEMORY: u64 = 256 * 1024 * 1024;
/// Largest number of table elements of a pooled instance.
pub const POOLED_TABLE: u64 = 100_000;
const WASM_STACK: usize = 512 * 1024;
// Plugin futures are polled on the same stack as the guest.
const FIBER_STACK: usize = WASM_STACK + 1024 * 1024;
/// Largest number of core instances of a pooled component: componentize-py needs 38. They are counted, not reserved.
const CORE_INSTANCES: u32 = 64;
/// Assumed resident memory of an instance when the pool is sized, bytes.
const INSTANCE_SHARE: u64 = 128 * 1024;
/// Memory mappings of an instance and a stack, with a reserve for the rest of the program.
const MAPPINGS_PER_INSTANCE: u64 = 8;
/// One in this many instances is reserved for instances on demand while the pool is full.
const OVERFLOW_SHARE: u64 = 8;

/// The engines of a program: one per allocation strategy.
pub struct Engines {
    /// Allocates instances from a pool.
    pub pooled: Engine,
    /// Allocates instances on demand, for actors whose limits are above the pool's.
    pub on_demand: Engine,
    /// Number of instances in the pool.
    pub pool_size: usize,
    /// Largest number of instances that are allocated on demand in place of pooled ones while the pool is full.
    pub overflow: usize,
    ticker: Arc<Ticker>,
}

/// The number of instances that can exist at once, for a memory budget in bytes: limited by a share of that memory and
/// of the mappings that the system allows.
#[must_use]
pub fn instances(memory: u64) -> u64 {
    let mappings = std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok())
        .unwrap_or(65_530);
    (memory / 2 / INSTANCE_SHARE).min(mappings / MAPPINGS_PER_INSTANCE).max(16)
}

/// How the engines use address space, most demanding first: without bounds checks a memory reserves 4 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// A pool whose memories reserve 4 GiB each, without bounds checks.
    Unchecked,
    /// A pool whose memories reserve what they may grow to, with bounds checks.
    Checked,
    /// No pool: memories reserve little, and move when they grow.
    OnDemand,
}

/// Reservation of a memory in [`Layout::OnDemand`], bytes; 16 times as much is added when it moves.
const SMALL: u64 = 1024 * 1024;
/// Guard pages after a memory with bounds checks, bytes.
const GUARD: u64 = 64 * 1024;

impl Layout {
    const ALL: [Self; 3] = [Self::Unchecked, Self::Checked, Self::OnDemand];

    /// Estimated address space of a pool, bytes.
    fn needs(self, instances: u64) -> u64 {
        match self {
            Self::Unchecked => instances.saturating_mul(4 << 30),
            Self::Checked => instances.saturating_mul(POOLED_MEMORY + GUARD),
            Self::OnDemand => 0,
        }
    }

    fn apply(self, config: &mut Config) {
        match self {
            Self::Unchecked => {}
            Self::Checked => {
                config.memory_reservation(POOLED_MEMORY).memory_guard_size(GUARD);
            }
            Self::OnDemand => {
                config.memory_reservation(SMALL).memory_reservation_for_growth(16 * SMALL).memory_guard_size(GUARD);
            }
        }
    }
}

fn config(pool: Option<usize>, layout: Layout) -> Config {
    let mut config = Config::new();
    layout.apply(&mut config);
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(true)
        .relaxed_simd_deterministic(true)
        .wasm_multi_memory(true)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(FIBER_STACK)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(16));
    if let Some(instances) = pool {
        let most = u32::try_from(instances).unwrap_or(u32::MAX);
        let mut pooling = PoolingAllocationConfig::default();
        pooling
            .total_component_instances(most)
            .total_core_instances(most.saturating_mul(CORE_INSTANCES))
            .total_memories(most)
            .total_tables(most.saturating_mul(2))
            .total_stacks(most)
            .max_memories_per_component(4)
            .max_tables_per_component(8)
            .max_core_instances_per_component(CORE_INSTANCES)
            .max_memory_size(POOLED_MEMORY as usize)
            .table_elements(POOLED_TABLE as usize)
            .linear_memory_keep_resident(64 * 1024)
            .async_stack_keep_resident(16 * 1024)
            .table_keep_resident(4 * 1024);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling));
    }
    // Without a home folder there is no cache: then components are compiled on every start.
    match Cache::from_file(None) {
        Ok(cache) => {
            config.cache(Some(cache));
        }
        Err(error) => tracing::debug!("no compilation cache: {error}"),
    }
    config
}

impl Engines {
    /// Creates the engines for a memory budget in bytes, and starts their clock.
    ///
    /// # Errors
    /// `S0005`.
    pub fn new(memory: u64) -> Result<Self, Error> {
        let failed = |error: wasmtime::Error| Error::Engine(format!("{error:#}"));
        let instances = instances(memory);
        let overflow = instances / OVERFLOW_SHARE;
        let [size, overflow] =
            [instances - overflow, overflow].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        let space = getrlimit(Resource::As).current.unwrap_or(u64::MAX);
        let (pooled, on_demand) = Self::in_address_space(space, size).map_err(failed)?;
        let ticker = Ticker::start(vec![pooled.clone(), on_demand.clone()])
            .map_err(|error| Error::Engine(format!("its clock thread could not be started: {error}")))?;
        Ok(Self { pooled, on_demand, pool_size: size, overflow, ticker })
    }

    /// Creates the engines with the most demanding layout that the address space allows: at most half of the process's
    /// limit (`ulimit -v`), and as much as the system grants (on arm64 often no more than 512 GiB).
    fn in_address_space(space: u64, pool: usize) -> wasmtime::Result<(Engine, Engine)> {
        let mut refused = None;
        for layout in Layout::ALL {
            if layout.needs(pool as u64) > space / 2 {
                continue;
            }
            // Instances on demand avoid bounds checks too, if there is address space for the first layout.
            let on_demand =
                Engine::new(&config(None, if layout == Layout::Unchecked { layout } else { Layout::OnDemand }))?;
            if layout == Layout::OnDemand {
                return Ok((on_demand.clone(), on_demand));
            }
            match Engine::new(&config(Some(pool), layout)) {
                Ok(pooled) => return Ok((pooled, on_demand)),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or_else(|| wasmtime::format_err!("not enough address space")))
    }

    /// The clock of both engines.
    #[must_use]
    pub fn ticker(&self) -> &Arc<Ticker> {
        &self.ticker
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        self.ticker.stop();
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_recorded_release_is_the_one_that_is_built_in() {
        let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
        let built = lock.split("[[package]]").find(|package| package.contains("\nname = \"wasmtime\"\n")).unwrap();
        let version = super::VERSION.trim_start_matches("wasmtime ");
        assert!(built.contains(&format!("version = \"{version}\"")), "{built}");
    }
}
