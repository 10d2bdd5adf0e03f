//! The clock that interrupts guests: once a tick, every guest that runs yields or is stopped.
//!
//! wasmtime counts epochs and calls back a guest that runs beyond its deadline. The clock's thread increments the
//! epochs, and parks while no guest runs, so that an idle program uses no processor time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use wasmtime::Engine;

/// Length of a tick: how long a guest runs before others get their turn.
pub const TICK: Duration = Duration::from_millis(1);

/// A thread that advances the engines' epochs while guests run, and parks when none run.
pub struct Ticker {
    running: AtomicUsize,
    parked: AtomicBool,
    stopped: AtomicBool,
    thread: OnceLock<thread::Thread>,
}

/// Number of ticks without a running guest after which the clock parks.
const IDLE_TICKS: u32 = 100;

impl Ticker {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system could not start it.
    pub(super) fn start(engines: Vec<Engine>) -> std::io::Result<Arc<Self>> {
        let ticker = Arc::new(Self {
            running: AtomicUsize::new(0),
            parked: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            thread: OnceLock::new(),
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
                // Announced before the count is read again: a guest that starts now is either counted here or wakes
                // the thread.
                self.parked.store(true, Ordering::SeqCst);
                if self.running.load(Ordering::SeqCst) == 0 && !self.stopped.load(Ordering::SeqCst) {
                    thread::park();
                }
                self.parked.store(false, Ordering::SeqCst);
                idle = 0;
            }
        }
    }

    /// Keeps the clock running until the result is dropped.
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

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.wake();
    }
}

/// Keeps the clock running; see [`Ticker::running`].
pub struct Running(Arc<Ticker>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}
