//! Signals of `theater run`: which shut the program down, and which are ignored.

use std::sync::Arc;

use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ,
};
use signal_hook::iterator::Signals;
use theater_runtime::support::error::Error;
use theater_runtime::support::executor;

// Not among the constants of signal-hook. The numbers are those of Linux on all platforms but mips, sparc and alpha.
const SIGPWR: i32 = 30;
const SIGSTKFLT: i32 = 16;

/// Signals that shut the program down: a request of the user or the system, a closed terminal, the CPU time limit, a power
/// failure.
const ENDING: [i32; 6] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGXCPU, SIGPWR];
/// Signals whose default action would kill the program and which are ignored. With `SIGXFSZ` ignored, a write beyond the file
/// size limit fails like one on a full disk.
const IGNORED: [i32; 8] = [SIGUSR1, SIGUSR2, SIGXFSZ, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGSTKFLT];

/// The mask of the signals that the parent process set to be ignored, such as `SIGHUP` by `nohup`.
fn ignored_by_parent() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// Installs the signal handlers. The first signal is sent to the channel; a second one ends the program at once.
///
/// # Errors
/// The system's error.
pub fn install() -> Result<executor::Receiver<()>, Error> {
    let failed = |error: std::io::Error| Error::Engine(format!("the signal handlers could not be installed: {error}"));
    let ignored = ignored_by_parent();
    let is_handled = |signal: &i32| *signal != SIGHUP || ignored & (1 << (SIGHUP - 1)) == 0;
    let mut signals = Signals::new(ENDING.iter().filter(|signal| is_handled(signal))).map_err(failed)?;
    for signal in IGNORED {
        // The flag is not read. A handler, unlike an ignored signal, is not inherited by programs that actors start.
        signal_hook::flag::register(signal, Arc::default()).map_err(failed)?;
    }
    let (sender, receiver) = executor::bounded(1);
    let wait = move || {
        for number in 0.. {
            if signals.forever().next().is_none() {
                return;
            }
            if number > 0 {
                std::process::exit(130);
            }
            // The receiver has been dropped: the program is ending already.
            if sender.try_send(()).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("theater-signals".to_owned()).spawn(wait).map_err(failed)?;
    Ok(receiver)
}
