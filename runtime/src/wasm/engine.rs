//! The WebAssembly engines, their one configuration, and the clock that interrupts guests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use wasmtime::{Cache, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::support::error::Error;

/// The engine's release, as chains record it.
pub const VERSION: &str = "wasmtime 48.0.8";

/// Length of a tick: how long a guest runs before others get their turn.
pub const TICK: Duration = Duration::from_millis(1);
/// Linear memory that a pooled instance may have; actors allowed more are instantiated on demand.
pub const POOLED_MEMORY: u64 = 256 * 1024 * 1024;
/// Table elements that a pooled instance may have.
pub const POOLED_TABLE: u64 = 100_000;
const WASM_STACK: usize = 512 * 1024;
// Plugin futures are polled on the same stack as the guest.
const FIBER_STACK: usize = WASM_STACK + 1024 * 1024;
/// Core instances that a pooled component may have: componentize-py needs 38. They are counted, not set aside.
const CORE_INSTANCES: u32 = 64;
/// Resident bytes an instance is taken to need when the pool is sized.
const INSTANCE_SHARE: u64 = 128 * 1024;
/// Mappings an instance and a stack take, with room for the rest of the program.
const MAPPINGS_PER_INSTANCE: u64 = 8;
/// One in so many instances is made on demand while the pool is full.
const OVERFLOW_SHARE: u64 = 8;

/// The engines of a program: one per allocation strategy.
pub struct Engines {
    /// Instances come from a pool.
    pub pooled: Engine,
    /// Instances are made on demand: for actors whose limits are above the pool's.
    pub on_demand: Engine,
    /// How many instances the pool has.
    pub pool_size: usize,
    /// How many instances may be made on demand in place of pooled ones while the pool is full.
    pub overflow: usize,
    ticker: Arc<Ticker>,
}

/// How many instances fit at once: a share of the memory, and of the mappings the system allows.
#[must_use]
pub fn instances(memory: u64) -> u64 {
    let mappings = std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok())
        .unwrap_or(65_530);
    (memory / 2 / INSTANCE_SHARE).min(mappings / MAPPINGS_PER_INSTANCE).max(16)
}

/// How the engines use address space, most demanding first: without bounds checks a memory takes 4 GiB of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// A pool whose memories have 4 GiB each.
    Unchecked,
    /// A pool whose memories have what they may grow to, and checks of bounds.
    Checked,
    /// No pool: memories have what they use, and move when they grow.
    OnDemand,
}

/// What a memory is reserved in [`Layout::OnDemand`], and by how much more when it moves, bytes.
const SMALL: u64 = 1024 * 1024;
const GUARD: u64 = 64 * 1024;

impl Layout {
    const ALL: [Self; 3] = [Self::Unchecked, Self::Checked, Self::OnDemand];

    /// Address space of a pool, bytes, roughly.
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
    // A program without a home folder has no cache; compiling is then the only cost.
    match Cache::from_file(None) {
        Ok(cache) => {
            config.cache(Some(cache));
        }
        Err(error) => tracing::debug!("no compilation cache: {error}"),
    }
    config
}

impl Engines {
    /// Makes the engines and starts their clock.
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
            .map_err(|error| Error::Engine(format!("no thread for its clock: {error}")))?;
        Ok(Self { pooled, on_demand, pool_size: size, overflow, ticker })
    }

    /// The engines with the most demanding layout that there is address space for: at most half of what the process may have
    /// (`ulimit -v`), and what the system gives (on arm64 often no more than 512 GiB).
    fn in_address_space(space: u64, pool: usize) -> wasmtime::Result<(Engine, Engine)> {
        let mut refused = None;
        for layout in Layout::ALL {
            if layout.needs(pool as u64) > space / 2 {
                continue;
            }
            // Those that are instantiated on demand have the whole 4 GiB where there is no lack of space at all.
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
        Err(refused.unwrap_or_else(|| wasmtime::format_err!("there is no address space")))
    }

    /// The clock.
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

/// Advances the engines' epochs while guests run, and parks when none do.
pub struct Ticker {
    running: AtomicUsize,
    parked: AtomicBool,
    stopped: AtomicBool,
    thread: std::sync::OnceLock<thread::Thread>,
}

/// Idle ticks after which the clock parks.
const IDLE_TICKS: u32 = 100;

impl Ticker {
    fn start(engines: Vec<Engine>) -> std::io::Result<Arc<Self>> {
        let ticker = Arc::new(Self {
            running: AtomicUsize::new(0),
            parked: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            thread: std::sync::OnceLock::new(),
        });
        let of_thread = Arc::clone(&ticker);
        let handle = thread::Builder::new().name("theater-clock".to_owned()).spawn(move || of_thread.run(&engines))?;
        ticker.thread.get_or_init(|| handle.thread().clone());
        Ok(ticker)
    }

    fn run(&self, engines: &[Engine]) {
        let mut idle = 0;
        while !self.stopped.load(Ordering::Relaxed) {
            thread::sleep(TICK);
            for engine in engines {
                engine.increment_epoch();
            }
            idle = if self.running.load(Ordering::Relaxed) == 0 { idle + 1 } else { 0 };
            if idle > IDLE_TICKS {
                self.parked.store(true, Ordering::SeqCst);
                if self.running.load(Ordering::SeqCst) == 0 && !self.stopped.load(Ordering::SeqCst) {
                    thread::park();
                }
                self.parked.store(false, Ordering::SeqCst);
                idle = 0;
            }
        }
    }

    /// Something runs until the result is dropped.
    pub fn running(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::SeqCst);
        if self.parked.load(Ordering::SeqCst) {
            self.wake();
        }
        Running(Arc::clone(self))
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.wake();
    }
}

/// Keeps the clock going.
pub struct Running(Arc<Ticker>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
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
